"""The listening sockets of the doors, as they are configured."""

import errno
import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from wehr.doors.milter.server import bind_unix
from wehr.service.config import Milter, split_address
from wehr.service.state_folder import StartError

_BACKLOG: Final = 1024


class Listeners:
    """The milter's sockets, bound and listening.

    ``addresses`` are theirs as Postfix writes them.

    Args:
        settings: what is configured.
        folder: what a relative path is inside.

    Raises:
        StartError: one of them cannot be had; those that were are closed again.
    """

    def __init__(self, settings: Milter, folder: Path) -> None:
        self.sockets: list[socket.socket] = []
        self.addresses: list[str] = []
        self._path: tuple[Path, int] | None = None
        try:
            for address in settings.listen:
                self._listen_tcp(address)
            if settings.socket:
                self._listen_unix(folder / settings.socket, settings)
        except BaseException:
            self.close()
            raise

    def _listen_tcp(self, address: str) -> None:
        host, port = split_address(address)
        try:
            found = dict.fromkeys(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
            for family, _, _, _, place in found:
                self.sockets.append(socket.create_server(place[:2], family=family, backlog=_BACKLOG))
        except OSError as error:
            raise StartError(_why_not(address, error)) from None
        port = self.sockets[-1].getsockname()[1]
        self.addresses.append(f"inet:[{host}]:{port}" if ":" in host else f"inet:{host}:{port}")

    def _listen_unix(self, path: Path, settings: Milter) -> None:
        try:
            listener = bind_unix(path, int(settings.socket_mode, 8), settings.socket_group or None)
        except (OSError, LookupError) as error:
            remedy = "choose another with --socket, or '' for none"
            raise StartError(f"the socket {path} cannot be opened: {error}; {remedy}") from None
        self.sockets.append(listener)
        self._path = (path, path.stat().st_ino)
        listener.listen(_BACKLOG)
        self.addresses.append(f"unix:{path}")

    def close(self) -> None:
        """Close them, and remove the unix socket if it is still ours."""
        for listener in self.sockets:
            listener.close()
        if self._path:
            path, inode = self._path
            with suppress(OSError):
                if path.stat().st_ino == inode:
                    path.unlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _why_not(address: str, error: OSError) -> str:
    """One line for an address that cannot be listened on."""
    if error.errno == errno.EADDRINUSE:
        return f"{address} is taken by another program; stop it, or choose another address with --listen"
    # create_server adds words of its own, and a name that is not known has no number of the system's.
    known = isinstance(error.errno, int) and error.errno > 0
    reason = os.strerror(error.errno) if known and error.errno else str(error)
    return f"{address} cannot be listened on: {reason}; choose another address with --listen"
