"""The values of this room: who is judged, what is done about it, and why."""

from enum import StrEnum

from msgspec import Struct

from wehr.evidence.build import Build


class Mode(StrEnum):
    """How far Wehr goes for a tenant or connector."""

    OFF = "off"
    REPORT = "report"
    """Watch and report, refuse nothing; what would have been decided is recorded."""
    SIMULATE = "simulate"
    """As report, and each message that would be refused has its line in the log."""
    ENFORCE = "enforce"


class Action(StrEnum):
    """What is done with a message."""

    ACCEPT = "accept"
    THROTTLE = "throttle"
    BLOCK = "block"


class Reason(StrEnum):
    """Why a decision was taken. A closed set; each has its text in `replies.TABLE` and a part of the docs.

    The value itself is the label in /metrics, the column in the history and what the page and API show.
    """

    # accepted: not a case for Wehr
    AUTHENTICATED = "authenticated"
    OWN_NETWORK = "own-network"
    NO_TRACE = "no-trace"
    OTHER_SOFTWARE = "other-software"
    EXCHANGE_ONLINE = "exchange-online"
    BEHIND_RELAY = "behind-relay"
    OFF = "off"
    # accepted: nothing is refused on ignorance
    UNKNOWN_BUILD = "unknown-build"
    NEWER_THAN_CATALOGUE = "newer-than-catalogue"
    CANNOT_TELL = "cannot-tell"
    INTERNAL_ERROR = "internal-error"
    # accepted: compliant, now or lately
    COMPLIANT = "compliant"
    COMPLIANT_LATELY = "compliant-lately"
    MIXED = "mixed"
    # accepted: out of compliance, but left alone
    REPORT_ONLY_PRODUCT = "report-only-product"
    NOT_IN_SCOPE = "not-in-scope"
    EXEMPT = "exempt"
    PAUSED = "paused"
    REPORT_STAGE = "report-stage"
    OUTSIDE_WINDOW = "outside-window"
    # refused (or would be)
    THROTTLED = "throttled"
    BLOCKED = "blocked"


class ServerKey(Struct, frozen=True, gc=False, order=True):
    """The thing that is reported and enforced."""

    tenant: str
    name: str
    """The name stamped in the handover hop, lower-case."""
    network: str
    """The client network in CIDR form, /24 or /48."""


class Episode(Struct, frozen=True, gc=False):
    """The time a server spends out of compliance; it carries the clock that the stages run on.

    ``started`` is the first detection (UTC seconds since 1970). ``intervals`` are the stretches that count:
    a relapse soon after a cure resumes the clock, and the compliant time between does not count.
    The last interval's end is None while the episode is open.
    """

    started: float
    intervals: tuple[tuple[float, float | None], ...]


class Stop(Struct, frozen=True, gc=False):
    """A stretch during which an episode's clock stands still. ``end`` None: no end is known.

    Starts inclusive, ends exclusive, in UTC seconds since 1970. ``reason`` is why messages are accepted
    meanwhile; None if only the clock stands.
    """

    start: float
    end: float | None
    reason: Reason | None = Reason.PAUSED


class Standing(Struct, frozen=True, gc=False):
    """What the ledger remembers of a server, as far as a decision needs it."""

    first_seen: float
    last_seen: float
    effective_build: Build | None
    """The highest build sighted inside the memory window."""
    episode: Episode | None
    mixed: bool = False
    """An old build goes on showing beside a compliant one."""
    confirmed: bool = False


class Decision(Struct, frozen=True, gc=False):
    """What is done with one message, and why: feeds reply, log, metric, history, status page and explain.

    ``action`` is what the policy says; ``enforced`` tells whether it is carried out (otherwise the message is
    accepted and the decision recorded as one that would have been taken). ``throttle`` and ``block`` are the
    stage's minutes per hour; ``until`` is when mail is taken again (UTC seconds), None if not by waiting.
    """

    action: Action
    reason: Reason
    enforced: bool = False
    stage: int = 0
    throttle: int = 0
    block: int = 0
    until: float | None = None
    ladder: str = ""
    simulated: bool = False
    """Not carried out, but to be told in the log as if it were."""

    @property
    def refused(self) -> bool:
        """Whether the client is answered with a 450 or 550."""
        return self.enforced and self.action is not Action.ACCEPT
