"""A node: one worker's memory, kept in step with the store by its journal, a carrier and others' news."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from typing import Final

import structlog
from msgspec import Struct

from wehr.catalogue import Catalogue
from wehr.ledger import (
    Carrier,
    Entry,
    Event,
    Journal,
    Learned,
    LedgerError,
    Store,
    StoreAway,
    open_store,
    read_snapshot,
    replay,
)
from wehr.policy.laddering import Past, facts
from wehr.policy.phrases import Phrase
from wehr.service.clock import SteadyClock
from wehr.service.clock_watch import ClockWatch
from wehr.service.config import Config
from wehr.service.logs import RateLimited
from wehr.service.memory import Doubt, Memory
from wehr.service.news import News
from wehr.service.state_folder import StateFolder
from wehr.service.store_thread import StoreThread
from wehr.service.upkeep import Upkeep

log = structlog.get_logger()

_CARRY_SECONDS: Final = 0.5
"""How often the journal is carried into the store, and others' changes are looked for."""
_BATCHES: Final = 4
"""Batches of a long journal between two looks: what others changed is in force within two seconds."""
_NEWS_SECONDS: Final = 0.1
"""Between two looks at what others have changed, when the store says that they have."""


class Figures(Struct, frozen=True):
    """For /metrics. ``condensed`` are messages of which only sums were kept."""

    away: bool
    journal_bytes: int
    carried: int
    condensed: int


class _Era(Struct, frozen=True):
    """A change of ladder that the store is to know of."""

    change: Callable[[Past], Past]
    event: Event


