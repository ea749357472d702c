"""The client's host name, as mail systems verify it: the name of its address, if it leads back there."""

import asyncio
import socket

from msgspec import Struct

from wehr.evidence.address import canonical

_PATIENCE = 5.0
"""Seconds for both look-ups; a client is not kept waiting longer for its name."""


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
            reverse, _ = await loop.getnameinfo((address, 0), socket.NI_NAMEREQD)
            if canonical(reverse) or not reverse.isascii() or not reverse.isprintable():
                return NO_NAME  # an address in a name's place leads back to anybody's
            found = await loop.getaddrinfo(reverse, None, type=socket.SOCK_STREAM)
    except TimeoutError:
        return HostName(reverse=reverse, later=True)
    except OSError as error:
        return HostName(reverse=reverse, later=error.errno == socket.EAI_AGAIN)
    leads_back = any(canonical(str(place[0])) == address for *_, place in found)
    return HostName(reverse.lower() if leads_back else "", reverse)
