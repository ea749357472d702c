"""What Postfix reads: its settings, the smtpds of master.cf, and lists of milters.

Read with ``postconf``, which knows defaults, ``$name`` and the overrides of master.cf. A list of milters is
``inet:HOST:PORT`` or ``{ inet:HOST:PORT, name=value ... }`` with commas or blanks between (postconf(5),
smtpd_milters; the braces since Postfix 3.0).
"""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct

from wehr.service.mta.places import Place, read
from wehr.service.mta.programs import run, where
from wehr.service.mta.types import NotThere

_ASKED: Final = (
    *("smtpd_milters", "non_smtpd_milters", "smtpd_milter_maps", "milter_default_action"),
    *("milter_connect_timeout", "milter_command_timeout", "milter_content_timeout"),
    *("mail_version", "compatibility_level", "queue_directory", "mail_owner"),
    "smtpd_policy_service_default_action",
    *(f"smtpd_{step}_restrictions" for step in ("client", "helo", "sender", "recipient", "relay")),
    *(f"smtpd_{step}_restrictions" for step in ("data", "end_of_data")),
)
_SETTINGS: Final = "default_action=accept, connect_timeout=3s, command_timeout=3s, content_timeout=10s"
_SUBMISSION: Final = frozenset({"submission", "submissions", "smtps", "465", "587"})
_ITEM: Final = re.compile(r"\{((?:[^{}]|\{[^{}]*\})*)\}|([^,\s{}]+)")
"""A word, or what is in braces, in which there may be braces once more."""
_MILTER: Final = re.compile(r"(?:unix|local):.+|inet:(?:.+:)?[\w-]+")
_OPTIONS: Final = frozenset(
    {"connect_timeout", "command_timeout", "content_timeout", "protocol", "default_action"}
)
_TIME: Final = re.compile(r"(\d+)([smhdw]?)")
_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
BLIND: Final = "no_milters"


class Service(Struct, frozen=True):
    """An smtpd of master.cf, with what it is told to do differently."""

    name: str
    kind: str
    chroot: bool
    options: dict[str, str]

    @property
    def key(self) -> str:
        """As ``postconf -P`` calls it."""
        return f"{self.name}/{self.kind}"

    @property
    def place(self) -> Place | None:
        """Where it listens, if that is written out; a port alone is one of every address."""
        return read(self.name if ":" in self.name else f"*:{self.name}") if self.kind == "inet" else None

    @property
    def public(self) -> bool:
        """Whether strangers hand mail over here: not a port for one's own users, nor one for filters."""
        host, _, port = self.name.rpartition(":")
        if self.kind == "pass":
            return True
        local = host.strip("[]") in {"127.0.0.1", "::1", "localhost"}
        overridden = "smtpd_milters" in self.options or BLIND in self.options.get(
            "receive_override_options", ""
        )
        return self.kind == "inet" and port not in _SUBMISSION and not (local and overridden)


class Instance(Struct, frozen=True):
    """One configuration folder, as Postfix itself reads it."""

    folder: Path
    settings: dict[str, str]
    services: tuple[Service, ...]

    @property
    def name(self) -> str:
        """For findings."""
        return f"Postfix ({self.folder})"


class Asked(Struct, frozen=True):
    """One entry of a list of milters or policy services."""

    text: str
    place: Place | None
    settings: dict[str, str]
    fault: str = ""
    """Why Postfix cannot read it as a milter; it then takes no mail, or takes it unasked."""

    @property
    def stray(self) -> bool:
        """Whether it is a setting that stands outside the braces of its milter."""
        name, equals, _ = self.text.partition("=")
        return bool(equals) and name in _OPTIONS


def find(folders: Sequence[Path] = ()) -> list[Path]:
    """The configuration folders: those named, or that of this machine and its further instances."""
    postconf = where("postconf")
    if folders or postconf is None:
        return list(folders)
    first = os.environ.get("MAIL_CONFIG") or run([postconf, "-d", "-h", "config_directory"]).out.strip()
    others = run([postconf, "-h", "multi_instance_directories"])
    more = re.split(r"[,\s]+", others.out.strip()) if others.code == 0 else []
    return [Path(name) for name in (first, *more) if name]


def load(folder: Path) -> Instance:
    """Read one instance.

    Raises:
        NotThere: Postfix is not installed, or not configured there.
    """
    postconf = where("postconf")
    if postconf is None:
        raise NotThere("Postfix is not installed: there is no postconf")
    command = [postconf, "-c", str(folder)]
    settings = run([*command, "-x", *_ASKED])
    if settings.code:
        raise NotThere(f"Postfix has no configuration in {folder}: {settings.said}")
    options: dict[str, dict[str, str]] = {}
    for name, value in _pairs(run([*command, "-x", "-P"]).out):
        service, _, option = name.rpartition("/")
        options.setdefault(service, {})[option] = value
    known = dict(_pairs(settings.out))
    # master(5): what is left open runs in a chroot only under the defaults of Postfix 2.
    jailed = ("y", "-") if known.get("compatibility_level") == "0" else ("y",)
    services = []
    for line in run([*command, "-M"]).out.splitlines():
        fields = line.split(None, 8)
        if len(fields) > 7 and fields[7] == "smtpd":
            key = f"{fields[0]}/{fields[1]}"
            services.append(Service(fields[0], fields[1], fields[4] in jailed, options.get(key, {})))
    return Instance(folder, known, tuple(services))


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        name, equals, value = line.partition(" =")
        if equals:
            yield name.strip(), value.strip()


def milters(value: str) -> list[Asked]:
    """What a list of milters names."""
    return [asked(match) for match in _ITEM.finditer(value)]


def asked(match: re.Match[str]) -> Asked:
    """One entry, from a match that holds what is in its braces, or else all of it."""
    inner = match[1] if match[1] is not None else match[2]
    first, *rest = [_word(it) for it in _ITEM.finditer(inner)] or [""]
    settings = {}
    fault = "" if _MILTER.fullmatch(first) else f"{first!r} is neither inet:HOST:PORT nor unix:PATH"
    for setting in rest:
        name, equals, value = (part.strip() for part in setting.partition("="))
        settings[name] = value
        if not equals:
            fault = fault or f"{name!r} is to be followed by '=' without a blank"
        elif name not in _OPTIONS:
            fault = fault or f"there is no setting {name!r}"
    return Asked(match[0], read(first), settings, fault)


def _word(match: re.Match[str]) -> str:
    return match[1].strip() if match[1] is not None else match[2]


def unreadable(value: str) -> str:
    """Why Postfix cannot read a list of milters; empty if it can."""
    if set("{}") & set(_ITEM.sub("", value)):
        return "a brace has no partner"
    return next((it.fault for it in milters(value) if it.fault), "")


def line(place: Place) -> str:
    """What ``smtpd_milters`` is to hold: without an answer, and soon, mail is accepted."""
    return f"{{ {place.postfix}, {_SETTINGS} }}"


def policy_line(place: Place) -> str:
    """What a list of restrictions is to hold."""
    return f"check_policy_service {{ {place.postfix}, timeout=3s, default_action=DUNNO }}"


def seconds(text: str) -> int:
    """A time of Postfix (``30s``, ``5m``) in seconds; 0 for what is none."""
    match = _TIME.fullmatch(text)
    return int(match[1]) * _UNITS[match[2]] if match else 0


def spaceless(value: str) -> str:
    """The same list without blanks, as an option in master.cf must be."""
    return re.sub(r"\{,|,\}", lambda it: it[0].strip(","), re.sub(r"[,\s]+", ",", value)).strip(",")
