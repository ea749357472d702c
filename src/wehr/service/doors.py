"""The doors, opened in front of one gate."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from socket import socket
from typing import Any, Final

from wehr.doors.door import Door, Event, Limits
from wehr.doors.gate import Gate
from wehr.doors.http import HttpServer
from wehr.doors.line import LineServer
from wehr.doors.milter import MilterServer
from wehr.doors.policy_service import PolicyServer
from wehr.doors.socketmap import SocketmapServer
from wehr.service import config as settings

DOORS: Final[Mapping[str, Callable[..., Door]]] = {
    "milter": MilterServer,
    "line": LineServer,
    "policy_service": PolicyServer,
    "socketmap": SocketmapServer,
    "http": HttpServer,
}
"""What listens, by the name of its table in the configuration."""

Sockets = Mapping[str, Sequence[socket]]
"""Listening sockets, by the door's name."""


async def open_doors(
    config: settings.Config,
    gate: Gate,
    sockets: Sockets,
    warn: Callable[[str, str], None],
    closing: AsyncExitStack,
) -> dict[str, Door]:
    """Take questions on the sockets, up to the end of ``closing``; ``warn`` is told of events and details."""
    doors = {}
    for name, kind in DOORS.items():
        if not sockets.get(name):
            continue
        table: settings.Door = getattr(config, name)
        limits = Limits(
            connections=table.max_connections,
            idle=table.idle_timeout,
            sweep=min(Limits().sweep, table.idle_timeout / 2),
        )
        door = doors[name] = kind(gate.at(name), limits, partial(_tell, warn, name), **_own(table))
        closing.push_async_callback(door.close)
        for listener in sockets[name]:
            await door.listen_on(listener)
    return doors


def _own(table: settings.Door) -> dict[str, Any]:
    """What only one kind of door can be told."""
    return {"tokens": table.tokens, "max_body": table.max_body} if isinstance(table, settings.Http) else {}


def _tell(warn: Callable[[str, str], None], name: str, event: Event, text: str) -> None:
    warn(f"{name}: {event}", text)
