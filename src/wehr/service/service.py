"""The service: everything wired together, started, and stopped in order."""

import asyncio
import errno
import os
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import ParamSpec, TypeVar

import msgspec
import structlog

from wehr.catalogue import Catalogue, CatalogueError, load
from wehr.doors.gate import Gate, Setting
from wehr.doors.milter import Event as DoorEvent
from wehr.doors.milter import Limits as DoorLimits
from wehr.doors.milter import MilterServer
from wehr.evidence import Own, format_build
from wehr.ledger import Carrier, Entry, Event, Journal, Learned, Ledger, LedgerError, Limits, open_store
from wehr.policy import Action, Holds
from wehr.policy.laddering import Past, facts
from wehr.policy.pauses import Pause
from wehr.policy.scope import Exemption
from wehr.service.clock import Clock, system_clock
from wehr.service.config import Config, split_address
from wehr.service.logs import RateLimited
from wehr.service.state_folder import StartError, StateFolder

P = ParamSpec("P")
T = TypeVar("T")

log = structlog.get_logger()

_NODE = "worker-1"
"""The journal's name in the store: this folder's store has one writer."""

_FIXED = ("milter", "log")
"""Tables that are read at the start only."""

CARRY_SECONDS = 1.0
"""How often the journal is carried into the store, and others' changes are looked for."""


