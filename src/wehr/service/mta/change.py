"""A change of a mail system's configuration: shown as a diff, or made with backup, check and a way back."""

import difflib
import os
import tempfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from msgspec import Struct

from wehr.service.mta.programs import Ran
from wehr.service.mta.types import Finding, Level


class CannotChange(Exception):
    """Nothing was changed, or everything is as it was; one line that says why, and what to do."""


class Change(Struct, frozen=True):
    """One file, before and after; ``before`` is None where there is none yet."""

    file: Path
    before: str | None
    after: str


class Plan(Struct, frozen=True):
    """All that one set-up changes; without changes nothing is left to do."""

    changes: tuple[Change, ...]
    check: Callable[[], Ran]
    """Has the mail system look at its configuration, once it is written."""
    reload: tuple[str, ...]
    """The command that brings it into force."""
    notes: tuple[str, ...] = ()
    """What else an administrator should know."""


class Written(Struct, frozen=True):
    """A file that was written, and its backup if there was something to keep."""

    file: Path
    backup: Path | None


def read_text(file: Path) -> str:
    """A configuration file's text, from which its bytes can be made again.

    Raises:
        CannotChange: it cannot be read.
    """
    try:
        return file.read_bytes().decode("utf-8", "surrogateescape")
    except OSError as error:
        raise CannotChange(f"{file} cannot be read: {error.strerror}") from None


def by_hand(findings: Iterable[Finding]) -> None:
    """Refuse if something is wrong that this room has no change for.

    Raises:
        CannotChange: the first such thing, and what mends it.
    """
    for finding in findings:
        if finding.level is Level.WRONG:
            raise CannotChange(f"{finding.text}; by hand: {finding.remedy}")


def diff(change: Change) -> str:
    """The change as ``patch`` reads it."""
    lines = difflib.unified_diff(
        (change.before or "").splitlines(keepends=True),
        change.after.splitlines(keepends=True),
        str(change.file) if change.before is not None else "/dev/null",
        str(change.file),
    )
    shown = "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )
    return shown.encode("utf-8", "backslashreplace").decode()


def apply(plan: Plan, now: float) -> list[Written]:
    """Make the change; ``now`` (UTC seconds since 1970) names the backups.

    Raises:
        CannotChange: a file has changed meanwhile or cannot be written, or the mail system does not like the
            outcome. Then everything is as it was.
    """
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    done: list[Written] = []
    try:
        for change in plan.changes:
            done.append(_write(change, stamp))  # noqa: PERF401 - those before one that fails must be known
        _check(plan)
    except BaseException as error:
        for written in reversed(done):
            _undo(written)
        if isinstance(error, OSError):
            raise CannotChange(f"{error.filename}: {error.strerror}; nothing is changed") from None
        raise
    return done


def _check(plan: Plan) -> None:
    checked = plan.check()
    if checked.code:
        raise CannotChange(f"the mail system does not take it, so nothing is changed: {checked.said}")


def _write(change: Change, stamp: str) -> Written:
    """Replace the file in one step, with its owner and mode; a link goes on pointing where it points."""
    file = change.file.resolve()
    if change.before is None:
        if file.exists():
            raise CannotChange(f"{file} exists meanwhile; look at it, then try again")
        _replace(file, change.after, None)
        return Written(file, None)
    if read_text(file) != change.before:
        raise CannotChange(f"{file} was changed meanwhile; try again")
    backup = _kept(file, f"{file.name}.wehr-{stamp}")
    try:
        _replace(file, change.after, backup.stat())
    except BaseException:
        backup.unlink()
        raise
    return Written(file, backup)


def _kept(file: Path, name: str) -> Path:
    """A second name for the file, which is all that is left of it once the first one is given away."""
    for number in count(1):
        backup = file.with_name(name if number == 1 else f"{name}-{number}")
        with suppress(FileExistsError):
            os.link(file, backup)
            break
    return backup


def _replace(file: Path, text: str, like: os.stat_result | None) -> None:
    number, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    try:
        with os.fdopen(number, "wb") as draft:
            draft.write(text.encode("utf-8", "surrogateescape"))
            if like:
                os.fchown(number, like.st_uid, like.st_gid)
            os.fchmod(number, like.st_mode & 0o7777 if like else 0o644)
            draft.flush()
            os.fsync(number)
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _undo(written: Written) -> None:
    """The backup is the very file, with its owner, mode and times."""
    with suppress(OSError):
        if written.backup:
            written.backup.replace(written.file)
        else:
            written.file.unlink()
