"""OpenSMTPD: whether its listeners pass mail through ``wehr filter opensmtpd``, and the lines for it.

smtpd.conf(5): ``filter NAME proc-exec COMMAND``, ``filter NAME chain { NAME, ... }``, ``listen on ... filter
NAME``. A listener has one filter; several go into a chain.
"""

import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct

from wehr.service.mta import reach
from wehr.service.mta.change import CannotChange, Change, Plan, by_hand, read_text
from wehr.service.mta.door import closed, place_of
from wehr.service.mta.places import Doors, Place, reaching, read
from wehr.service.mta.programs import run, where
from wehr.service.mta.types import Finding, Level, NotThere

_FILES: Final = (Path("/etc/smtpd.conf"), Path("/etc/mail/smtpd.conf"), Path("/etc/opensmtpd/smtpd.conf"))
_NAME: Final = "wehr"
_WORD: Final = re.compile(r'"((?:[^"\\]|\\.)*)"|([{}])|,|([^\s{},"]+)')
_FILTER: Final = re.compile(r"\bfilter\s+(\"[^\"]+\"|[^\s\"{}]+)")
_INSTALL: Final = "install Wehr where this user can run it, such as /opt/wehr"


class Listener(Struct, frozen=True):
    """A ``listen on`` line: its number from 0, its words, and the filter that it names."""

    number: int
    words: tuple[str, ...]
    filter: str

    @property
    def public(self) -> bool:
        """Whether strangers hand mail over here: not the local socket, nor where a log-in is demanded."""
        return self.words[2:3] != ("socket",) and "auth" not in self.words

    @property
    def name(self) -> str:
        """For findings."""
        return " ".join(self.words[:5] if self.words[3:4] == ("port",) else self.words[:3])


class Configuration(Struct, frozen=True):
    """One smtpd.conf."""

    program: str
    file: Path
    text: str
    version: str

    @property
    def about(self) -> str:
        """For findings."""
        return f"OpenSMTPD ({self.file})"


def find(named: Sequence[Path] = ()) -> list[Path]:
    """The configuration files: those named, or where distributions put it, if OpenSMTPD is here."""
    if named:
        return list(named)
    return [file for file in _FILES if file.is_file()][:1] if _version() else []


def _version() -> str:
    program = where("smtpd")
    if program is None:
        return ""
    match = re.search(r"OpenSMTPD ([\d.]+\w*)", run([program, "-h"]).said)
    return match[1] if match else ""


def load(file: Path) -> Configuration:
    """Read a configuration.

    Raises:
        NotThere: OpenSMTPD is not installed, or not configured there.
    """
    version = _version()
    if not version:
        raise NotThere("OpenSMTPD is not installed")
    try:
        return Configuration(where("smtpd") or "", file, read_text(file), version)
    except CannotChange as error:
        raise NotThere(str(error)) from None


