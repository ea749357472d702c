"""What doors, gate and service mean to one another."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Protocol

from msgspec import Struct

from wehr.doors.verdict import Verdict
from wehr.evidence.types import Session


class Gate(Protocol):
    """Who decides; the same behind every door."""

    def ask(self, session: Session, trace: Sequence[bytes], queue_id: str) -> str | None:
        """The whole SMTP line (``450 4.7.230 ...``) to refuse with, or None to accept. Must be quick."""

    def verdict(self, session: Session, trace: Sequence[bytes], queue_id: str) -> Verdict:
        """The same with all that stands behind it."""

    def ask_early(self, session: Session, transaction: str) -> str | None:
        """The reply at a step of a transaction (MAIL, RCPT) where no header is known yet."""

    def milters_for(self, client_ip: str) -> str | None:
        """What takes the place of ``smtpd_milters`` for the client's next session; None: nothing does."""


class Event(StrEnum):
    """What the door has to say for itself. A closed set."""

    PROTOCOL_ERROR = "protocol-error"
    TIMEOUT = "timeout"
    OVERLOAD = "overload"
    GATE_ERROR = "gate-error"
    NEXT_HOP = "next-hop"


OnEvent = Callable[[Event, str], None]


class Limits(Struct, frozen=True):
    """What a mail system may cost us.

    ``connections`` are open at the same time: a mail system has one for each SMTP session. ``idle`` seconds
    without a complete frame end a connection: as long as an SMTP session may be silent, and then some.
    ``sweep`` seconds lie between two looks for idle ones. ``unread`` bytes of answers may wait for a peer.
    ``held`` bytes of what is not complete yet may be held back for all of them together.
    """

    connections: int = 5000
    idle: float = 3600
    sweep: float = 60
    unread: int = 16 << 10
    held: int = 64 << 20


class Counters:
    """What the door has seen so far; plain integers, for a metrics page to read."""

    def __init__(self) -> None:
        self.connections = 0
        self.messages = 0
        self.refused_4xx = 0
        self.refused_5xx = 0
        self.protocol_errors = 0
        self.timeouts = 0
        self.overloads = 0
        self.gate_errors = 0
        self.next_hop_errors = 0


class DoorSession(Protocol):
    """One connection of a mail system, without sockets."""

    @property
    def in_message(self) -> bool:
        """Whether a message has begun and is not decided."""

    @property
    def closed(self) -> bool:
        """Whether nothing more is to be said."""

    @property
    def pending(self) -> int:
        """Bytes held back until what they belong to is complete."""

    def receive(self, data: bytes) -> bytes:
        """Take what arrived, return what to answer.

        Raises:
            ProtocolError: the connection is to be closed.
        """


class Peer(Protocol):
    """What a door needs of each of its connections."""

    idle_sweeps: int

    @property
    def peer(self) -> str:
        """Who it is, for a log line."""

    @property
    def in_message(self) -> bool:
        """Whether a message has begun and is not decided."""

    def hang_up(self) -> None:
        """Close without waiting for the peer."""
