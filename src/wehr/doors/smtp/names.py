"""The client's host name, as mail systems verify it: the name of its address, if it leads back there."""

import asyncio
import re
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from msgspec import Struct

from wehr.evidence.address import canonical

_PATIENCE = 5.0
"""Seconds for both look-ups; a client is not kept waiting longer for its name."""
# Threads of their own: strangers choose who answers for their addresses, and how slowly. In the loop's (4
# with uvloop) that would keep the next hop's name waiting, and with it everybody's mail.
_THREADS: Final = ThreadPoolExecutor(32, thread_name_prefix="names")
_NAME: Final = re.compile(r"[0-9A-Za-z_-]{1,63}(?:\.[0-9A-Za-z_-]{1,63})*")


class HostName(Struct, frozen=True):
    """``verified`` leads back to the address; ``reverse`` is what the address leads to. "" for none."""

    verified: str = ""
    reverse: str = ""
    later: bool = False
    """The DNS gave no answer now."""


NO_NAME = HostName()


async def look_up_nothing(_: str) -> HostName:
    """For where names are not wanted."""
    return NO_NAME


async def look_up(address: str) -> HostName:
    """The name of a client. Never raises: who has none is served as well."""
    reverse = ""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_PATIENCE):
            reverse, _ = await loop.run_in_executor(_THREADS, _name_of, address)
            if canonical(reverse) or not _NAME.fullmatch(reverse):
                return NO_NAME  # an address in a name's place leads back to anybody's
            addresses = await loop.run_in_executor(_THREADS, _addresses_of, reverse)
    except TimeoutError:
        return HostName(reverse=reverse, later=True)
    except OSError as error:
        return HostName(reverse=reverse, later=error.errno == socket.EAI_AGAIN)
    return HostName(reverse.lower() if address in addresses else "", reverse)


def _name_of(address: str) -> tuple[str, str]:
    return socket.getnameinfo((address, 0), socket.NI_NAMEREQD)


def _addresses_of(name: str) -> set[str]:
    return {canonical(str(place[0])) for *_, place in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)}
