"""The running service, as the pages see it."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from wehr.catalogue import Catalogue
from wehr.ledger import Ledger
from wehr.policy import Holds, Policy
from wehr.policy.scope import Exemption
from wehr.web.measures import Family


class Facts(Struct, frozen=True):
    """What of the configuration the pages tell or go by."""

    host_name: str = ""
    """This receiver's name in replies."""
    status_url: str = ""
    """Where the public status pages are, without the reference; empty if there are none."""
    contact: str = ""
    """Whom the administrators of a refused server may write to; an address or a page; may be empty."""
    stale_after: int = 60
    """Days after which the catalogue counts as old."""
    configured_exemptions: tuple[Exemption, ...] = ()
    """Exemptions of the configuration, which no page can cancel."""
    metrics_networks: tuple[str, ...] = ("127.0.0.0/8", "::1/128")
    """Whose programs may read the figures."""


class Present(Struct, frozen=True):
    """What is in force at the moment; another value after a reload, a pause or an exemption."""

    catalogue: Catalogue
    policy: Policy
    """As the gate judges by it: after all ladders that have been in force."""
    holds: Holds
    facts: Facts
    doubt: str = ""
    """Why nothing may be refused at the moment; empty if it may."""
    secret: bytes = b""
    """The fleet's; empty as long as it is not known."""


class Source(Protocol):
    """Called in the event loop only; nothing in it waits."""

    def present(self) -> Present:
        """What is in force now."""
        ...

    def now(self) -> float:
        """UTC seconds since 1970."""
        ...

    def states(self) -> Ledger:
        """The ledger of this node: to be read between two messages, never kept."""
        ...

    def measures(self) -> Sequence[Family]:
        """What is counted."""
        ...
