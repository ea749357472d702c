"""The listening sockets of the doors, as they are configured."""

import errno
import os
import socket
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Final, Self

from wehr.doors.sockets import bind_unix
from wehr.service.config import Config, Door, split_address
from wehr.service.doors import DOORS
from wehr.service.state_folder import StartError

_BACKLOG: Final = 1024


class Listeners:
    """The doors' sockets, bound and listening, by the door's name.

    ``addresses`` are the milter's as Postfix writes them.

    Args:
        config: what is configured.
        folder: what a relative path is inside.

    Raises:
        StartError: one of them cannot be had; those that were are closed again.
    """

    def __init__(self, config: Config, folder: Path) -> None:
        self.sockets: dict[str, list[socket.socket]] = {name: [] for name in DOORS}
        self._addresses: dict[str, list[str]] = {name: [] for name in DOORS}
        self._paths: list[tuple[Path, int]] = []
        try:
            for name in DOORS:
                settings: Door = getattr(config, name)
                for address in settings.listen:
                    self._listen_tcp(name, address)
                if settings.socket:
                    self._listen_unix(name, folder / settings.socket, settings)
        except BaseException:
            self.close()
            raise

    @property
    def addresses(self) -> list[str]:
        """The milter's, as Postfix writes them."""
        return self._addresses["milter"]

    def _listen_tcp(self, name: str, address: str) -> None:
        host, port = split_address(address)
        try:
            found = dict.fromkeys(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
            for family, _, _, _, place in found:
                self.sockets[name].append(socket.create_server(place[:2], family=family, backlog=_BACKLOG))
        except OSError as error:
            raise StartError(_why_not(name, address, error)) from None
        port = self.sockets[name][-1].getsockname()[1]
        self._addresses[name].append(f"inet:[{host}]:{port}" if ":" in host else f"inet:{host}:{port}")

    def _listen_unix(self, name: str, path: Path, settings: Door) -> None:
        try:
            listener = bind_unix(path, int(settings.socket_mode, 8), settings.socket_group or None)
        except (OSError, LookupError) as error:
            remedy = f"choose another with {_option(name, 'socket')}, or '' for none"
            raise StartError(f"the socket {path} cannot be opened: {error}; {remedy}") from None
        self.sockets[name].append(listener)
        self._paths.append((path, path.stat().st_ino))
        listener.listen(_BACKLOG)
        self._addresses[name].append(f"unix:{path}")

    def close(self) -> None:
        """Close them, and remove the unix sockets that are still ours."""
        for listener in chain.from_iterable(self.sockets.values()):
            listener.close()
        for path, inode in self._paths:
            with suppress(OSError):
                if path.stat().st_ino == inode:
                    path.unlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _option(name: str, key: str) -> str:
    """Where an address of a door is set: the command line knows the milter's only."""
    return f"--{key}" if name == "milter" else f"{name}.{key}"


def _why_not(name: str, address: str, error: OSError) -> str:
    """One line for an address that cannot be listened on."""
    remedy = f"choose another address with {_option(name, 'listen')}"
    if error.errno == errno.EADDRINUSE:
        return f"{address} is taken by another program; stop it, or {remedy}"
    # create_server adds words of its own, and a name that is not known has no number of the system's.
    known = isinstance(error.errno, int) and error.errno > 0
    reason = os.strerror(error.errno) if known and error.errno else str(error)
    return f"{address} cannot be listened on: {reason}; {remedy}"
