"""What can be set of the doors: their addresses, what they may cost, and what only one kind can be told."""

import ipaddress
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from wehr.doors.clients import Terms
from wehr.evidence.lists import Networks
from wehr.policy.scope import spellings

_SEVERAL: Final = frozenset(("0.0.0.0", "::", "localhost"))  # noqa: S104 - told apart, not listened on
"""Hosts that stand for more than one address of this machine."""


def split_address(address: str) -> tuple[str, int]:
    """``HOST:PORT`` or ``[IPV6]:PORT`` as host and port.

    Raises:
        ValueError: it is neither.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"{address!r} is not HOST:PORT")
    return host.removeprefix("[").removesuffix("]"), int(port)


class Door(Struct, frozen=True, forbid_unknown_fields=True):
    """A way in which mail systems ask: its sockets, and what they may cost."""

    listen: Annotated[
        tuple[str, ...], Meta(description="TCP addresses as HOST:PORT; an empty list for none.")
    ] = ()
    socket: Annotated[
        str, Meta(description="Unix socket; a relative path is inside the state folder; empty for none.")
    ] = ""
    socket_mode: Annotated[
        str,
        Meta(
            pattern="^0?[0-7]{3}$",
            description="Permissions of the socket, octal. As open as the TCP address is; "
            "to narrow it set 0660 and the mail system's group.",
        ),
    ] = "0666"
    socket_group: Annotated[
        str, Meta(description="Group of the socket, such as postfix; empty leaves it.")
    ] = ""
    max_connections: Annotated[
        int,
        Meta(
            ge=1,
            le=100_000,
            description="Connections at a time; for one more the longest silent one makes way, or it is "
            "closed itself, and its mail accepted.",
        ),
    ] = 5000
    idle_timeout: Annotated[
        int,
        Meta(
            ge=10,
            le=86_400,
            description="Seconds without a whole question after which a connection is closed: it says "
            "nothing while a client sends a long message.",
        ),
    ] = 3600

    def __post_init__(self) -> None:
        for address in self.listen:
            split_address(address)


class Milter(Door, frozen=True, forbid_unknown_fields=True):
    """The milter door, for Postfix and Sendmail."""

    listen: Annotated[
        tuple[str, ...], Meta(description="TCP addresses as HOST:PORT; an empty list for none.")
    ] = ("127.0.0.1:8893",)
    socket: Annotated[
        str, Meta(description="Unix socket; a relative path is inside the state folder; empty for none.")
    ] = "milter.sock"


class Line(Door, frozen=True, forbid_unknown_fields=True):
    """The line door, for Exim, OpenSMTPD and others. Without an address or socket it is closed."""


class PolicyService(Door, frozen=True, forbid_unknown_fields=True):
    """The door for Postfix's check_policy_service. Without an address or socket it is closed."""


class Socketmap(Door, frozen=True, forbid_unknown_fields=True):
    """The door for Postfix's smtpd_milter_maps, which lets sessions of well-known clients pass unseen.

    Without an address or socket it is closed.
    """

    milters: Annotated[
        str,
        Meta(
            pattern="^[!-~][ -~]*$",
            description="What takes the place of smtpd_milters for such a client: DISABLE, which turns off "
            "every milter, or those other than Wehr as smtpd_milters names them.",
        ),
    ] = "DISABLE"
    days: Annotated[
        int, Meta(ge=1, le=30, description="Of the last 30 days, those on which it must have been busy.")
    ] = 14
    daily: Annotated[int, Meta(ge=1, description="Messages that make a busy day, in one worker.")] = 20
    one_in: Annotated[
        int, Meta(ge=2, le=1000, description="One in so many of its sessions is watched all the same.")
    ] = 20
    relays: Annotated[
        bool,
        Meta(
            description="Whether a client may pass behind which Exchange servers stand, that are only "
            "reported: they are then seen in the watched sessions alone."
        ),
    ] = False

    @property
    def terms(self) -> Terms | None:
        """When a client passes; None if the door is closed."""
        if not self.listen and not self.socket:
            return None
        return Terms(self.milters, self.days, self.daily, self.one_in, self.relays)


class Http(Door, frozen=True, forbid_unknown_fields=True):
    """The HTTP door, for rspamd, Haraka, KumoMTA and Stalwart. Without an address or socket it is closed."""

    tokens: Annotated[
        tuple[Annotated[str, Meta(pattern="^[0-9a-f]{64}$")], ...],
        Meta(
            description="SHA-256 (printf %s TOKEN | sha256sum) of the tokens of which a request must "
            "bear one; needed for addresses beyond loopback."
        ),
    ] = ()
    max_body: Annotated[
        int,
        Meta(
            ge=64 << 10,
            le=64 << 20,
            description="Bytes kept of a request's body; Stalwart's longer ones are answered all the same.",
        ),
    ] = 256 << 10
    max_connections: Annotated[
        int,
        Meta(
            ge=1,
            le=100_000,
            description="Connections at a time; for one more the longest silent one makes way, or it is "
            "closed itself, and its mail accepted.",
        ),
    ] = 1000
    idle_timeout: Annotated[
        int,
        Meta(
            ge=10,
            le=86_400,
            description="Seconds without a complete request after which a connection is closed.",
        ),
    ] = 60

    def __post_init__(self) -> None:
        super().__post_init__()
        open_to_all = [address for address in self.listen if not _is_loopback(split_address(address)[0])]
        if open_to_all and not self.tokens:
            raise ValueError(f"{open_to_all[0]} is not loopback, so http.tokens must name a token")


