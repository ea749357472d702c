"""The configuration: what may be set, its defaults, and errors that name file, line, key and remedy.

Every value has a default, so that an empty file, or none, is the embedded default: report only.
"""

import difflib
import ipaddress
import os
import re
import socket
import tomllib
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from wehr.doors.clients import Terms
from wehr.ledger import Retention
from wehr.notices.settings import Notices
from wehr.policy import Policy
from wehr.service.toml_lines import dotted, line_of
from wehr.web.settings import WebSettings

SEARCHED = ("wehr.toml", "$XDG_CONFIG_HOME/wehr/wehr.toml", "/etc/wehr/wehr.toml")
"""Where a configuration is looked for when none is named, first found first."""


class ConfigError(Exception):
    """The configuration cannot be used: one line with file, line, key, what was found and what is allowed."""


def split_address(address: str) -> tuple[str, int]:
    """``HOST:PORT`` or ``[IPV6]:PORT`` as host and port.

    Raises:
        ValueError: it is neither.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"{address!r} is not HOST:PORT")
    return host.removeprefix("[").removesuffix("]"), int(port)


class Receiver(Struct, frozen=True, forbid_unknown_fields=True):
    """The receiving side: what is one's own is never judged."""

    names: Annotated[
        tuple[str, ...], Meta(description="Host names of one's own; a leading dot covers all names below.")
    ] = ()
    networks: Annotated[
        tuple[str, ...], Meta(description="Networks of one's own: their clients are never judged.")
    ] = ("127.0.0.0/8", "::1/128")
    relays: Annotated[
        tuple[str, ...],
        Meta(
            description="Trusted relays in front of this system, as names, addresses or networks: "
            "the hop before them is judged."
        ),
    ] = ()

    def __post_init__(self) -> None:
        for network in (*self.networks, *(relay for relay in self.relays if "/" in relay)):
            ipaddress.ip_network(network, strict=False)


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
            ge=1, le=100_000, description="Connections at a time; one more is closed, and its mail accepted."
        ),
    ] = 5000
    idle_timeout: Annotated[
        int,
        Meta(
            ge=10,
            le=86_400,
            description="Seconds without a byte after which a connection is closed: it says nothing "
            "while a client sends a long message.",
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
            ge=1, le=100_000, description="Connections at a time; one more is closed, and its mail accepted."
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
        int, Meta(ge=1, le=100_000, description="Clients at a time; one more is told to come again.")
    ] = 1000
    idle_timeout: Annotated[
        int, Meta(ge=10, le=86_400, description="Seconds a client may be silent; RFC 5321 gives it 300.")
    ] = 300

    def __post_init__(self) -> None:
        for address in self.listen:
            split_address(address)
        if self.listen and not self.next_hop:
            raise ValueError("smtp.listen needs smtp.next_hop")
        if self.next_hop and not self.next_hop.startswith("/"):
            split_address(self.next_hop)
        if self.next_hop in self.listen:
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
        int, Meta(ge=1, le=100_000, description="Clients at a time; one more is told to come again.")
    ] = 100
    idle_timeout: Annotated[int, Meta(ge=10, le=86_400, description="Seconds a client may be silent.")] = 300

    def __post_init__(self) -> None:
        for address in self.listen:
            split_address(address)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Catalogue(Struct, frozen=True, forbid_unknown_fields=True):
    """What is known of versions and holes."""

    overlays: Annotated[
        str,
        Meta(
            description="Folder with catalogue files of one's own, over the built-in ones; "
            "a relative path is inside the state folder."
        ),
    ] = "catalogue"
    stale_after: Annotated[
        int, Meta(ge=1, le=3650, description="Days after which the catalogue counts as old.")
    ] = 60

    def files(self, state: Path) -> list[Path]:
        """The overlays of an installation with this state folder, in the order in which they are laid."""
        return sorted((state / self.overlays).glob("*.toml")) if self.overlays else []


class Store(Struct, frozen=True, forbid_unknown_fields=True):
    """What is remembered, and where. Needs a restart, but for the days."""

    url: Annotated[
        str,
        Meta(
            description="The store that all nodes share, such as postgresql://wehr@db.example.org/wehr; "
            "empty: a file in the state folder."
        ),
    ] = ""
    journal_bytes: Annotated[
        int,
        Meta(
            ge=64 * 2**20,
            description="Room for each worker's journal while the store is away; beyond it the oldest "
            "messages' history goes, and their sums stay.",
        ),
    ] = 2**30
    keep: Retention = Retention()

    def at(self, folder: Path) -> str:
        """The URL of the store, ``folder`` being the state folder."""
        return self.url or f"sqlite:///{folder / 'wehr.sqlite'}"


class Web(WebSettings, frozen=True, forbid_unknown_fields=True):
    """The pages and the API. Needs a restart."""

    listen: Annotated[
        tuple[str, ...],
        Meta(
            description="TCP addresses as HOST:PORT; plain HTTP, so keep to loopback; an empty list for none."
        ),
    ] = ("127.0.0.1:8894",)
    public_listen: Annotated[
        tuple[str, ...],
        Meta(
            description="Addresses on which only the public status pages are shown; empty: none of their own."
        ),
    ] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        for address in (*self.listen, *self.public_listen):
            split_address(address)


