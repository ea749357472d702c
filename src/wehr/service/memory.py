"""What a node remembers, kept in step with the store: journal, carrier, news, snapshot, retention, clock."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import Final, ParamSpec, TypeVar

import structlog
from msgspec import Struct

from wehr.catalogue import Catalogue
from wehr.ledger import (
    Carrier,
    Entry,
    Event,
    Journal,
    Learned,
    Ledger,
    LedgerError,
    Limits,
    Listening,
    Snapshot,
    Store,
    StoreAway,
    open_store,
    read_snapshot,
    replay,
)
from wehr.ledger.state import day_of
from wehr.policy.laddering import Past, facts
from wehr.policy.pauses import Pause
from wehr.policy.scope import Exemption
from wehr.service.clock import SteadyClock, clock_error
from wehr.service.config import Config
from wehr.service.logs import RateLimited
from wehr.service.state_folder import StateFolder
from wehr.service.upkeep import SnapshotCopy, adopt_orphans, prune

P = ParamSpec("P")
T = TypeVar("T")

log = structlog.get_logger()

CARRY_SECONDS: Final = 0.5
"""How often the journal is carried into the store, and others' changes are looked for."""
_BATCHES: Final = 4
"""Batches of a long journal between two looks: what others changed is in force within two seconds."""
_NEWS_SECONDS: Final = 0.1
"""Between two looks at what others have changed, when the store says that they have."""
_HOUR: Final = 3600
_CLOCK_SECONDS: Final = 10.0
_CLOCK_MOST: Final = 60.0
"""A clock that is further off than this must not refuse anybody."""
_SNAPSHOT_SECONDS: Final = 600.0
_SLICE: Final = 500
"""Servers learned of between two messages."""


class Figures(Struct, frozen=True):
    """For /metrics. ``condensed`` are messages of which only sums were kept."""

    away: bool
    journal_bytes: int
    carried: int
    condensed: int
    doubt: bool


