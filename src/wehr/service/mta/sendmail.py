"""Sendmail: which filters its sendmail.cf names, and the line of sendmail.mc that adds Wehr.

cf/README, MILTER: ``INPUT_MAIL_FILTER`` in sendmail.mc makes an ``X`` line and an entry of
``InputMailFilters`` in sendmail.cf (op.me, 5.12). ``sendmail.cf`` is made of ``sendmail.mc`` with m4; it is
replaced here only if the old one is just what the old ``sendmail.mc`` makes.
"""

import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct

from wehr.service.mta.change import CannotChange, Change, Plan, read_text
from wehr.service.mta.door import place_of
from wehr.service.mta.places import Doors, Place, preferred, reaching, read
from wehr.service.mta.programs import run, where
from wehr.service.mta.types import Finding, Level, NotThere

DEFAULT: Final = Path("/etc/mail")
_PROGRAMS: Final = (
    "/usr/libexec/sendmail/sendmail",
    "/usr/lib/sm.bin/sendmail",
    "sendmail",
    "sendmail.sendmail",
)
_TIMES: Final = "T=C:3s;S:3s;R:3s;E:10s"
_FILTER: Final = re.compile(r"^X([^,\s]+)\s*,\s*(.*)$", re.MULTILINE)
_USED: Final = re.compile(r"^O\s+InputMailFilters\s*=\s*(.*)$", re.MULTILINE)
_FOLDER: Final = re.compile(r"^##### using (\S+) as configuration include directory", re.MULTILINE)
_BEFORE: Final = re.compile(r"^(?:(?:INPUT_)?MAIL_FILTER|MAILER)\(", re.MULTILINE)


class Filter(Struct, frozen=True):
    """An ``X`` line."""

    name: str
    place: Place | None
    flags: str
    times: str


class Configuration(Struct, frozen=True):
    """One folder with a sendmail.cf."""

    program: str
    folder: Path
    text: str

    @property
    def name(self) -> str:
        """For findings."""
        return f"Sendmail ({self.folder})"


def find(named: Sequence[Path] = ()) -> list[Path]:
    """The configuration folders: those named, or the usual one, if Sendmail is here."""
    if named:
        return list(named)
    return [DEFAULT] if (DEFAULT / "sendmail.cf").is_file() and _program() else []


def _program() -> str | None:
    """The real one: other mail systems bring a program of this name too."""
    for name in _PROGRAMS:
        found = where(name)
        if found and re.match(r"Version \d", run([found, "-d0.1", "-bt", "-C", "/dev/null"]).out):
            return found
    return None


def load(folder: Path) -> Configuration:
    """Read a configuration.

    Raises:
        NotThere: Sendmail is not installed, or not configured there.
    """
    program = _program()
    if program is None:
        raise NotThere("Sendmail is not installed")
    try:
        return Configuration(program, folder, read_text(folder / "sendmail.cf"))
    except CannotChange as error:
        raise NotThere(str(error)) from None


def filters(text: str) -> list[Filter]:
    """The filters of a sendmail.cf that are used, in order."""
    known = {}
    for name, rest in _FILTER.findall(text):
        pairs = (part.strip().partition("=") for part in rest.split(","))
        fields = {key.strip(): value.strip() for key, _, value in pairs}
        known[name] = Filter(name, read(fields.get("S", "")), fields.get("F", ""), fields.get("T", ""))
    used = _USED.search(text)
    names = [name.strip() for name in re.split(r"[,;]", used[1])] if used else []
    return [known[name] for name in names if name in known]


def look(folder: Path, doors: Doors) -> Iterator[Finding]:
    """How the configuration there is wired.

    Raises:
        NotThere: there is none.
    """
    return examine(load(folder), doors.milter)


def examine(sendmail: Configuration, doors: Sequence[Place]) -> Iterator[Finding]:
    """How it is wired to the milter door."""
    about, here = sendmail.name, preferred(doors)
    if here is None:
        yield Finding(
            Level.ODD,
            about,
            "Wehr's milter door is closed",
            'wehr.toml: [milter] listen = ["127.0.0.1:8893"]',
        )
        return
    used = filters(sendmail.text)
    ours = [it for it in used if it.place and any(reaching((it.place,), doors))]
    remedy = f"sendmail.mc: {line(here)}"
    if not ours:
        others = ", ".join(str(it.place) for it in used) or "nobody"
        source = sendmail.folder / "sendmail.mc"
        known = source.is_file() and here.sendmail in read_text(source)
        why = "; sendmail.mc does, but sendmail.cf was not made anew" if known else ""
        yield Finding(
            Level.WRONG,
            about,
            f"is not wired to Wehr: InputMailFilters names {others}{why}",
            f"run: make -C {sendmail.folder}, and restart Sendmail" if known else remedy,
        )
        return
    if len(ours) > 1:
        names = " and ".join(it.name for it in ours)
        yield Finding(
            Level.WRONG,
            about,
            f"asks Wehr {len(ours)} times for each message: {names}",
            f"sendmail.mc: leave one, {line(here)}",
        )
        return
    problems = list(_faults(about, ours[0], remedy))
    yield from problems
    if not problems:
        yield Finding(Level.OK, about, f"asks Wehr at {ours[0].place}; without it, mail is accepted")
    if used[0] is not ours[0]:
        yield Finding(
            Level.INFO, about, "other filters come before Wehr: put first, it spares them what it refuses"
        )