class Service:
    """Wehr on one machine: doors, gate, ledger, journal and the embedded store.

    ``addresses`` are the milter's, as Postfix writes them, once it is started.
    """

    def __init__(
        self,
        config: Config,
        folder: StateFolder,
        clock: Clock = system_clock,
        observer: Callable[[Entry], None] | None = None,
    ) -> None:
        """Put it together; ``observer`` is shown each decision once it is in the journal."""
        self._observer = observer
        self.config = config
        self.folder = folder
        self.clock = clock
        self.addresses: list[str] = []
        self._pauses: tuple[Pause, ...] = ()
        self._exemptions: tuple[Exemption, ...] = ()
        self._past = Past()
        self._unnoted: float | None = None
        """Since when a change of ladder waits for a store that is away."""
        self._warn = RateLimited(clock, log.warning)
        self._error = RateLimited(clock, log.error)
        # The store belongs to this one thread: what is slow there never holds up a message.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._closing = AsyncExitStack()

    async def start(self) -> None:
        """Open what is remembered, and then the doors.

        Raises:
            StartError: something cannot be opened; what was opened before is closed again.
        """
        try:
            await self._start()
        except (LedgerError, CatalogueError) as error:
            await self.stop()
            raise StartError(str(error)) from None
        except BaseException:
            await self.stop()
            raise

    async def reload(self, config: Config) -> tuple[str, ...]:
        """Judge by another configuration and a freshly read catalogue, from the next message on.

        Returns:
            The tables in which something was changed that only a restart brings into force.

        Raises:
            StartError: the catalogue cannot be read; everything stays as it was.
        """
        try:
            catalogue = await asyncio.to_thread(self._catalogue, config)
        except CatalogueError as error:
            raise StartError(str(error)) from None
        fixed = tuple(name for name in _FIXED if getattr(config, name) != getattr(self.config, name))
        self.config = config
        await self._note(catalogue, self.clock())
        self._ledger.configure(_limits(config), mixed_enforced=config.policy.mixed == "enforce")
        self.gate.setting = self._setting(catalogue)
        self._hold()
        return fixed

    async def stop(self) -> None:
        """Let messages under way be answered, carry the journal in, and close everything."""
        await self._closing.aclose()
        self._thread.shutdown()

    async def _start(self) -> None:
        catalogue = self._catalogue(self.config)
        limits = _limits(self.config)
        self._ledger = Ledger(limits, mixed_enforced=self.config.policy.mixed == "enforce")
        self._journal = self._closing.enter_context(Journal(self.folder.journal, self.clock()))
        opener = partial(open_store, f"sqlite:///{self.folder.database}", limits=limits)
        self._carrier = Carrier(opener, self.folder.journal, _NODE, lambda: self._journal.segment)
        store = self._carrier.store = await self._in_thread(opener)
        self._closing.push_async_callback(self._in_thread, self._carrier.close)
        # What a killed process left in the journal is carried in before anything is decided.
        learned = await self._in_thread(self._carrier.start, self._ledger, self.clock())
        self.gate = Gate(
            self._setting(catalogue),
            self._ledger,
            secret=store.secret,
            clock=self.clock,
            record=self._record,
            on_error=lambda error: self._error("message accepted after an error", error=repr(error)[:500]),
        )
        self._learn(learned)
        await self._note(catalogue, self.clock())
        self.gate.setting = self._setting(catalogue)
        self._closing.push_async_callback(self._carry_once)
        carrying = asyncio.create_task(self._carry_forever())
        self._closing.push_async_callback(_cancelled, carrying)
        await self._open_doors()

    def _record(self, entry: Entry) -> None:
        self._journal.append(entry)
        if entry.decision.action is not Action.ACCEPT:
            _tell(entry)
        if self._observer:
            self._observer(entry)

    async def _note(self, catalogue: Catalogue, since: float) -> None:
        """Judge by the ladders of the configuration, and have the whole fleet remember since when.

        A change of ladder carries every server's place over, so it must be known when it came.
        """
        laddering, known = self.config.policy.laddering, tuple(facts(catalogue))

        def change(past: Past) -> Past:
            return past.noting(laddering, known, since)

        self._unnoted = since
        event = Event(since, "ladder-changed", detail={"ladder": laddering.ladder})
        try:
            if store := self._carrier.store:
                self._past = await self._in_thread(store.change_past, change, event)
                self._unnoted = None
        except LedgerError as error:
            self._error("a change of ladder is not in the store yet; trying again", error=str(error))
        if self._unnoted is not None:
            self._past = change(self._past)

    def _setting(self, catalogue: Catalogue) -> Setting:
        config = self.config
        own = Own(
            names=config.receiver.names, networks=config.receiver.networks, relays=config.receiver.relays
        )
        return Setting(
            catalogue,
            config.policy.after(self._past),
            config.policy.scoping(own.networks),
            own,
            config.host_name or socket.getfqdn(),
            config.status_url.rstrip("/"),
            frozenset(catalogue.software()),
        )

    def _catalogue(self, config: Config) -> Catalogue:
        settings = config.catalogue
        folder = self.folder.path / settings.overlays
        catalogue = load(overlays=sorted(folder.glob("*.toml")) if settings.overlays else ())
        today = datetime.fromtimestamp(self.clock(), UTC).date()
        if catalogue.stale(today, timedelta(days=settings.stale_after)):
            log.warning(
                "the catalogue is old: newer versions and holes are not known to it; import a newer one",
                date=str(catalogue.date),
            )
        return catalogue

    async def _open_doors(self) -> None:
        settings = self.config.milter
        limits = DoorLimits(connections=settings.max_connections, idle=settings.idle_timeout)
        self.door = MilterServer(self.gate, limits, self._door_event)
        self._closing.push_async_callback(self.door.close)
        for address in settings.listen:
            host, port = split_address(address)
            try:
                port = await self.door.listen_tcp(host, port)
            except OSError as error:
                raise StartError(_why_not(address, error)) from None
            self.addresses.append(f"inet:{host}:{port}" if ":" not in host else f"inet:[{host}]:{port}")
        if settings.socket:
            path = self.folder.path / settings.socket
            try:
                await self.door.listen_unix(path, int(settings.socket_mode, 8), settings.socket_group or None)
            except (OSError, LookupError) as error:
                remedy = "choose another with --socket, or '' for none"
                raise StartError(f"the socket {path} cannot be opened: {error}; {remedy}") from None
            self.addresses.append(f"unix:{path}")

    def _door_event(self, event: DoorEvent, text: str) -> None:
        self._warn(f"milter: {event}", detail=text)

    async def _carry_forever(self) -> None:
        while True:
            await asyncio.sleep(CARRY_SECONDS)
            await self._carry_once()

    async def _carry_once(self) -> None:
        """Carry the journal in; whatever happens there, messages go on being answered."""
        try:
            if self._unnoted is not None:
                await self._note(self.gate.setting.catalogue, self._unnoted)
            self._learn(await self._in_thread(self._carrier.step, self.clock()))
        except LedgerError as error:
            self._error("the store cannot be used; the journal keeps what is decided", error=str(error))

    def _learn(self, learned: Learned) -> None:
        self._carrier.apply(learned, self._ledger)
        if learned.pauses is not None and learned.exemptions is not None:
            self._pauses, self._exemptions = learned.pauses, learned.exemptions
            self._hold()
        if learned.past is not None and self._unnoted is None and learned.past != self._past:
            self._past = learned.past
            policy = self.config.policy.after(learned.past)
            self.gate.setting = msgspec.structs.replace(self.gate.setting, policy=policy)
        if learned.away:
            self._warn("the store is away; the journal keeps what is decided", why=learned.away)

    def _hold(self) -> None:
        self.gate.holds = Holds.of(self.config.policy, self._pauses, self._exemptions)

    async def _in_thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.get_running_loop().run_in_executor(
            self._thread, lambda: function(*args, **kwargs)
        )


def _limits(config: Config) -> Limits:
    return Limits(memory_days=config.policy.memory_days, forget_days=config.policy.forget_days)


def _tell(entry: Entry) -> None:
    """The log line of a message that is refused, or would be if the policy were enforced."""
    decision, seen = entry.decision, entry.sighting
    log.info(
        "message refused" if decision.enforced else "message would be refused",
        action=decision.action,
        reason=decision.reason,
        stage=decision.stage,
        server=entry.key.name,
        network=entry.key.network,
        tenant=entry.key.tenant,
        client=seen.client_ip,
        build=format_build(seen.build) if seen.build else None,
        queue_id=entry.queue_id,
    )


async def _cancelled(task: asyncio.Task[None]) -> None:
    """End a task that would run for ever."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def _why_not(address: str, error: OSError) -> str:
    """One line for an address that cannot be listened on."""
    if error.errno == errno.EADDRINUSE:
        return f"{address} is taken by another program; stop it, or choose another address with --listen"
    # asyncio wraps the system's reason into a sentence of its own.
    reason = os.strerror(error.errno) if error.errno else str(error)
    return f"{address} cannot be listened on: {reason}; choose another address with --listen"
