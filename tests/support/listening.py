"""A door's listening sockets, where the test is of the door alone; the service binds its own."""

import socket
from pathlib import Path

from wehr.doors.door import Door
from wehr.doors.sockets import bind_unix


async def on_tcp(door: Door, port: int = 0) -> int:
    """Have it listen on loopback; the port, which tells the chosen one for port 0."""
    listener = socket.create_server(("127.0.0.1", port), backlog=1024)
    await door.listen_on(listener)
    return int(listener.getsockname()[1])


async def on_unix(door: Door, path: Path, mode: int = 0o660, group: str | None = None) -> None:
    """Have it listen on a unix socket."""
    await door.listen_on(bind_unix(path, mode, group))
