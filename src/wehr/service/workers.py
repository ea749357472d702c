"""Several workers on one machine: they share the listening sockets, and one that dies is started again.

The supervisor holds the sockets and takes no mail. Each worker is a process of its own with its own journal;
a connection that one has not taken yet is taken by another. A worker ends when its standard input does, so
none outlives a supervisor that was killed.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

import structlog

log = structlog.get_logger()

READY: Final = b"Ready.\n"
"""What a worker writes on its standard output when it takes mail."""
FAILED: Final = 2
"""Its exit code when it cannot start; it has said why."""
_FIRST_DELAY: Final = 0.1
_LONGEST_DELAY: Final = 30.0
_SETTLED: Final = 60.0
"""Seconds that a worker must have lived for its death to count as the first."""
_PATIENCE: Final = 60.0
"""Seconds that a worker has to end in order."""


class CannotStart(Exception):
    """A worker could not start, and has said why."""


class Supervisor:
    """Keeps workers running.

    Args:
        count: how many.
        command: the command line of a worker, by its number from 1 on.
        descriptors: what all of them inherit.
    """

    def __init__(
        self, count: int, command: Callable[[int], Sequence[str]], descriptors: Sequence[int]
    ) -> None:
        self._numbers = range(1, count + 1)
        self._command = command
        self._descriptors = descriptors
        self._running: dict[int, asyncio.subprocess.Process] = {}
        self._ready = {number: asyncio.Event() for number in self._numbers}
        self._ending = asyncio.Event()
        self._failed = asyncio.Event()

    async def run(self, ready: Callable[[], None]) -> None:
        """Keep them running until a signal comes; ``ready`` is called when all of them take mail.

        Raises:
            CannotStart: one of them could not start, before all took mail.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._ending.set)
        loop.add_signal_handler(signal.SIGHUP, self._send, signal.SIGHUP)
        tasks = [asyncio.create_task(self._keep(number)) for number in self._numbers]
        starting = asyncio.create_task(self._starting(ready))
        ending = asyncio.create_task(self._ending.wait())
        await asyncio.wait((starting, ending), return_when=asyncio.FIRST_COMPLETED)
        if not self._failed.is_set():
            await ending
        self._ending.set()
        self._send(signal.SIGTERM)
        _, late = await asyncio.wait(tasks, timeout=_PATIENCE)
        if late:
            log.error("workers did not end in order", workers=len(self._running))
            self._send(signal.SIGKILL)
            await asyncio.wait(late)
        for task in (starting, ending):
            task.cancel()
        if self._failed.is_set():
            raise CannotStart

    async def _starting(self, ready: Callable[[], None]) -> None:
        # The first one makes the store, if there is none yet; the others find it.
        for event in self._ready.values():
            await _either(event, self._failed)
        if not self._failed.is_set():
            ready()

    def _send(self, number: int) -> None:
        for process in self._running.values():
            with suppress(ProcessLookupError):
                process.send_signal(number)

    async def _keep(self, number: int) -> None:
        """Start one worker, and start it again whenever it ends."""
        loop = asyncio.get_running_loop()
        delay = _FIRST_DELAY
        if number > 1:
            await _either(self._ready[1], self._ending)
        while not self._ending.is_set():
            started = loop.time()
            code: object = None
            try:
                code = await self._run_once(number)
            except OSError as error:  # no memory, no descriptor, or an update under way: it passes
                code = error.strerror
            if self._ending.is_set():
                return
            if code == FAILED and not all(event.is_set() for event in self._ready.values()):
                self._failed.set()
                return
            if loop.time() - started > _SETTLED:
                delay = _FIRST_DELAY
            log.error("a worker ended; starting it again", worker=number, code=code, seconds=delay)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), delay)
            delay = min(2 * delay, _LONGEST_DELAY)

    async def _run_once(self, number: int) -> int:
        process = await asyncio.create_subprocess_exec(
            *self._command(number),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            pass_fds=self._descriptors,
        )
        self._running[number] = process
        if self._ending.is_set():  # the signal came too early for this one
            process.terminate()
        try:
            if process.stdout and await process.stdout.readline() == READY:
                self._ready[number].set()
            return await process.wait()
        finally:
            del self._running[number]


async def _either(*events: asyncio.Event) -> None:
    tasks = [asyncio.create_task(event.wait()) for event in events]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()


def watch_supervisor(gone: Callable[[], None]) -> None:
    """In a worker: be told when the supervisor is no more."""
    os.set_blocking(sys.stdin.fileno(), False)

    def look() -> None:
        if not os.read(sys.stdin.fileno(), 1):
            asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
            gone()

    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), look)