def _lines(text: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Each logical line's words, and its number from 0; one that ends with a backslash goes on."""
    start, whole = 0, ""
    for number, line in enumerate(text.split("\n")):
        start = start if whole else number
        whole += line.removesuffix("\\") if line.endswith("\\") else line
        if line.endswith("\\"):
            continue
        bare = re.sub(r'("(?:[^"\\]|\\.)*")|#.*', lambda it: it[1] or "", whole)
        yield start, tuple(it[1] or it[2] or it[3] for it in _WORD.finditer(bare) if it[0] != ",")
        whole = ""


def listeners(text: str) -> list[Listener]:
    """The ways in."""
    found = []
    for number, words in _lines(text):
        if words[:2] == ("listen", "on"):
            named = words[words.index("filter") + 1] if "filter" in words[:-1] else ""
            found.append(Listener(number, words, named))
    return found


def filters(text: str) -> dict[str, tuple[str, ...]]:
    """Each filter's words after its name."""
    return {words[1]: words[2:] for _, words in _lines(text) if words[:1] == ("filter",) and len(words) > 2}


def asks(text: str, name: str) -> list[Place]:
    """Where a filter, or one that its chain names, asks Wehr."""
    known = filters(text)
    processes = {words[1]: words[2] for _, words in _lines(text) if words[:1] == ("proc",) and len(words) > 2}
    found = []
    chained = (
        [it for it in known.get(name, ())[1:] if it not in "{}"]
        if known.get(name, ())[:1] == ("chain",)
        else [name]
    )
    for it in chained:
        words = known.get(it, ())
        command = (
            words[1] if words[:1] == ("proc-exec",) else processes.get(words[1], "") if len(words) > 1 else ""
        )
        if place := _asked_by(command):
            found.append(place)
    return found


def _asked_by(command: str) -> Place | None:
    try:
        words = shlex.split(command)
    except ValueError:
        return None
    if words[-2:] != ["filter", "opensmtpd"] and "opensmtpd" not in words:
        return None
    return read(words[words.index("--ask") + 1]) if "--ask" in words[:-1] else Place("127.0.0.1", 8898)


def look(file: Path, doors: Doors) -> Iterator[Finding]:
    """How the configuration there is wired.

    Raises:
        NotThere: there is none.
    """
    smtpd = load(file)
    checked = run([smtpd.program, "-n", "-f", str(file)])
    # Who is not root cannot have it checked.
    if checked.code and os.geteuid() == 0:
        yield Finding(Level.WRONG, smtpd.about, f"smtpd cannot read it: {checked.said}")
    yield from examine(smtpd, doors.line)


def examine(smtpd: Configuration, doors: Sequence[Place]) -> Iterator[Finding]:
    """How it is wired to the line door."""
    about = smtpd.about
    remedy = f"run: wehr setup opensmtpd --config-file {smtpd.file} --write"
    public = [it for it in listeners(smtpd.text) if it.public]
    asked = {it.number: asks(smtpd.text, it.filter) for it in public}
    if not doors:
        yield closed("line", about, asked=any(asked.values()))
        return
    if not public:
        yield Finding(Level.ODD, about, "has no listener for strangers")
    for it in public:
        leading = list(reaching(asked[it.number], doors))
        if len(asked[it.number]) > 1:
            yield Finding(
                Level.WRONG,
                about,
                f"{it.name}: asks Wehr twice for each message",
                "smtpd.conf: leave one in the chain",
            )
        elif leading:
            yield from _examine_filter(smtpd, it, leading[0])
        elif asked[it.number]:
            text = f"{it.name}: asks {asked[it.number][0]}, where Wehr is not"
            yield Finding(Level.WRONG, about, text, f"smtpd.conf: --ask {place_of('line', doors)}")
        else:
            yield Finding(Level.WRONG, about, f"{it.name}: is not wired to Wehr", remedy)


def _examine_filter(smtpd: Configuration, listener: Listener, place: Place) -> Iterator[Finding]:
    command = _command_in(smtpd.text)
    if command and (problem := _cannot_start(command)):
        yield Finding(Level.WRONG, smtpd.about, f"{problem}, and smtpd ends with its filter", _INSTALL)
        return
    yield Finding(
        Level.OK, smtpd.about, f"{listener.name}: asks Wehr at {place}; without it, mail is accepted"
    )


def _cannot_start(command: str) -> str | None:
    """What keeps smtpd from starting a filter: it does so as its own user."""
    who = reach.user("_smtpd") or reach.user("opensmtpd")
    problem = reach.to_program(Path(shlex.split(command)[0]), who) if who else None
    return f"the filter cannot be started: {problem}" if problem else None


def _command_in(text: str) -> str | None:
    """The command of the filter that asks Wehr; not of one for which a user of its own is set (``proc``)."""
    commands = (
        words[1] for words in filters(text).values() if words[:1] == ("proc-exec",) and len(words) > 1
    )
    return next((command for command in commands if _asked_by(command)), None)


def program() -> str:
    """The command line of this very Wehr."""
    script = Path(sys.argv[0])
    found = shutil.which(script) if script.name == "wehr" else None
    beside = Path(sys.executable).with_name("wehr")
    path = Path(found).absolute() if found else beside if beside.exists() else None
    return str(path) if path else f"{sys.executable} -m wehr"


def plan(file: Path | None, doors: Sequence[Place]) -> Plan:
    """What passes the mail of strangers through the filter; no changes if that is so.

    Raises:
        CannotChange: it cannot be done this way; the text says what to do by hand.
        NotThere: there is no OpenSMTPD.
    """
    found = find([file] if file else [])
    if not found:
        raise NotThere("OpenSMTPD is not installed, or has no smtpd.conf")
    smtpd, here = load(found[0]), place_of("line", doors)
    command = f"{program()} filter opensmtpd --ask {here}"
    after = wired(smtpd.text, doors, command)
    if after != smtpd.text and (problem := _cannot_start(command)):
        raise CannotChange(f"{problem}, and smtpd ends with its filter; {_INSTALL}")
    if after == smtpd.text:
        by_hand(examine(smtpd, doors))
    changes = () if after == smtpd.text else (Change(smtpd.file, smtpd.text, after),)
    reload = ("systemctl", "restart", "opensmtpd") if where("systemctl") else ("rcctl", "restart", "smtpd")
    notes = ("smtpd cannot reload its filters: it is restarted",)
    return Plan(changes, lambda: run([smtpd.program, "-n", "-f", str(smtpd.file)]), reload, notes)


def wired(text: str, doors: Sequence[Place], command: str) -> str:
    """The configuration with the filter on every listener for strangers.

    Raises:
        CannotChange: there is no such listener, or a filter of this name asks elsewhere.
    """
    public = [it for it in listeners(text) if it.public]
    if not public:
        raise CannotChange(
            "smtpd.conf has no listener for strangers; add one, such as: listen on all port 25"
        )
    missing = [it for it in public if not list(reaching(asks(text, it.filter), doors))]
    if not missing:
        return text
    known = filters(text)
    if _NAME in known and not list(reaching(asks(text, _NAME), doors)):
        raise CannotChange(
            f'a filter "{_NAME}" is there and does not ask at {next(iter(doors))}; mend it: "{command}"'
        )
    lines = text.split("\n")
    fresh = [] if _NAME in known else [f'filter "{_NAME}" proc-exec "{command}"']
    for it in missing:
        name = _NAME
        if it.filter:
            name = f"{_NAME}-{it.filter}"
            others = [one for one in known.get(it.filter, ())[1:] if one not in "{}"]
            chained = others if known.get(it.filter, ())[:1] == ("chain",) else [it.filter]
            names = ", ".join(f'"{one}"' for one in (_NAME, *chained))
            chain = f'filter "{name}" chain {{ {names} }}'
            fresh += [] if chain in fresh or name in known else [chain]
        lines[it.number] = _with_filter(lines[it.number], name, replace=bool(it.filter))
    first = min(it.number for it in listeners(text))
    return "\n".join((*lines[:first], *fresh, *lines[first:]))


def _with_filter(line: str, name: str, *, replace: bool) -> str:
    if replace:
        changed, times = _FILTER.subn(f'filter "{name}"', line, count=1)
        if not times:
            raise CannotChange(f'put filter "{name}" on this listener by hand: {line}')
        return changed
    bare, hash_, comment = line.partition("#")
    going_on = bare.rstrip().endswith("\\")
    bare = bare.rstrip().removesuffix("\\").rstrip()
    tail = " \\" if going_on else f" {hash_}{comment}" if hash_ else ""
    return f'{bare} filter "{name}"{tail}'