class Node:
    """Keeps a memory true. Owned by one event loop."""

    def __init__(
        self, config: Config, folder: StateFolder, clock: SteadyClock, worker: int, memory: Memory
    ) -> None:
        self._config = config
        self._folder = folder
        self._clock = clock
        self._worker = worker
        self._memory = memory
        self._url = config.store.at(folder.path)
        self._home = folder.journal_of(worker)
        self._away = False
        self._behind = False
        """Whether the journal holds more than the last step took."""
        self._condensed = 0
        self._unnoted: _Era | None = None
        """What waits for a store that is away."""
        self._warn = RateLimited(clock, log.warning)
        self._error = RateLimited(clock, log.error)
        self._thread = StoreThread()
        self._news = News(self._thread)
        self._clocks = ClockWatch(clock, memory, self._thread)
        self._upkeep = Upkeep(memory, folder, worker, self._open_store, self._thread)
        self._closing = AsyncExitStack()

    def figures(self) -> Figures:
        """How the journal and the store stand."""
        size = sum(file.stat().st_size for file in self._home.glob("*") if file.is_file())
        return Figures(self._away, size, self._carrier.carried, self._carrier.condensed)

    def record(self, entry: Entry) -> None:
        """Write a decision down before it is answered."""
        self._journal.append(entry)

    async def start(self) -> None:
        """Open the journal, carry in what a killed process left in it, and remember all that is known.

        A store that is away stops nothing: then the node's own snapshot and journal have to do.

        Raises:
            LedgerError: the journal is in use, or the store is damaged or cannot be used.
        """
        self._journal = self._closing.enter_context(Journal(self._home, self._clock()))
        self._carrier = Carrier(
            self._open_store,
            self._home,
            self._folder.node(self._worker),
            lambda: self._journal.segment,
            self._config.store.journal_bytes,
        )
        self._closing.push_async_callback(self._thread.run, self._carrier.close)
        self._closing.callback(self._news.close)
        try:
            learned = await self._thread.run(self._carrier.start, self._memory.ledger, self._clock())
        except StoreAway as error:
            await self._start_alone(str(error))
        else:
            await self._learn(learned)
            if store := self._carrier.store:
                await self._clocks.look(store)
        self._closing.push_async_callback(self._guarded, self._upkeep.finish)
        self._closing.push_async_callback(self._guarded, self._carry)
        task = asyncio.create_task(self._carry_forever())
        self._closing.push_async_callback(_cancelled, task)

    async def stop(self) -> None:
        """Carry the journal in, and close everything."""
        await self._closing.aclose()
        self._thread.close()

    def configure(self, config: Config) -> None:
        """Go by another configuration, but for where the store is."""
        self._config = config
        self._memory.configure(config)
        if store := self._carrier.store:
            store.limits = self._memory.ledger.limits

    def _open_store(self) -> Store:
        return open_store(self._url, limits=self._memory.ledger.limits)

    # Since when which ladder is in force

    async def note(self, catalogue: Catalogue, since: float) -> None:
        """Judge by the ladders of the configuration, and have the whole fleet remember since when.

        A change of ladder carries every server's place over, so it must be known when it came.
        """
        laddering, known = self._config.policy.laddering, tuple(facts(catalogue))
        event = Event(since, "ladder-changed", detail={"ladder": laddering.ladder})
        self._unnoted = era = _Era(lambda past: past.noting(laddering, known, since), event)
        await self._note(era)
        if self._unnoted is era:
            self._memory.past = era.change(self._memory.past)

    async def _note(self, era: _Era) -> None:
        store = self._carrier.store
        if store is None:
            return
        try:
            past = await self._thread.run(store.change_past, era.change, era.event)
        except LedgerError as error:
            self._error("a change of ladder is not in the store yet; trying again", error=str(error))
            return
        if self._unnoted is era:
            self._memory.past, self._unnoted = past, None

    # Starting without the store

    async def _start_alone(self, why: str) -> None:
        """Remember what the node's own snapshot and journal hold; without a snapshot, refuse nobody."""
        memory = self._memory
        found = await self._thread.run(read_snapshot, self._folder.snapshot, memory.ledger)
        replayed = await self._thread.run(self._replay)
        if found is None:
            memory.learn_secret(os.urandom(32))
            memory.set_doubt(Doubt.STORE, Phrase("the store is away and there is no snapshot of it"))
            log.warning("the store is away, and there is no snapshot of it: nobody is refused", why=why)
        else:
            memory.learn_secret(found.secret)
            memory.learn_rules(found.pauses, found.exemptions, found.past)
            self._carrier.resume(found.change)
            self._clock.at_least(found.at)
            age = round(self._clock() - found.at)
            log.warning("the store is away; going by the snapshot", why=why, age=age)
        if replayed:
            log.info("the journal was read", entries=replayed)

    def _replay(self) -> int:
        """Remember what this worker and its neighbours wrote down: a cure is not forgotten with the store."""
        count = 0
        for journal in (self._folder.journal_of(1), *(it for _, it in self._folder.orphans(1))):
            with suppress(OSError):  # a neighbour that reaches the store again removes what it has carried in
                count += replay(journal, self._memory.ledger)
        return count

    # In step with the store

    async def _carry_forever(self) -> None:
        due = time.monotonic() + _CARRY_SECONDS
        while True:
            if await self._news.within(due - time.monotonic()):
                await self._guarded(self._ask)
                await asyncio.sleep(_NEWS_SECONDS)
            else:
                await self._guarded(self._carry)
                due = time.monotonic() + (0.0 if self._behind else _CARRY_SECONDS)

    async def _guarded(self, work: Callable[[], Awaitable[object]]) -> None:
        """Whatever happens there, messages go on being answered."""
        try:
            await work()
        except (LedgerError, OSError) as error:
            self._away = True
            self._error("the store cannot be used; the journal keeps what is decided", error=str(error))
        except Exception as error:  # noqa: BLE001 - and it is tried again
            self._away = True
            self._error(
                "an error beside the mail; the journal keeps what is decided", error=repr(error)[:500]
            )

    async def _carry(self) -> None:
        if self._unnoted is not None:
            await self._note(self._unnoted)
        self._behind = False
        learned = await self._thread.run(self._carrier.step, self._clock(), _BATCHES)
        self._behind = learned.more
        await self._learn(learned)
        if self._carrier.condensed > self._condensed:
            self._warn(
                "the store has been away too long: the oldest messages' history goes, their sums stay",
                messages=self._carrier.condensed,
            )
            self._condensed = self._carrier.condensed
        if not learned.away and (store := self._carrier.store):
            await self._news.listen(store)
            await self._clocks.look(store)
            await self._upkeep.step(store, self._config, self._clock())

    async def _ask(self) -> None:
        await self._learn(await self._thread.run(self._carrier.news))

    async def _learn(self, learned: Learned) -> None:
        """Take in what others wrote."""
        self._away = bool(learned.away)
        if learned.away:
            self._warn("the store is away; the journal keeps what is decided", why=learned.away)
            return
        while learned.changes is not None:
            await self._memory.learn_servers(learned.changes.servers)
            self._learn_rules(learned)
            if not learned.changes.more:
                break
            learned = await self._thread.run(self._carrier.news)
        if store := self._carrier.store:
            self._memory.learn_secret(store.secret)

    def _learn_rules(self, learned: Learned) -> None:
        if learned.damaged:
            self._error("nobody is refused until this is put right", error=learned.damaged)
            self._memory.set_doubt(Doubt.RULES, learned.damaged)
        elif learned.pauses is not None and learned.exemptions is not None:
            past = learned.past if self._unnoted is None else None
            self._memory.learn_rules(learned.pauses, learned.exemptions, past)
            self._upkeep.copy_soon()


async def _cancelled(task: asyncio.Task[None]) -> None:
    """End a task that would run for ever."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
