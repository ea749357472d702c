"""The folder that holds what Wehr remembers: writable, and used by one service at a time."""

import fcntl
import os
import secrets
import socket
from contextlib import suppress
from pathlib import Path
from types import TracebackType


class StartError(Exception):
    """Wehr cannot start. The text is one line that names what is wrong and the remedy."""


def default_state() -> Path:
    """The state folder when none is named: systemd's, or else the user's (XDG base directories).

    Raises:
        FileNotFoundError: the user has no home, like one of a container that is only a number.
    """
    if given := os.environ.get("STATE_DIRECTORY"):
        return Path(given.split(":")[0])
    try:
        return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "wehr"
    except RuntimeError:
        raise FileNotFoundError("who runs this has no home; name the state folder with --state") from None


class StateFolder:
    """An opened state folder; as a context manager it is held until the end.

    Args:
        path: where it is.
        held: the descriptor by which the supervisor of this process holds it already.

    Raises:
        StartError: it cannot be made or written to, or another Wehr uses it.
    """

    def __init__(self, path: Path, held: int | None = None) -> None:
        self.path = path
        if held is not None:
            self._lock = held
            return
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
    def descriptor(self) -> int:
        """What holds it: as long as a process has it open, no other Wehr can use the folder."""
        return self._lock

    @property
    def snapshot(self) -> Path:
        """This machine's own copy of what the store knows."""
        return self.path / "snapshot"

    def journal_of(self, worker: int) -> Path:
        """The journal of a worker; they are numbered from 1."""
        return self.path / ("journal" if worker == 1 else f"journal-{worker}")

    def orphans(self, workers: int) -> list[tuple[int, Path]]:
        """The journals of workers beyond a number, by their number."""
        numbers = (path.name.removeprefix("journal-") for path in self.path.glob("journal-*"))
        beyond = sorted(int(number) for number in numbers if number.isdecimal() and int(number) > workers)
        return [(number, self.journal_of(number)) for number in beyond]

    def node(self, worker: int) -> str:
        """A worker's name in the store, one among all nodes and always the same.

        Raises:
            OSError: the machine's part of it cannot be read, or kept.
        """
        return f"{self._machine()}:{worker}"

    def _machine(self) -> str:
        """The host's name when the state folder was new, and a token: two hosts may have the same name."""
        file = self.path / "node"
        try:
            return file.read_text("utf-8").strip()
        except FileNotFoundError:
            draft = self.path / f"node.{os.getpid()}"
            draft.write_text(f"{socket.gethostname()}-{secrets.token_hex(4)}\n", "utf-8")
            with suppress(FileExistsError):
                os.link(draft, file)  # another worker may have been first
            draft.unlink()
            return file.read_text("utf-8").strip()

    def close(self) -> None:
        """Give the folder free."""
        os.close(self._lock)

    def __enter__(self) -> "StateFolder":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _has_open(process: int, file: os.stat_result) -> bool:
    """Whether a process has a file open; where there is no /proc, it is believed.

    Raises:
        OSError: there is no such process, or it is none of this user's.
    """
    if not Path("/proc/self/fd").is_dir():
        return True
    for descriptor in Path(f"/proc/{process}/fd").iterdir():
        with suppress(OSError):  # closed meanwhile
            if os.path.samestat(descriptor.stat(), file):
                return True
    return False


def serving(path: Path) -> int | None:
    """The number of the process that serves a state folder; None if none does."""
    try:
        with (path / "lock").open("r+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                # Whoever may write there is not to choose whom a signal of root's goes to.
                process = int(lock.read(20))
                return process if process > 1 and _has_open(process, os.fstat(lock.fileno())) else None
    except (OSError, ValueError):
        return None
    return None