class Smtp(Struct, frozen=True, forbid_unknown_fields=True):
    """The SMTP proxy, in front of a mail system that cannot ask. Without an address it is closed."""

    listen: Annotated[
        tuple[str, ...], Meta(description="TCP addresses as HOST:PORT for clients; an empty list for none.")
    ] = ()
    next_hop: Annotated[
        str, Meta(description="The mail system that mail goes on to: HOST:PORT, or a unix socket's path.")
    ] = ""
    tell_client: Annotated[
        Literal["xclient", "proxy", "xforward", "received"],
        Meta(
            description="How it learns who the client is: XCLIENT, PROXY protocol 2, XFORWARD, or a Received "
            "field. With the last two it sees all mail come from Wehr, so domains must be named."
        ),
    ] = "xclient"
    domains: Annotated[
        tuple[str, ...],
        Meta(
            description="Recipient domains that mail is taken for at all; a leading dot covers all below. "
            "Empty: the next hop decides alone."
        ),
    ] = ()
    balancers: Annotated[
        tuple[str, ...],
        Meta(
            description="Networks of load balancers in front, which must say by PROXY protocol 2 who the "
            "client is; nobody else may. Empty: none."
        ),
    ] = ()
    refuse_early: Annotated[
        bool,
        Meta(
            description="Whether a server of the last stage is refused at RCPT, but for one message every "
            "few minutes that shows a cure."
        ),
    ] = False
    look_up_names: Annotated[
        bool, Meta(description="Whether a client's host name is looked up, and that it leads back.")
    ] = True
    certificate: Annotated[
        str, Meta(description="PEM file with the certificate for STARTTLS; empty: it is not offered.")
    ] = ""
    key: Annotated[str, Meta(description="PEM file with its key; empty: it is in the same file.")] = ""
    tls_required: Annotated[bool, Meta(description="Whether mail is taken over TLS only.")] = False
    client_ca: Annotated[
        str,
        Meta(
            description="PEM file with authorities whose certificates clients may show, for connectors; a "
            "client that shows another is not served. Empty: none is asked for."
        ),
    ] = ""
    next_hop_tls: Annotated[
        Literal["off", "offered", "required", "verified"],
        Meta(description="STARTTLS with the next hop: never, if offered, always, with its name verified."),
    ] = "offered"
    next_hop_ca: Annotated[
        str, Meta(description="PEM file with the authorities to verify it by; empty: the system's.")
    ] = ""
    next_hop_name: Annotated[
        str, Meta(description="Its name in the certificate; empty: the host of next_hop.")
    ] = ""
    max_connections: Annotated[
        int,
        Meta(
            ge=1,
            le=100_000,
            description="Clients at a time; for one more the one silent for longest is told to come again.",
        ),
    ] = 1000
    max_per_network: Annotated[
        int,
        Meta(
            ge=0,
            le=100_000,
            description="Of them, those from one network (/24, /48) of the Internet that is not one's own, a "
            "trusted relay's or a balancer's. 0: no such limit.",
        ),
    ] = 100
    idle_timeout: Annotated[
        int,
        Meta(
            ge=10,
            le=86_400,
            description="Seconds a client may be silent, or fall behind 500 bytes a second in a message; RFC "
            "5321 gives it 300.",
        ),
    ] = 300

    def __post_init__(self) -> None:
        for address in self.listen:
            split_address(address)
        Networks(self.balancers)
        for domain in self.domains:
            spellings(domain)
        if self.listen and not self.next_hop:
            raise ValueError("smtp.listen needs smtp.next_hop")
        if self.next_hop and not self.next_hop.startswith("/"):
            split_address(self.next_hop)
            if any(_leads_to(self.next_hop, address) for address in self.listen):
                raise ValueError("smtp.next_hop must be another address than smtp.listen")
        if self.tell_client in ("xforward", "received") and self.next_hop and not self.domains:
            raise ValueError(
                f"with smtp.tell_client = {self.tell_client!r} the next hop sees all mail come from Wehr, "
                "and may let everybody relay: name smtp.domains"
            )
        if not self.certificate and (self.tls_required or self.client_ca or self.key):
            raise ValueError("smtp.tls_required, client_ca and key need smtp.certificate")
        if self.next_hop_tls == "verified" and self.next_hop.startswith("/") and not self.next_hop_name:
            raise ValueError("smtp.next_hop_tls = 'verified' needs smtp.next_hop_name for a unix socket")


class Sink(Struct, frozen=True, forbid_unknown_fields=True):
    """Takes mail and drops it, to try Wehr out: who is out of date is refused at once, with a 450.

    No network is one's own there, and nothing of it is recorded. Without an address it is closed.
    """

    listen: Annotated[
        tuple[str, ...], Meta(description="TCP addresses as HOST:PORT; an empty list for none.")
    ] = ()
    maildir: Annotated[
        str,
        Meta(
            description="Maildir to keep the mail in; a relative path is inside the state folder; "
            "empty: it is dropped."
        ),
    ] = ""
    max_connections: Annotated[
        int,
        Meta(
            ge=1,
            le=100_000,
            description="Clients at a time; for one more the one silent for longest is told to come again.",
        ),
    ] = 100
    idle_timeout: Annotated[int, Meta(ge=10, le=86_400, description="Seconds a client may be silent.")] = 300

    def __post_init__(self) -> None:
        for address in self.listen:
            split_address(address)


def _leads_to(there: str, here: str) -> bool:
    """Whether who connects to the one address ends up at the other, as far as their text tells."""
    (host, port), (own, listening) = split_address(there.lower()), split_address(here.lower())
    ours = all(it in _SEVERAL or _is_loopback(it) for it in (host, own))
    several = host in _SEVERAL or own in _SEVERAL
    return port == listening and (host == own or (ours and several))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
