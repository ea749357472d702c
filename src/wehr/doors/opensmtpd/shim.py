"""The filter's pipes: a loop that hands lines back, and a few threads that ask. It cannot die before smtpd.

The loop never waits for an answer of Wehr's, for all of smtpd's sessions go through it. Whatever fails, the
message is accepted; and while Wehr does not answer, it is asked again only every few seconds.
"""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Lock
from typing import Final

from wehr.doors.line.client import Address, ask
from wehr.doors.opensmtpd.session import Asking, FilterSession

_ASKING: Final = 16
"""Questions at a time."""
_REST: Final = 10.0
"""Seconds for which nothing is asked after a question without an answer."""
_CHUNK: Final = 1 << 16


class Shim:
    """One filter process.

    Args:
        address: the line door's.
        source: the descriptor that smtpd's lines come from.
        sink: the descriptor that answers go to.
        timeout: seconds for an answer of Wehr's.
    """

    def __init__(self, address: Address, source: int = 0, sink: int = 1, timeout: float = 3.0) -> None:
        self._address = address
        self._source = source
        self._sink = sink
        self._timeout = timeout
        self._session = FilterSession()
        self._writing = Lock()
        self._resting_until = 0.0
        self._asking = ThreadPoolExecutor(_ASKING, thread_name_prefix="ask")

    def run(self) -> None:
        """Answer smtpd's lines until it ends."""
        rest = b""
        with suppress(BrokenPipeError, ConnectionResetError):  # smtpd has gone
            while data := os.read(self._source, _CHUNK):
                *lines, rest = (rest + data).split(b"\n")
                self._write(b"".join(map(self._take, lines)))
        self._asking.shutdown(wait=True)

    def _take(self, line: bytes) -> bytes:
        """What to answer to a line at once."""
        reply = self._session.receive(line)
        if isinstance(reply, bytes):
            return reply
        if time.monotonic() < self._resting_until:
            return reply.answer(None)
        try:
            self._asking.submit(self._ask, reply)
        except RuntimeError:  # no thread to be had
            return reply.answer(None)
        return b""

    def _ask(self, asking: Asking) -> None:
        line = None
        try:
            if time.monotonic() >= self._resting_until:
                line = ask(self._address, asking.question, self._timeout)
        except Exception:  # noqa: BLE001 - whatever it is, smtpd must get its answer
            self._resting_until = time.monotonic() + _REST
        with suppress(OSError):
            self._write(asking.answer(line))

    def _write(self, data: bytes) -> None:
        with self._writing:
            while data:
                data = data[os.write(self._sink, data) :]
