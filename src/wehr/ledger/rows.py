"""What is read from a store, for reports, histories and explanations. Times are UTC seconds since 1970."""

from typing import Any

from msgspec import Struct

from wehr.ledger.state import ServerState
from wehr.policy.types import ServerKey


class ServerRow(Struct, frozen=True):
    """One server with its latest evidence and the latest decision; ``state`` gives the rest."""

    ref: str
    key: ServerKey
    state: ServerState
    seen_at: float
    build: str
    version: str
    relation: str
    client_ip: str
    client_name: str
    line: str
    action: str
    reason: str
    enforced: bool
    stage: int

    @property
    def confirmed(self) -> bool:
        """Whether its name ever agreed with its client."""
        return self.state.confirmed_at > 0

    @property
    def first_seen(self) -> float:
        """UTC seconds since 1970."""
        return self.state.first_seen

    @property
    def last_seen(self) -> float:
        """UTC seconds since 1970."""
        return self.state.last_seen


class SightingRow(Struct, frozen=True):
    """One message's evidence and what was decided on it."""

    id: int
    ref: str
    at: float
    node: str
    software: str
    build: str
    version: str
    relation: str
    confidence: str
    client_ip: str
    client_name: str
    line: str
    compliant: bool | None
    action: str
    reason: str
    enforced: bool
    stage: int
    throttle: int
    block: int
    until: float | None
    ladder: str
    queue_id: str
    door: str


class Tally(Struct, frozen=True):
    """How many messages of a server had one outcome on one day (counted from 1970-01-01)."""

    day: int
    ref: str
    action: str
    reason: str
    enforced: bool
    messages: int


Detail = dict[str, str | int | float | bool | None]
"""What an event says beyond its kind."""


class Event(Struct, frozen=True):
    """Something that a person or the ladder changed. Never rewritten.

    ``actor`` is a person's name, or ``wehr``. ``ref`` and ``name`` are "" where no one server is meant.
    """

    at: float
    kind: str
    tenant: str = ""
    ref: str = ""
    name: str = ""
    actor: str = "wehr"
    detail: Detail = {}
    id: int = 0
    after: dict[str, Any] = {}
    """The ``pause``, ``exemption`` or ``era`` as it is from then on; the store fills it in."""


class Changes(Struct, frozen=True):
    """What others wrote: servers up to change number ``upto``, and the number of the last change of rules."""

    upto: int
    servers: tuple[tuple[ServerKey, ServerState], ...]
    rules: int
    more: bool = False
