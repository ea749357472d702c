"""The listening sockets of the doors and of the pages, as they are configured."""

import errno
import grp
import os
import socket
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Final, Self

from msgspec import Struct
from msgspec.structs import replace

from wehr.doors.sockets import bind_unix
from wehr.service.config import Config
from wehr.service.door_settings import Door, split_address
from wehr.service.doors import DOORS
from wehr.service.state_folder import StartError

WEB: Final = "web"
PUBLIC: Final = "web.public"
"""What the pages' sockets are called, beside the doors'."""
_BACKLOG: Final = 1024
_ANY: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - told apart, not listened on
_LOW: Final = 1024
"""Ports below are the system's."""


class _Claim(Struct, frozen=True):
    """Where to listen, and what asks for it."""

    family: int
    host: str
    """An address, or the path of a unix socket."""
    port: int
    address: str
    """As it is configured."""
    option: str

    def meets(self, other: "_Claim") -> bool:
        """Whether only one of them can be had."""
        same = self.host == other.host or not _ANY.isdisjoint((self.host, other.host))
        return same and (self.family, self.port) == (other.family, other.port)


class Listeners:
    """The sockets of doors and pages, bound and listening, by their name.

    ``addresses`` are the milter's as Postfix writes them, ``pages`` where a browser finds the pages.

    Args:
        config: what is configured.
        folder: what a relative path is inside.

    Raises:
        StartError: one of them cannot be had; those that were are closed again.
    """

    def __init__(self, config: Config, folder: Path) -> None:
        self.sockets: dict[str, list[socket.socket]] = {name: [] for name in (*DOORS, WEB, PUBLIC)}
        self.pages: list[str] = []
        self._addresses: dict[str, list[str]] = {name: [] for name in DOORS}
        self._paths: list[tuple[Path, int]] = []
        self._taken: list[_Claim] = []
        try:
            for name in DOORS:
                settings = getattr(config, name)
                for address in settings.listen:
                    host, port = self._listen_tcp(name, address, _option(name, "listen"))
                    self._addresses[name].append(f"inet:{_place(host, port)}")
                if isinstance(settings, Door) and settings.socket:
                    self._listen_unix(name, folder / settings.socket, settings)
            for address in config.web.listen:
                host, port = self._listen_tcp(WEB, address, "web.listen")
                self.pages.append(f"http://{_place(host, port)}/")
            for address in config.web.public_listen:
                self._listen_tcp(PUBLIC, address, "web.public_listen")
        except BaseException:
            self.close()
            raise

    @property
    def addresses(self) -> list[str]:
        """The milter's, as Postfix writes them."""
        return self._addresses["milter"]

    def _listen_tcp(self, name: str, address: str, option: str) -> tuple[str, int]:
        host, port = split_address(address)
        try:
            found = dict.fromkeys(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
            for family, _, _, _, place in found:
                claim = _Claim(family, str(place[0]), port, address, option)
                self._see_free(claim)
                listener = socket.create_server(place[:2], family=family, backlog=_BACKLOG)
                self.sockets[name].append(listener)
                self._taken.append(replace(claim, port=listener.getsockname()[1]))
        except OSError as error:
            raise StartError(_why_not(option, address, error)) from None
        return host, self.sockets[name][-1].getsockname()[1]

    def _listen_unix(self, name: str, path: Path, settings: Door) -> None:
        check_group(name, settings)
        claim = _Claim(socket.AF_UNIX, str(path), 0, str(path), _option(name, "socket"))
        self._see_free(claim)
        try:
            listener = bind_unix(path, int(settings.socket_mode, 8), settings.socket_group or None)
        except OSError as error:
            remedy = f"choose another with {_option(name, 'socket')}, or '' for none"
            if error.errno == errno.EPERM and settings.socket_group:
                remedy = (
                    f"who Wehr runs as must be in the group {settings.socket_group!r} "
                    "(SupplementaryGroups= in a systemd unit)"
                )
            raise StartError(f"the socket {path} cannot be opened: {error}; {remedy}") from None
        self.sockets[name].append(listener)
        self._taken.append(claim)
        self._paths.append((path, path.stat().st_ino))
        listener.listen(_BACKLOG)
        self._addresses[name].append(f"unix:{path}")

    def _see_free(self, claim: "_Claim") -> None:
        """See that none of our own sockets is in the way: nobody is to look for another program."""
        for taken in self._taken:
            if taken.meets(claim):
                same = taken.option == claim.option
                remedy = "take one of them away" if same else f"choose another with {claim.option}"
                where = f"{taken.address} of {taken.option}"
                raise StartError(f"{claim.address} is taken by Wehr itself, with {where}; {remedy}")

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


def check_group(name: str, settings: Door) -> None:
    """See that there is the group that a door's unix socket is to have.

    Raises:
        StartError: there is none.
    """
    if settings.socket and settings.socket_group:
        try:
            grp.getgrnam(settings.socket_group)
        except KeyError:
            raise StartError(
                f"{name}.socket_group: there is no group {settings.socket_group!r}; name another, or make it"
            ) from None


def _place(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _option(name: str, key: str) -> str:
    """Where an address of a door is set: the command line knows the milter's and the sink's."""
    if name == "sink":
        return "sink.listen or --sink"
    return f"{name}.{key} or --{key}" if name == "milter" else f"{name}.{key}"


def _why_not(option: str, address: str, error: OSError) -> str:
    """One line for an address that cannot be listened on."""
    remedy = f"choose another address with {option}"
    if error.errno == errno.EADDRINUSE:
        return f"{address} is taken by another program; stop it, or {remedy}"
    if error.errno == errno.EACCES and split_address(address)[1] < _LOW:
        return f"{address} cannot be listened on without the capability CAP_NET_BIND_SERVICE; {remedy}"
    # create_server adds words of its own, and a name that is not known has no number of the system's.
    known = isinstance(error.errno, int) and error.errno > 0
    reason = os.strerror(error.errno) if known and error.errno else str(error)
    return f"{address} cannot be listened on: {reason}; {remedy}"
