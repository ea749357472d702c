"""How long a client has kept us waiting, and when that is too long.

A command has its time, however it comes in (RFC 5321 section 4.5.3.2.7). All of a message can have none, or
a long one could not come over a slow line: it must come at a least rate, as in Postfix
(smtpd_per_request_deadline, smtpd_min_data_rate). A byte now and then is no sign of life in either.
"""

import asyncio
from collections.abc import Awaitable
from typing import Final, TypeVar

from wehr.doors.smtp.settings import Timeouts

LEAST_RATE: Final = 500
"""Bytes a second, Postfix's default: a line of 56 kbit/s brings fourteen times as much."""

_T = TypeVar("_T")


class Patience:
    """That with one client. What waits raises TimeoutError in the end."""

    def __init__(self, times: Timeouts) -> None:
        """Have the client's times."""
        self.times = times
        self._since: float | None = None
        self._late = 0.0

    def tried(self, now: float) -> float:
        """For how many seconds it has by now been tried, by the loop's clock; 0 while it is not."""
        return 0.0 if self._since is None else now - self._since

    def renew(self) -> None:
        """Another message begins."""
        self._late = 0.0

    async def for_command(self, line: Awaitable[_T]) -> _T:
        """Wait for a command, or for what else a stranger may put off: its TLS handshake, its name's DNS."""
        return await self._wait(line, self.times.command)

    async def for_reader(self, drained: Awaitable[_T]) -> _T:
        """Wait until it has read what it was answered."""
        return await self._wait(drained, self.times.content)

    async def for_content(self, some: Awaitable[bytes]) -> bytes:
        """Wait for more of a message: what comes late adds up, and every byte makes up for some of it."""
        loop = asyncio.get_running_loop()
        began = loop.time() - self._late
        data = await self._wait(some, self.times.content, self._late)
        self._late = max(0.0, loop.time() - began - len(data) / LEAST_RATE)
        return data

    async def _wait(self, coming: Awaitable[_T], most: float, late: float = 0.0) -> _T:
        self._since = asyncio.get_running_loop().time() - late
        try:
            async with asyncio.timeout(most - late):
                return await coming
        finally:
            self._since = None
