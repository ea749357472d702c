"""The doors, opened in front of one gate."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from socket import socket
from typing import Any, Final

from wehr.doors.door import Door
from wehr.doors.gate import Gate
from wehr.doors.http import HttpServer
from wehr.doors.line import LineServer
from wehr.doors.milter import MilterServer
from wehr.doors.policy_service import PolicyServer
from wehr.doors.smtp import SmtpServer
from wehr.doors.socketmap import SocketmapServer
from wehr.doors.types import Event, Limits
from wehr.service import door_settings as settings
from wehr.service.clock import Clock
from wehr.service.config import Config
from wehr.service.smtp import drain, proxy

DOORS: Final[Mapping[str, Callable[..., Door]]] = {
    "milter": MilterServer,
    "line": LineServer,
    "policy_service": PolicyServer,
    "socketmap": SocketmapServer,
    "http": HttpServer,
    "smtp": SmtpServer,
    "sink": SmtpServer,
}
"""What listens, by the name of its table in the configuration."""

Sockets = Mapping[str, Sequence[socket]]
"""Listening sockets, by the door's name."""


async def open_doors(
    config: Config,
    gate: Gate,
    sockets: Sockets,
    warn: Callable[[str, str], None],
    closing: AsyncExitStack,
    *,
    trial: Gate,
    clock: Clock,
    folder: Path,
) -> dict[str, Door]:
    """Take questions on the sockets, up to the end of ``closing``; ``warn`` is told of events and details.

    ``trial`` is the gate of those who try Wehr out, ``folder`` what relative paths are inside.

    Raises:
        StartError: a file that a door needs cannot be used.
    """
    doors: dict[str, Door] = {}
    closing.push_async_callback(_close, doors)
    for name, kind in DOORS.items():
        if not sockets.get(name):
            continue
        table = getattr(config, name)
        limits = Limits(
            connections=table.max_connections,
            idle=table.idle_timeout,
            sweep=min(Limits().sweep, table.idle_timeout / 2),
        )
        asked = trial if name == "sink" else gate
        door = doors[name] = kind(
            asked.at(name), limits, partial(_tell, warn, name), **_own(table, asked, clock, folder)
        )
        for listener in sockets[name]:
            await door.listen_on(listener)
    return doors


async def _close(doors: Mapping[str, Door]) -> None:
    """Close them side by side: each may take the same few seconds to answer what is under way."""
    await asyncio.gather(*(door.close() for door in doors.values()))


def _own(table: object, gate: Gate, clock: Clock, folder: Path) -> dict[str, Any]:
    """What only one kind of door can be told."""

    def host() -> str:
        return gate.setting.host

    match table:
        case settings.Http():
            return {"tokens": table.tokens, "max_body": table.max_body}
        case settings.Smtp():
            return {"proxy": proxy(table, host, lambda: gate.setting.own, clock)}
        case settings.Sink():
            return {"proxy": drain(table, host, clock, folder)}
    return {}


def _tell(warn: Callable[[str, str], None], name: str, event: Event, text: str) -> None:
    warn(f"{name}: {event}", text)