class Log(Struct, frozen=True, forbid_unknown_fields=True):
    """What is written to standard error."""

    format: Annotated[
        Literal["auto", "console", "json"],
        Meta(description="auto: coloured lines on a terminal, JSON lines elsewhere."),
    ] = "auto"
    level: Literal["debug", "info", "warning", "error"] = "info"


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that can be set."""

    host_name: Annotated[
        str, Meta(description="This receiver's name in replies; empty: the machine's own.")
    ] = ""
    status_url: Annotated[
        str,
        Meta(
            description="Where this receiver's public status pages are, for the link in replies; empty: none."
        ),
    ] = ""
    contact: Annotated[str, Meta(description="Whom the administrators of a refused server may write to.")] = (
        ""
    )
    workers: Annotated[
        int, Meta(ge=1, le=256, description="Processes that take mail, sharing the addresses.")
    ] = 1
    let_through_minutes: Annotated[
        int,
        Meta(
            ge=1,
            le=1440,
            description="Minutes between two transactions of a client refused before its headers that go on "
            "to them, to see a cure; see policy_service.",
        ),
    ] = 10
    receiver: Receiver = Receiver()
    milter: Milter = Milter()
    line: Line = Line()
    policy_service: PolicyService = PolicyService()
    socketmap: Socketmap = Socketmap()
    http: Http = Http()
    smtp: Smtp = Smtp()
    sink: Sink = Sink()
    catalogue: Catalogue = Catalogue()
    store: Store = Store()
    policy: Policy = Policy()
    notices: Notices = Notices()
    web: Web = Web()
    log: Log = Log()

    @property
    def name(self) -> str:
        """This receiver's name in replies, set or not."""
        return self.host_name or _machine_name()

    def __post_init__(self) -> None:
        if self.status_url and not re.fullmatch(r"https?://[!-$&-~]{1,200}", self.status_url):
            raise ValueError("status_url must be an http or https address without spaces or percent signs")


@cache
def _machine_name() -> str:
    # Once: it may ask the DNS, and a change of the rules is not to hold up mail for that.
    return socket.getfqdn()


def find() -> Path | None:
    """The configuration file that is used when none is named."""
    user = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    files = (Path(name.replace("$XDG_CONFIG_HOME", user)) for name in SEARCHED)
    return next((file for file in files if file.is_file()), None)


def load(file: Path | None) -> Config:
    """Read and check a configuration file; None gives the defaults.

    Raises:
        ConfigError: it cannot be read, is not TOML, or holds what is not allowed.
    """
    if file is None:
        return Config()
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(f"{file}: cannot be read: {reason}") from None
    return parse(text, str(file))


def parse(text: str, name: str) -> Config:
    """Read a configuration from its text; ``name`` is what errors call it.

    Raises:
        ConfigError: it is not TOML, or holds what is not allowed.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        where = re.search(r"\(at line (\d+), column \d+\)", str(error))
        line = f":{where[1]}" if where else ""
        raise ConfigError(f"{name}{line}: not TOML: {re.sub(r' .at .*', '', str(error))}") from None
    except RecursionError:
        raise ConfigError(f"{name}: nested too deep") from None
    try:
        return msgspec.convert(data, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(_explain(str(error), data, text, name)) from None


def _explain(message: str, data: dict[str, Any], text: str, name: str) -> str:
    """One line from msgspec's message, with the place, what was found and what is allowed."""
    what, _, where = message.partition(" - at `$")
    path: list[str | int] = [
        int(part) if part.isdecimal() else part for part in re.findall(r"[^.\[\]`]+", where) if part
    ]
    found: Any = data
    kind: Any = Config
    for part in path:
        found = _get(found, part)
        kind = _inner(kind, part)
    if unknown := re.match(r"Object contains unknown field `(.*)`", what):
        names = [field.name for field in msgspec.structs.fields(kind)] if _is_struct(kind) else []
        path.append(unknown[1])
        near = difflib.get_close_matches(unknown[1], names, 1)
        what = f"unknown key; {f'did you mean {near[0]!r}? ' if near else ''}allowed: {', '.join(names)}"
    else:
        what = f"found {found!r}: {what[:1].lower()}{what[1:]}" if path else what
        if isinstance(kind, type) and issubclass(kind, Enum):
            what += f"; allowed: {', '.join(str(member.value) for member in kind)}"
    line = line_of(text, path)
    key = dotted(path)
    return f"{name}{f':{line}' if line else ''}: {f'{key}: ' if key else ''}{what}"


def _get(value: Any, part: str | int) -> Any:
    try:
        return value[part]
    except (KeyError, IndexError, TypeError):
        return None


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Struct)


def _inner(kind: Any, part: str | int) -> Any:
    """The type of a field, or of an array's elements, as far as it can be told."""
    if _is_struct(kind):
        kind = next((field.type for field in msgspec.structs.fields(kind) if field.encode_name == part), None)
    else:
        arguments = [argument for argument in getattr(kind, "__args__", ()) if argument is not Ellipsis]
        kind = arguments[-1] if arguments else None
    while hasattr(kind, "__metadata__"):
        kind = kind.__origin__
    if kind is not None and type(None) in getattr(kind, "__args__", ()):
        kind = next(argument for argument in kind.__args__ if argument is not type(None))
    return kind
