"""What systemd wants to know of a service (sd_notify(3)): ready, reloading, stopping, and still alive."""

import asyncio
import os
import socket
import time
from contextlib import suppress
from typing import Final

READY: Final = "READY=1"
"""Mail is taken; after a reload too."""
STOPPING: Final = "STOPPING=1"
"""Messages under way are being answered."""


def tell(state: str) -> bool:
    """Send a state such as ``READY=1``; False where nobody asked for it, or nobody listens any more."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address[:1] not in {"/", "@"}:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(state.encode(), address)
        return True
    return False


def reloading() -> str:
    """The state while the configuration is read again; `READY` ends it. Type=notify-reload wants the time."""
    return f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}"


async def keep_alive() -> None:
    """Show, from the very loop that takes mail, that it runs: twice in each WatchdogSec. Ends if none is set.

    For workers their supervisor does.
    """
    interval = watchdog()
    while interval is not None:
        tell("WATCHDOG=1")
        await asyncio.sleep(interval / 2)


def watchdog() -> float | None:
    """Seconds within which systemd wants a sign of life; None if it wants none of this process."""
    given = os.environ.get("WATCHDOG_USEC", "")
    process = os.environ.get("WATCHDOG_PID") or str(os.getpid())
    if not given.isdecimal() or int(given) == 0 or process != str(os.getpid()):
        return None
    return int(given) / 1_000_000