class Memory:
    """The ledger of one worker, and all that keeps it true. Owned by one event loop.

    ``secret``, ``pauses``, ``exemptions`` and ``past`` are the fleet's; ``doubt`` says why nothing may be
    refused, "" if it may: nothing is known, or not whom to spare, or the clock is wrong. ``changed`` is
    called when one of them is another one.
    """

    def __init__(
        self,
        config: Config,
        folder: StateFolder,
        clock: SteadyClock,
        worker: int,
        changed: Callable[[], None],
    ) -> None:
        self.clock = clock
        self.ledger = Ledger(limits_of(config), mixed_enforced=config.policy.mixed == "enforce")
        self.secret = b""
        self.pauses: tuple[Pause, ...] = ()
        self.exemptions: tuple[Exemption, ...] = ()
        self.past = Past()
        self._config = config
        self._folder = folder
        self._worker = worker
        self._changed = changed
        self._home = folder.journal_of(worker)
        self._url = config.store.at(folder.path)
        self._away = False
        self._ignorant = ""
        self._clock_wrong = ""
        self._unread = ""
        """Which pause, exemption or ladder cannot be read: those whom it spares must not be refused."""
        self._complete = True
        self._clock_due = 0.0
        self._snapshot_due = 0.0
        self._pruned = 0
        self._forgot = 0
        self._condensed = 0
        self._unnoted: float | None = None
        """Since when a change of ladder waits for a store that is away."""
        self._catalogue: Catalogue | None = None
        self._news = asyncio.Event()
        self._behind = False
        """Whether the journal holds more than the last step took."""
        self._copy = SnapshotCopy(folder.snapshot, self._open_store)
        self._copying: asyncio.Task[None] | None = None
        self._listening: Listening | None = None
        self._warn = RateLimited(clock, log.warning)
        self._error = RateLimited(clock, log.error)
        # The store belongs to this one thread: what is slow there never holds up a message.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._closing = AsyncExitStack()

    @property
    def doubt(self) -> str:
        """Why nothing may be refused."""
        return self._ignorant or self._unread or self._clock_wrong

    def figures(self) -> Figures:
        """How the journal and the store stand."""
        carrier = self._carrier
        size = sum(file.stat().st_size for file in self._home.glob("*") if file.is_file())
        return Figures(self._away, size, carrier.carried, carrier.condensed, bool(self.doubt))

    def record(self, entry: Entry) -> None:
        """Write a decision down before it is answered."""
        self._journal.append(entry)

    async def start(self) -> None:
        """Open the journal, carry in what a killed process left in it, and remember all that is known.

        A store that is away stops nothing: then the node's own snapshot and journal have to do.

        Raises:
            LedgerError: the journal is in use, or the store is damaged or cannot be used.
        """
        self._journal = self._closing.enter_context(Journal(self._home, self.clock()))
        self._carrier = Carrier(
            self._open_store,
            self._home,
            self._folder.node(self._worker),
            lambda: self._journal.segment,
            self._config.store.journal_bytes,
        )
        self._closing.push_async_callback(self._in_thread, self._carrier.close)
        self._closing.callback(self._deafen)
        try:
            learned = await self._in_thread(self._carrier.start, self.ledger, self.clock())
        except StoreAway as error:
            await self._start_alone(str(error))
        else:
            await self._learn(learned)
            await self._compare_clocks()
        self._closing.push_async_callback(self._finish_copy)
        self._closing.push_async_callback(self._carry_once)
        task = asyncio.create_task(self._carry_forever())
        self._closing.push_async_callback(_cancelled, task)

    async def stop(self) -> None:
        """Carry the journal in, and close everything."""
        await self._closing.aclose()
        self._thread.shutdown()

    def configure(self, config: Config) -> None:
        """Go by another configuration, but for where the store is."""
        self._config = config
        self.ledger.configure(limits_of(config), mixed_enforced=config.policy.mixed == "enforce")
        if store := self._carrier.store:
            store.limits = self.ledger.limits

    def _open_store(self) -> Store:
        return open_store(self._url, limits=self.ledger.limits)

    async def note(self, catalogue: Catalogue, since: float) -> None:
        """Judge by the ladders of the configuration, and have the whole fleet remember since when.

        A change of ladder carries every server's place over, so it must be known when it came.
        """
        laddering, known = self._config.policy.laddering, tuple(facts(catalogue))

        def change(past: Past) -> Past:
            return past.noting(laddering, known, since)

        self._catalogue, self._unnoted = catalogue, since
        event = Event(since, "ladder-changed", detail={"ladder": laddering.ladder})
        try:
            if store := self._carrier.store:
                self.past = await self._in_thread(store.change_past, change, event)
                self._unnoted = None
        except LedgerError as error:
            self._error("a change of ladder is not in the store yet; trying again", error=str(error))
        if self._unnoted is not None:
            self.past = change(self.past)

    # Starting without the store

    async def _start_alone(self, why: str) -> None:
        """Remember what the node's own snapshot and journal hold; without a snapshot, refuse nobody."""
        found = await self._in_thread(read_snapshot, self._folder.snapshot, self.ledger)
        replayed = await self._in_thread(self._replay)
        self._complete = False
        if found is None:
            self.secret = os.urandom(32)
            self._ignorant = "the store is away and there is no snapshot of it"
            log.warning("the store is away, and there is no snapshot of it: nobody is refused", why=why)
        else:
            self._resume(found)
            log.warning(
                "the store is away; going by the snapshot", why=why, age=round(self.clock() - found.at)
            )
        if replayed:
            log.info("the journal was read", entries=replayed)

    def _replay(self) -> int:
        """Remember what this worker and its neighbours wrote down: a cure is not forgotten with the store."""
        count = 0
        for journal in (self._folder.journal_of(1), *(it for _, it in self._folder.orphans(1))):
            with suppress(OSError):  # a neighbour that reaches the store again removes what it has carried in
                count += replay(journal, self.ledger)
        return count

    def _resume(self, found: Snapshot) -> None:
        self.secret = found.secret
        self.pauses, self.exemptions, self.past = found.pauses, found.exemptions, found.past
        self._carrier.resume(found.change)
        self.clock.at_least(found.at)

    # In step with the store

    async def _carry_forever(self) -> None:
        due = time.monotonic() + CARRY_SECONDS
        while True:
            try:
                await asyncio.wait_for(self._news.wait(), max(0.0, due - time.monotonic()))
            except TimeoutError:
                await self._carry_once()
                due = time.monotonic() + (0.0 if self._behind else CARRY_SECONDS)
            else:
                self._news.clear()
                await self._guarded(self._ask)
                await asyncio.sleep(_NEWS_SECONDS)

    async def _carry_once(self) -> None:
        await self._guarded(self._carry)

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
        if self._unnoted is not None and self._catalogue is not None:
            await self.note(self._catalogue, self._unnoted)
        self._behind = False
        learned = await self._in_thread(self._carrier.step, self.clock(), _BATCHES)
        self._behind = learned.more
        await self._learn(learned)
        if self._carrier.condensed > self._condensed:
            self._warn(
                "the store has been away too long: the oldest messages' history goes, their sums stay",
                messages=self._carrier.condensed,
            )
            self._condensed = self._carrier.condensed
        if not learned.away:
            await self._listen()
            await self._keep_house()

    async def _ask(self) -> None:
        await self._learn(await self._in_thread(self._carrier.news))

    async def _learn(self, learned: Learned) -> None:
        """Take in what others wrote, a slice at a time, so that messages are answered in between."""
        self._away = bool(learned.away)
        if learned.away:
            self._warn("the store is away; the journal keeps what is decided", why=learned.away)
            return
        store = self._carrier.store
        while learned.changes is not None:
            servers = learned.changes.servers
            for first in range(0, len(servers), _SLICE):
                for key, state in servers[first : first + _SLICE]:
                    self.ledger.merge(key, state)
                await asyncio.sleep(0)
            self._take_rules(learned)
            if not learned.changes.more:
                break
            learned = await self._in_thread(self._carrier.news)
        if store is not None and (not self._complete or self.secret != store.secret):
            self.secret, self._complete, self._ignorant = store.secret, True, ""
            self._changed()

    def _take_rules(self, learned: Learned) -> None:
        if learned.damaged:
            self._error("nobody is refused until this is put right", error=learned.damaged)
            if self._unread != learned.damaged:
                self._unread = learned.damaged
                self._changed()
            return
        if learned.pauses is not None and learned.exemptions is not None:
            self.pauses, self.exemptions = learned.pauses, learned.exemptions
            self._unread = ""
        elif learned.past is None:
            return
        if learned.past is not None and self._unnoted is None:
            self.past = learned.past
        self._snapshot_due = 0.0  # what people change is not to be lost with a store that goes away
        self._changed()

    async def _listen(self) -> None:
        store = self._carrier.store
        if store is None or not store.listens or self._listening is not None:
            return

        def listen() -> Listening:
            # Kept at once, so that it is closed even if nobody waits for it any more.
            self._listening = store.listen()
            return self._listening

        listening = await self._in_thread(listen)
        asyncio.get_running_loop().add_reader(listening.fileno(), self._hear)

    def _hear(self) -> None:
        try:
            if self._listening is not None and self._listening.hear():
                self._news.set()
        except StoreAway:
            self._deafen()

    def _deafen(self) -> None:
        if self._listening is not None:
            asyncio.get_running_loop().remove_reader(self._listening.fileno())
            self._listening.close()
            self._listening = None

    # What is done now and then

    async def _keep_house(self) -> None:
        now = time.monotonic()
        if now >= self._clock_due:
            self._clock_due = now + _CLOCK_SECONDS
            await self._compare_clocks()
        hour = int(self.clock() // _HOUR)
        if hour != self._pruned and await self._in_thread(self._prune):
            self._pruned = hour
        if (day := day_of(self.clock())) != self._forgot:
            self._forgot = day
            self.ledger.forget(self.clock())
        idle = self._copying is None or self._copying.done()
        if self._worker == 1 and now >= self._snapshot_due and idle and not self._unread:
            self._snapshot_due = now + _SNAPSHOT_SECONDS
            workers = self._config.workers
            await self._in_thread(adopt_orphans, self._folder, workers, self._open_store, self.clock())
            self._copying = asyncio.create_task(
                self._guarded(partial(asyncio.to_thread, self._copy.write, self.clock()))
            )

    def _prune(self) -> bool:
        """Whether nothing too old is left. One worker of a machine sees to it."""
        store = self._carrier.store
        return store is None or self._worker != 1 or prune(store, self._config.store.keep, self.clock())

    async def _finish_copy(self) -> None:
        if self._copying is not None:
            await self._copying

    async def _compare_clocks(self) -> None:
        """See that this clock and the store's agree; a wrong one refuses nobody, and never goes back."""
        store = self._carrier.store
        if store is None:
            return
        before = self.clock.raw()
        stored = await self._in_thread(store.newest)
        error = clock_error(before, stored, self.clock.raw(), both_ways=store.listens)
        was, self._clock_wrong = self._clock_wrong, ""
        if abs(error) > _CLOCK_MOST:
            self._clock_wrong = (
                f"this machine's clock is {round(abs(error))} s {'behind' if error < 0 else 'ahead'}"
            )
            self.clock.at_least(stored)
            self._error("the clock is wrong: nobody is refused", clock=self._clock_wrong, of=store.name)
        elif was:
            self.clock.trust()
            log.info("the clock is right again")
        if bool(was) != bool(self._clock_wrong):
            self._changed()

    async def _in_thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.get_running_loop().run_in_executor(
            self._thread, lambda: function(*args, **kwargs)
        )


def limits_of(config: Config) -> Limits:
    """What bounds the ledger, as it is configured."""
    return Limits(memory_days=config.policy.memory_days, forget_days=config.policy.forget_days)


async def _cancelled(task: asyncio.Task[None]) -> None:
    """End a task that would run for ever."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
