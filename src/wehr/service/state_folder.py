"""The folder that holds what Wehr remembers: writable, and used by one service at a time."""

import fcntl
import os
from pathlib import Path
from types import TracebackType


class StartError(Exception):
    """Wehr cannot start. The text is one line that names what is wrong and the remedy."""


def default_state() -> Path:
    """The state folder when none is named: systemd's, or else the user's (XDG base directories)."""
    if given := os.environ.get("STATE_DIRECTORY"):
        return Path(given.split(":")[0])
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "wehr"


class StateFolder:
    """An opened state folder; as a context manager it is held until the end.

    Raises:
        StartError: it cannot be made or written to, or another Wehr uses it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            # Others may pass through to the socket, but neither list nor read what is here.
            path.mkdir(mode=0o711, parents=True, exist_ok=True)
            # Not truncated before it is ours: it holds the number of the process that serves.
            self._lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StartError(
                f"state folder {path} cannot be written: {error.strerror}; "
                "mend its permissions, or name another with --state"
            ) from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise StartError(
                f"state folder {path} is in use by another Wehr; "
                "stop that one, or name another folder with --state"
            ) from None
        os.truncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)

    @property
    def database(self) -> Path:
        """The embedded store."""
        return self.path / "wehr.sqlite"

    @property
    def journal(self) -> Path:
        """This node's journal."""
        return self.path / "journal"

    def close(self) -> None:
        """Give the folder free."""
        os.close(self._lock)

    def __enter__(self) -> "StateFolder":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def serving(path: Path) -> int | None:
    """The number of the process that serves a state folder; None if none does."""
    try:
        with (path / "lock").open("r+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(lock.read())
    except (OSError, ValueError):
        return None
    return None