def _faults(about: str, ours: Filter, remedy: str) -> Iterator[Finding]:
    answers = {"R": "554", "T": "451", "4": "421"}
    if ours.flags in answers:
        text = f"while Wehr is down, mail is answered {answers[ours.flags]}: F={ours.flags}"
        yield Finding(Level.WRONG, about, text, remedy)
    # Without T=, Sendmail waits 5 minutes for a connection, and as long for the end of a message.
    if not all(f"{step}:" in ours.times for step in "CSRE"):
        text = f"a hung Wehr holds up each message: T={ours.times or ' is not set'}"
        yield Finding(Level.ODD, about, text, remedy)
    if ours.place and ours.place.path and (unsafe := _unsafe(Path(ours.place.path))):
        yield Finding(
            Level.WRONG,
            about,
            f"does without Wehr: {unsafe} is writable by others, and so the socket unsafe",
            f"run: chmod go-w {unsafe}; or use TCP",
        )


def _unsafe(path: Path) -> Path | None:
    """The folder on the way that makes Sendmail distrust a socket (libmilter's and sendmail's safefile)."""
    for folder in path.absolute().parents:
        try:
            mode = folder.stat().st_mode
        except OSError:
            continue
        if mode & 0o022 and not mode & 0o1000:
            return folder
    return None


def line(place: Place) -> str:
    """What sendmail.mc is to hold; no ``F=``, for that means: without an answer, accept."""
    return f"INPUT_MAIL_FILTER(`wehr', `S={place.sendmail}, {_TIMES}')dnl"


def plan(folder: Path | None, doors: Sequence[Place]) -> Plan:
    """What adds the filter; no changes if it is there.

    Raises:
        CannotChange: it cannot be done this way; the text says what to do by hand.
        NotThere: there is no Sendmail.
    """
    sendmail, here = load(folder or DEFAULT), place_of("milter", doors)
    compiled, source = sendmail.folder / "sendmail.cf", sendmail.folder / "sendmail.mc"
    command = [sendmail.program, "-C", str(compiled), "-bt", "-d0.4"]
    reload = ("systemctl", "restart", "sendmail") if where("systemctl") else ("killall", "-HUP", "sendmail")
    found = list(examine(sendmail, doors))
    if any(it.level is Level.OK for it in found):
        return Plan((), lambda: run(command), reload)
    if found[0].level is Level.ODD or any(it.name == "wehr" for it in filters(sendmail.text)):
        raise CannotChange(f"{found[0].text}; by hand: {found[0].remedy}")
    if not source.is_file():
        after = added_to_cf(sendmail.text, here)
        return Plan((Change(compiled, sendmail.text, after),), lambda: run(command), reload)
    text = read_text(source)
    after = added(text, here)
    by_hand = f"put this into {source} and make {compiled.name} anew:\n{line(here)}"
    if _significant(_made(sendmail, text, by_hand)) != _significant(sendmail.text):
        raise CannotChange(f"{compiled} is not what {source.name} makes; {by_hand}")
    changes = (Change(source, text, after), Change(compiled, sendmail.text, _made(sendmail, after, by_hand)))
    return Plan(changes, lambda: run(command), reload)


def added(text: str, place: Place) -> str:
    """sendmail.mc with the line before the first filter or mailer."""
    match = _BEFORE.search(text)
    at = match.start() if match else len(text)
    gap = "" if text[:at].endswith("\n") or not at else "\n"
    return f"{text[:at]}{gap}{line(place)}\n{text[at:]}"


def added_to_cf(text: str, place: Place) -> str:
    """sendmail.cf with the filter, for who has no sendmail.mc."""
    wehr = f"Xwehr, S={place.sendmail}, {_TIMES}\n"
    if used := _USED.search(text):
        names = (
            f"O InputMailFilters=wehr, {used[1].strip()}" if used[1].strip() else "O InputMailFilters=wehr"
        )
        text = text[: used.start()] + names + text[used.end() :]
    else:
        # Behind the last option, for op.me wants options before what they are used by.
        options = list(re.finditer(r"^O .*\n", text, re.MULTILINE))
        at = options[-1].end() if options else 0
        text = f"{text[:at]}O InputMailFilters=wehr\n{text[at:]}"
    return text.rstrip("\n") + f"\n\n{wehr}"


def _made(sendmail: Configuration, text: str, by_hand: str) -> str:
    """What m4 makes of a sendmail.mc, by the macros that the present sendmail.cf was made with."""
    told, m4 = _FOLDER.search(sendmail.text), where("m4")
    base = Path(told[1]) if told else Path("/usr/share/sendmail/cf")
    macros = base / "m4" / "cf.m4"
    if m4 is None or not macros.is_file():
        raise CannotChange(f"there is no m4, or no {macros}; {by_hand}")
    with tempfile.TemporaryDirectory(prefix="wehr-setup-") as scratch:
        draft = Path(scratch, "sendmail.mc")
        draft.write_bytes(text.encode("utf-8", "surrogateescape"))
        done = run([m4, f"-D_CF_DIR_={base}/", str(macros), str(draft)], sendmail.folder)
    if done.code:
        raise CannotChange(f"m4 cannot make sendmail.cf: {done.said}; {by_hand}")
    return done.out


def _significant(text: str) -> list[str]:
    """All but comments, which tell who made it, when and where."""
    return [line for line in text.splitlines() if line and not line.startswith("#")]
