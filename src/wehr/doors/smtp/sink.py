"""A next hop that takes everything and keeps nothing, to try Wehr out without a mail system: aiosmtpd's."""

import asyncio
import logging
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final

from aiosmtpd.handlers import Mailbox, Sink
from aiosmtpd.smtp import SMTP

from wehr.doors.smtp.settings import NextTls, Proxy, Tell
from wehr.doors.smtp.stream import Stream

_NEVER: Final = 7 * 86_400
"""Seconds: the proxy's own limits strike long before."""
SINK = "sink"
"""What connectors know it by."""


def sink(host: Callable[[], str], clock: Callable[[], float], maildir: Path | None = None) -> Proxy:
    """A proxy whose next hop is inside this process, and drops what it takes, or keeps it in a Maildir."""
    logging.getLogger("mail.log").setLevel(logging.ERROR)
    handler = Mailbox(maildir) if maildir else Sink()

    async def connect(new: Callable[[], Stream]) -> object:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()

        def server() -> asyncio.Protocol:
            return SMTP(
                handler, hostname=host(), ident="Wehr's sink", enable_SMTPUTF8=True, timeout=_NEVER, loop=loop
            )

        await loop.create_connection(server, sock=theirs)
        return await loop.create_connection(new, sock=ours)

    return Proxy(host, connect, clock, Tell.NOTHING, next_tls=NextTls.OFF, listener=SINK)
