"""The service: everything wired together, started, and stopped in order."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from functools import partial

import msgspec
import structlog

from wehr.catalogue import Catalogue, CatalogueError, load
from wehr.doors.gate import Gate, Setting
from wehr.evidence import Own, format_build
from wehr.ledger import Entry, Ledger, LedgerError, Retention, open_store
from wehr.policy import Action, Holds, Policy
from wehr.policy.types import Mode
from wehr.service.clock import Clock, SteadyClock, system_clock
from wehr.service.config import Config, Store
from wehr.service.doors import DOORS, Sockets, open_doors
from wehr.service.known_clients import KnownClients
from wehr.service.listeners import PUBLIC, WEB, Listeners
from wehr.service.logs import RateLimited
from wehr.service.memory import Memory
from wehr.service.metrics import Metrics
from wehr.service.node import Node
from wehr.service.outgoing import Outgoing, check_chats
from wehr.service.smtp import trial, trial_gate
from wehr.service.state_folder import StartError, StateFolder
from wehr.web.measures import Family
from wehr.web.source import Facts, Present

log = structlog.get_logger()

_FIXED = (*DOORS, "log", "store", "web", "workers")
"""What is read at the start only."""


class Service:
    """One worker: doors, gate, and what it remembers.

    Once it is started, ``addresses`` are the milter's, as Postfix writes them, and ``pages`` where a browser
    finds the pages.
    """

    def __init__(
        self,
        config: Config,
        folder: StateFolder,
        clock: Clock = system_clock,
        observer: Callable[[Entry], None] | None = None,
        *,
        worker: int = 1,
        sockets: Sockets | None = None,
    ) -> None:
        """Put it together.

        Args:
            config: what is configured.
            folder: the state folder.
            clock: where time comes from.
            observer: shown each decision once it is in the journal.
            worker: its number among the workers of this folder.
            sockets: what to listen on; without any, what is configured.
        """
        self._observer = observer
        self._started = config
        self.config = config
        self.folder = folder
        self.clock = SteadyClock(clock)
        self.addresses: list[str] = []
        self.pages: list[str] = []
        self.outgoing = Outgoing()
        self.memory = Memory(config, self._judge_anew)
        self.node = Node(config, folder, self.clock, worker, self.memory)
        self._sockets = sockets
        self._worker = worker
        self._error = RateLimited(clock, log.error)
        self._closing = AsyncExitStack()
        self._reloading = asyncio.Lock()

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
            The tables in which something stands that only a restart brings into force.

        Raises:
            StartError: the catalogue cannot be read; everything stays as it was.
        """
        async with self._reloading:
            return await self._reload(config)

    async def _reload(self, config: Config) -> tuple[str, ...]:
        try:
            catalogue = await asyncio.to_thread(self._load_catalogue, config)
        except CatalogueError as error:
            raise StartError(str(error)) from None
        fixed = tuple(name for name in _FIXED if _fixed(config, name) != _fixed(self._started, name))
        # There are as many workers as before, and the first adopts the journals of those beyond them.
        config = msgspec.structs.replace(config, workers=self._started.workers)
        self.config = config
        self.node.configure(config)
        await self.node.note(catalogue, self.clock())
        self._catalogue = catalogue
        self._judge_anew()
        self._tell_of_age()
        return fixed

    async def stop(self) -> None:
        """Let messages under way be answered, carry the journal in, and close everything."""
        await self._closing.aclose()

    async def _start(self) -> None:
        check_chats(self.config.notices)
        self._catalogue = self._load_catalogue(self.config)
        self._closing.push_async_callback(self.node.stop)
        await self.node.start()
        await self.node.note(self._catalogue, self.clock())
        self.gate = Gate(
            self._setting(),
            self.memory.ledger,
            secret=self.memory.secret,
            clock=self.clock,
            record=self._record,
            on_error=self._passed,
        )
        self.trial = trial_gate(self.gate.setting, self.gate.secret, self.clock, self._tried, self._passed)
        self._judge_anew()
        if self.config.socketmap.terms:
            clients = KnownClients(self.gate.clients, self.folder.path, self._worker)
            self._closing.push_async_callback(clients.stop)
            await clients.start()
        self._metrics = Metrics(self, self._worker)
        self._closing.push_async_callback(self._metrics.stop)
        await self._open_doors()
        self._metrics.start()
        if self._worker == 1:
            from wehr.service.post import Post

            opener = partial(open_store, self.config.store.at(self.folder.path), create=False)
            post = Post(self, opener, self.folder, self.folder.node(self._worker), self.outgoing)
            self._closing.push_async_callback(post.stop)
            post.start()
        self._tell_of_age()  # last: a start that fails has one thing to say

    def _record(self, entry: Entry) -> None:
        self.node.record(entry)
        decision = entry.decision
        if decision.action is not Action.ACCEPT and (decision.enforced or decision.simulated):
            _tell(entry)
        if self._observer:
            self._observer(entry)

    def _passed(self, error: Exception) -> None:
        self._error("message accepted after an error", error=repr(error)[:500])

    def _tried(self, entry: Entry) -> None:
        if entry.decision.refused:
            _tell(entry)

    def _judge_anew(self) -> None:
        """Have the gate go by what is configured and remembered now."""
        if not hasattr(self, "gate"):
            return
        self.gate.secret = self.trial.secret = self.memory.secret
        self.gate.setting = self._setting()
        self.trial.setting = trial(self.gate.setting)
        self.gate.holds = Holds.of(self.config.policy, self.memory.pauses, self.memory.exemptions)

    def _setting(self) -> Setting:
        config, catalogue = self.config, self._catalogue
        policy = config.policy.after(self.memory.past)
        own = Own(
            names=config.receiver.names, networks=config.receiver.networks, relays=config.receiver.relays
        )
        return Setting(
            catalogue,
            policy,
            (reporting(policy) if self.memory.doubt else policy).scoping(own.networks),
            own,
            config.name,
            config.status_url.rstrip("/"),
            frozenset(catalogue.software()),
            config.let_through_minutes * 60.0,
            None if self.memory.doubt else config.socketmap.terms,
        )

    def _load_catalogue(self, config: Config) -> Catalogue:
        return load(overlays=config.catalogue.files(self.folder.path))

    def _tell_of_age(self) -> None:
        today = datetime.fromtimestamp(self.clock(), UTC).date()
        if self._catalogue.stale(today, timedelta(days=self.config.catalogue.stale_after)):
            log.warning(
                "the catalogue is old: newer versions and holes are not known to it; import a newer one",
                date=str(self._catalogue.date),
            )

    async def _open_doors(self) -> None:
        sockets = self._sockets
        if sockets is None:
            listeners = Listeners(self.config, self.folder.path)
            self._closing.callback(listeners.close)
            sockets, self.addresses = listeners.sockets, listeners.addresses
            self.pages = listeners.pages
        self.doors = await open_doors(
            *(self.config, self.gate, sockets, _tell_of_door, self._closing),
            trial=self.trial,
            clock=self.clock,
            folder=self.folder.path,
        )
        if sockets.get(WEB) or sockets.get(PUBLIC):
            from wehr.service.letters import Letters
            from wehr.service.web import open_pages

            opener = partial(open_store, self.config.store.at(self.folder.path), create=False)
            letters = Letters(self, self.folder.path)
            await open_pages(
                *(self, opener, self.config.web, sockets, self._closing),
                folder=self.folder.path,
                letters=letters,
            )

    # As the pages see it

    def present(self) -> Present:
        """What is in force now."""
        config, setting = self.config, self.gate.setting
        facts = Facts(
            setting.host,
            setting.status_url,
            config.contact,
            config.catalogue.stale_after,
            config.policy.exemptions,
            config.web.metrics_networks,
        )
        return Present(
            setting.catalogue, setting.policy, self.gate.holds, facts, self.memory.doubt, self.memory.secret
        )

    def now(self) -> float:
        """UTC seconds since 1970."""
        return self.clock()

    def states(self) -> Ledger:
        """What this worker remembers."""
        return self.memory.ledger

    def measures(self) -> Sequence[Family]:
        """What this worker and its fellows count."""
        return self._metrics.families()


def _fixed(config: Config, name: str) -> object:
    """What of a table is read at the start only: all of it, but for how long rows are kept."""
    value = getattr(config, name)
    return msgspec.structs.replace(value, keep=Retention()) if isinstance(value, Store) else value


def reporting(policy: Policy) -> Policy:
    """The policy with everything that would be enforced only reported."""

    def mild(mode: Mode | None) -> Mode | None:
        return Mode.REPORT if mode is Mode.ENFORCE else mode

    replace = msgspec.structs.replace
    return replace(
        policy,
        mode=mild(policy.mode),
        tenants=tuple(replace(it, mode=mild(it.mode)) for it in policy.tenants),
        connectors=tuple(replace(it, mode=mild(it.mode)) for it in policy.connectors),
    )


def _tell_of_door(event: str, text: str) -> None:
    """The log line of what a door has to say; the door itself sees that there are not too many."""
    log.warning(event, detail=text)


def _tell(entry: Entry) -> None:
    """The log line of a message that is refused, or in mode simulate would be."""
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
        door=entry.door,
        early=not entry.evident,
    )
