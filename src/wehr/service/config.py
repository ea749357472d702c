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

from wehr.ledger import Retention
from wehr.notices.settings import Notices
from wehr.policy import Policy
from wehr.service.door_settings import (
    Http,
    Line,
    Milter,
    PolicyService,
    Sink,
    Smtp,
    Socketmap,
    split_address,
)
from wehr.service.toml_lines import dotted, line_of
from wehr.web.settings import WebSettings

SEARCHED = ("wehr.toml", "$XDG_CONFIG_HOME/wehr/wehr.toml", "/etc/wehr/wehr.toml")
"""Where a configuration is looked for when none is named, first found first."""


class ConfigError(Exception):
    """The configuration cannot be used: one line with file, line, key, what was found and what is allowed."""


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
        for name in (*self.names, *self.relays):
            if "*" in name:
                raise ValueError(f"{name!r}: a leading dot covers all names below, '*' none")


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
    try:
        user = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    except RuntimeError:  # a container's user may be only a number, with no home
        user = os.devnull
    files = (Path(name.replace("$XDG_CONFIG_HOME", user)) for name in SEARCHED)
    return next((file for file in files if _there(file)), None)


def _there(file: Path) -> bool:
    try:
        return file.is_file()
    except PermissionError:
        return False  # in a folder that is closed to this user, such as root's, from which sudo was called


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
        raise ConfigError(f"{name}{line}: not TOML: {_plain(re.sub(r' .at .*', '', str(error)))}") from None
    except RecursionError:
        raise ConfigError(f"{name}: nested too deep") from None
    try:
        return msgspec.convert(data, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(_explain(str(error), data, text, name)) from None


def _plain(message: str) -> str:
    """What ``tomllib`` says of the usual slips, in words that help."""
    if twice := re.fullmatch(r"Cannot declare \((.*?),?\) twice", message):
        table = twice[1].replace("'", "").replace(", ", ".")
        return f"[{table}] is in the file twice; put its keys together"
    if message == "Cannot overwrite a value":
        return "the key is in the file twice"
    return f"{message}; a text stands in double quotes" if message == "Invalid value" else message


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
        hint = f"did you mean {near[0]!r}? " if near else ""
        if len(path) > 1 and unknown[1] in Config.__struct_fields__:
            hint = f"{unknown[1]!r} stands above the first [table]; "
        what = f"unknown key; {hint}allowed: {', '.join(names)}"
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
