"""The values of this room: what a door knows of the session, what a hop says, who handed the message over."""

from enum import StrEnum

from msgspec import Struct

from wehr.evidence.build import Build


class Relation(StrEnum):
    """How the Exchange (or other stamping server) that is seen stands to the client."""

    DIRECT = "direct"
    """The handover hop was stamped by it: it speaks for the client."""
    BEHIND_RELAY = "behind_relay"
    """Another system handed the message over; it stands deeper. Reported, never enforced."""
    NONE = "none"
    """Nothing known: no trace, or no server that is recognised."""


class Confidence(StrEnum):
    """How sure it is that the name stamped in the handover hop belongs to the client."""

    CONFIRMED = "confirmed"
    PLAUSIBLE = "plausible"
    NONE = "none"


class Session(Struct, frozen=True, gc=False):
    """What a door knows of the client before any header: only what the mail system itself has verified.

    All texts are ``""`` when unknown. ``client_ip`` is canonical (as ``ipaddress`` prints it, IPv4-mapped
    addresses as IPv4); ``client_name`` is the forward-confirmed host name; ``tls_name`` the subject of a
    client certificate that the mail system verified; ``listener`` the daemon name or door it came in by;
    ``recipients`` the recipients' domains, lower-case.
    """

    client_ip: str = ""
    client_name: str = ""
    helo: str = ""
    authenticated: bool = False
    tls_name: str = ""
    listener: str = ""
    recipients: tuple[str, ...] = ()


class Hop(Struct, frozen=True, gc=False):
    """One ``Received`` field, read by its grammar (RFC 5321 section 4.4). Unknown parts are ``""``.

    ``helo`` is the name the from-clause claims, ``from_name`` the name in its comment that the stamping
    server looked up itself, ``version`` the version as stamped, ``build`` the same as integers.
    """

    by: str = ""
    by_ip: str = ""
    helo: str = ""
    from_name: str = ""
    from_ip: str = ""
    protocol: str = ""
    software: str = "unknown"
    version: str = ""
    build: Build | None = None
    submission: bool = False
    """Taken from a local process or mailbox (pickup, mapi, LMTP, ``with local``), not from a peer."""


class Handover(Struct, frozen=True, gc=False):
    """Who handed the message over, as far as the trace tells.

    ``index`` is the place in the trace (top first) of the hop that shows the server: the handover hop if
    ``relation`` is direct, a deeper one if it is behind a relay, None if nothing is recognised. ``build`` is
    the highest build that the same host stamped in this message: a lower bound. ``line`` is the evidence, one
    printable ASCII line without recipient, at most 500 characters, fit to be shown.
    """

    relation: Relation = Relation.NONE
    index: int | None = None
    software: str = "unknown"
    version: str = ""
    build: Build | None = None
    name: str = ""
    confidence: Confidence = Confidence.NONE
    line: str = ""
    client_ip: str = ""
    """The host that speaks: the session's client, or the peer of the outermost trusted relay."""
    client_name: str = ""


class Sighting(Struct, frozen=True, gc=False):
    """One message's evidence about one server: who, which build, when (UTC, seconds since 1970), how sure."""

    at: float
    name: str
    network: str
    """The client network in CIDR form: /24 for IPv4, /48 for IPv6."""
    software: str
    build: Build | None
    relation: Relation
    confidence: Confidence
    client_ip: str = ""
    client_name: str = ""
    version: str = ""
    line: str = ""
