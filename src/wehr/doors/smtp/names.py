"""The client's host name, as mail systems verify it: the name of its address, if it leads back there.

Strangers choose who answers for their addresses, and how slowly. So the names of one network's clients are
asked for two at a time, an answer is remembered for a minute, and each question has a thread that nobody
waits for: neither the loop, whose own (4 with uvloop) the next hop's name needs, nor the process at its end.
"""

import asyncio
import re
import socket
from collections.abc import Callable
from contextlib import ExitStack, suppress
from threading import Thread
from typing import Final
from weakref import WeakValueDictionary

from msgspec import Struct

from wehr.evidence.address import canonical, client_network

_PATIENCE = 5.0
"""Seconds for all of it; a client is not kept waiting longer for its name."""
_THREADS: Final = 64
_SHARE: Final = 2
"""Of them, for one network: a stranger's may take the resolver 20 seconds or more."""
_LIFE: Final = 60.0
"""Seconds for which an answer holds."""
_KEPT: Final = 4096
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


class Names:
    """Finds the names of clients, for one loop."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Put it together; ``clock`` gives seconds."""
        self._clock = clock
        self._known: dict[str, tuple[float, HostName]] = {}
        self._threads = asyncio.Semaphore(_THREADS)
        self._shares: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def look_up(self, address: str) -> HostName:
        """The name of a client, by its canonical address. Never raises: who has none is served as well."""
        if name := self._remembered(address):
            return name
        share = self._shares.setdefault(client_network(address), asyncio.Semaphore(_SHARE))
        with ExitStack() as held, suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                for turn in (share, self._threads):
                    await turn.acquire()
                    held.callback(turn.release)
                return self._remembered(address) or await self._asked(address, held.pop_all())
        return HostName(later=True)

    def _remembered(self, address: str) -> HostName | None:
        until, name = self._known.get(address, (0.0, None))
        return name if self._clock() < until else None

    def _asked(self, address: str, held: ExitStack) -> asyncio.Future[HostName]:
        """The name to come; what is ``held`` is given back only then, however soon the client has left."""
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[HostName] = loop.create_future()

        def done(name: HostName) -> None:
            held.close()
            self._remember(address, name)
            if not waiting.done():
                waiting.set_result(name)

        def ask() -> None:
            name = _name_of(address)
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(done, name)

        try:
            Thread(target=ask, name="names", daemon=True).start()
        except RuntimeError:  # the system has no more
            done(HostName(later=True))
        return waiting

    def _remember(self, address: str, name: HostName) -> None:
        self._known.pop(address, None)
        self._known[address] = (self._clock() + _LIFE, name)
        if len(self._known) > _KEPT:
            del self._known[next(iter(self._known))]


def _name_of(address: str) -> HostName:
    reverse = ""
    try:
        reverse, _ = socket.getnameinfo((address, 0), socket.NI_NAMEREQD)
        if canonical(reverse) or not _NAME.fullmatch(reverse):
            return NO_NAME  # an address in a name's place leads back to anybody's
        places = socket.getaddrinfo(reverse, None, type=socket.SOCK_STREAM)
    except OSError as error:
        return HostName(reverse=reverse, later=error.errno == socket.EAI_AGAIN)
    except UnicodeError:
        return NO_NAME
    found = {canonical(str(place[0])) for *_, place in places}
    return HostName(reverse.lower() if address in found else "", reverse)
