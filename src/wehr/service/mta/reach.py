"""Whether a user can connect to a unix socket, or run a program: by the permissions on the way."""

import grp
import os
import pwd
import stat
from pathlib import Path

from msgspec import Struct

_EXECUTE, _WRITE = 0o1, 0o2


class Who(Struct, frozen=True):
    """A user, with the groups that a daemon gets from its name."""

    name: str
    uid: int
    groups: frozenset[int]


def user(name: str) -> Who | None:
    """The user of this name or number; None if there is none."""
    try:
        found = pwd.getpwuid(int(name)) if name.isdecimal() else pwd.getpwnam(name)
    except (KeyError, OverflowError):
        return None
    groups = {it.gr_gid for it in grp.getgrall() if found.pw_name in it.gr_mem}
    return Who(found.pw_name, found.pw_uid, frozenset({found.pw_gid, *groups}))


def to_socket(path: Path, who: Who) -> str | None:
    """What keeps the user from connecting there; None if nothing does."""
    try:
        status = path.stat()
    except PermissionError:
        return None  # we cannot see it ourselves, so nothing is known
    except OSError as error:
        return f"{path}: {error.strerror}"
    if not stat.S_ISSOCK(status.st_mode):
        return f"{path} is not a socket"
    return _passing(path, who) or _lacking(path, status, who, _WRITE, "writable for")


def to_program(path: Path, who: Who) -> str | None:
    """What keeps the user from running it, or the program that reads it; None if nothing does."""
    try:
        status = path.stat()
        with path.open("rb") as file:
            first = file.readline(256)
    except PermissionError:
        return None
    except OSError as error:
        return f"{path}: {error.strerror}"
    for way in dict.fromkeys((path, path.resolve())):
        if problem := _passing(way, who):
            return problem
    if problem := _lacking(path, status, who, _EXECUTE, "executable for"):
        return problem
    reader = first[2:].split(maxsplit=1) if first.startswith(b"#!") else []
    return to_program(Path(os.fsdecode(reader[0])), who) if reader else None


def _passing(path: Path, who: Who) -> str | None:
    for folder in reversed(path.absolute().parents):
        if problem := _lacking(folder, folder.stat(), who, _EXECUTE, "to be passed by"):
            return problem
    return None


def _lacking(path: Path, status: os.stat_result, who: Who, bit: int, what: str) -> str | None:
    """One line if the bit is not set for the user; the first class that fits decides, as in POSIX."""
    if who.uid == 0:
        return None
    shift = 6 if status.st_uid == who.uid else 3 if status.st_gid in who.groups else 0
    if status.st_mode >> shift & bit:
        return None
    return f"{path} (mode {stat.S_IMODE(status.st_mode):04o}) is not {what} {who.name}"
