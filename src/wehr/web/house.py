"""What pages are given: the store for reading and changing, what servers are judged by now, and the time."""

from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

from msgspec import Struct

from wehr.catalogue import Catalogue
from wehr.ledger import Store
from wehr.ledger.memory import Ledger
from wehr.ledger.report import Basis
from wehr.policy import Holds, Policy, ServerKey
from wehr.policy.scope import Exemption
from wehr.web.stores import Stores

T = TypeVar("T")


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


class Present(Struct, frozen=True):
    """What is in force at the moment; another value after a reload, a pause or an exemption."""

    catalogue: Catalogue
    policy: Policy
    """As the gate judges by it: after all ladders that have been in force."""
    holds: Holds
    facts: Facts
    doubt: str = ""
    """Why nothing may be refused at the moment; empty if it may."""


class Source(Protocol):
    """The running service, as pages see it. Called in the event loop only; nothing in it waits."""

    def present(self) -> Present:
        """What is in force now."""
        ...

    def now(self) -> float:
        """UTC seconds since 1970."""
        ...

    def states(self) -> Ledger:
        """The ledger of this node: to be read between two messages, never kept."""
        ...


class House(Struct, frozen=True):
    """Handed to every page.

    What changes is reached through ``source``; the store through `ask`, which never holds up the loop.
    """

    source: Source
    stores: Stores

    @property
    def present(self) -> Present:
        """What is in force now; take it once a request, so that a page is of one mind."""
        return self.source.present()

    def now(self) -> float:
        """UTC seconds since 1970."""
        return self.source.now()

    async def ask(self, question: Callable[[Store], T]) -> T:
        """What ``question`` answers, called with an open store in a thread of the pages' own.

        Raises:
            LedgerError: the store is away or damaged.
            Busy: too many questions wait already.
        """
        return await self.stores.ask(question)

    async def work(self, task: Callable[[], T]) -> T:
        """What ``task`` gives, in a thread: for what takes longer than a message may wait.

        Raises:
            Busy: too many wait already.
        """
        return await self.stores.work(task)

    def basis(self, keys: Iterable[ServerKey]) -> Basis:
        """What these servers are judged by now, to be used in a thread: holds them and their neighbours."""
        present = self.present
        return Basis(
            self.source.states().excerpt(keys), present.catalogue, present.policy, present.holds, self.now()
        )
