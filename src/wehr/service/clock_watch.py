"""Whether this machine's clock and the store's agree: a wrong one refuses nobody, and never goes back."""

import time
from typing import Final

import structlog

from wehr.ledger import Store
from wehr.policy.phrases import Phrase
from wehr.service.clock import SteadyClock, clock_error
from wehr.service.logs import RateLimited
from wehr.service.memory import Doubt, Memory
from wehr.service.store_thread import StoreThread

log = structlog.get_logger()

_SECONDS: Final = 10.0
"""Between two looks."""
_MOST: Final = 60.0
"""A clock that is further off than this must not refuse anybody."""


class ClockWatch:
    """Compares the clocks now and then, and tells the memory what to think of it."""

    def __init__(self, clock: SteadyClock, memory: Memory, thread: StoreThread) -> None:
        self._clock = clock
        self._memory = memory
        self._thread = thread
        self._due = 0.0
        self._error = RateLimited(clock, log.error)

    async def look(self, store: Store) -> None:
        """Compare them, if it is time to.

        Raises:
            StoreAway: the store has gone away.
        """
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + _SECONDS
        before = self._clock.raw()
        stored = await self._thread.run(store.newest)
        error = clock_error(before, stored, self._clock.raw(), both_ways=store.listens)
        if abs(error) > _MOST:
            seconds = {"seconds": round(abs(error))}
            behind = Phrase("this machine's clock is %(seconds)s s behind", seconds)
            wrong = behind if error < 0 else Phrase("this machine's clock is %(seconds)s s ahead", seconds)
            self._clock.at_least(stored)
            self._error("the clock is wrong: nobody is refused", clock=wrong, of=store.name)
            self._memory.set_doubt(Doubt.CLOCK, wrong)
        elif self._memory.doubts(Doubt.CLOCK):
            self._clock.trust()
            log.info("the clock is right again")
            self._memory.set_doubt(Doubt.CLOCK, "")
