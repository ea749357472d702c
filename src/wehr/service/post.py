"""The post: writes and delivers what is due, beside the mail, in a thread with a store and loop of its own.

Nothing in it can hold up a message: the loop of the doors only starts and ends it. One worker of a machine
does it; what two machines both find due, the store gives to one.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

import structlog
from jinja2 import TemplateError

from wehr.ledger import Ledger, LedgerError, Store
from wehr.ledger.outbox import Outbox, State
from wehr.ledger.report import Basis
from wehr.notices.courier import Courier, Errand
from wehr.notices.digest import conditions, plan_digest
from wehr.notices.office import Office, look_round, open_office, plan_chats, plan_notices, plan_webhooks
from wehr.service.config import Config
from wehr.service.logs import RateLimited
from wehr.service.memory import limits_of
from wehr.service.outgoing import Outgoing
from wehr.service.state_folder import StateFolder
from wehr.web.source import Present

log = structlog.get_logger()

_LOOK: Final = 5.0
"""Seconds between two looks into the outbox."""
_PLAN: Final = 600.0
"""Seconds between two rounds over all servers, at least: a round may take a hundredth of the time."""
_PATIENCE: Final = 10.0
"""Seconds that a delivery under way has when Wehr ends."""


class Source(Protocol):
    """The running service, as the post sees it: values that do not change, so any thread may ask."""

    config: Config

    def present(self) -> Present:
        """What is in force now."""
        ...

    def now(self) -> float:
        """UTC seconds since 1970."""
        ...


class Post:
    """The thread, and all that it does.

    Args:
        source: the service.
        opener: opens the store, anew after it was away.
        folder: the state folder.
        node: this worker's name.
        outgoing: where it leaves how the outbox stands.
    """

    def __init__(
        self,
        source: Source,
        opener: Callable[[], Store],
        folder: StateFolder,
        node: str,
        outgoing: Outgoing,
    ) -> None:
        self._source = source
        self._opener = opener
        self._folder = folder.path
        self._node = node
        self._outgoing = outgoing
        self._store: Store | None = None
        self._planned = 0.0
        self._rest = _PLAN
        self._unnoted: list[Errand] = []
        self._ending = threading.Event()
        self._warn = RateLimited(source.now, log.warning)
        self._thread = threading.Thread(target=self._run, name="post", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; nothing waits for it."""
        self._thread.start()

    async def stop(self) -> None:
        """End; a delivery under way has some seconds."""
        self._ending.set()
        await asyncio.to_thread(self._thread.join, _PATIENCE)
        if self._thread.is_alive() and self._loop and self._task:
            with suppress(RuntimeError):  # it has ended meanwhile
                self._loop.call_soon_threadsafe(self._task.cancel)
            await asyncio.to_thread(self._thread.join, _PATIENCE)

    def _run(self) -> None:
        with asyncio.Runner() as runner:
            self._loop = runner.get_loop()
            while not self._ending.wait(_LOOK):
                with suppress(asyncio.CancelledError):
                    runner.run(self._guarded())
        if self._store is not None:
            self._store.close()

    async def _guarded(self) -> None:
        """One look; whatever happens in it, there is a next one."""
        self._task = asyncio.current_task()
        try:
            await self._look()
        except LedgerError as error:
            self._warn("notices wait: the store cannot be used", error=str(error))
            if self._store is not None:
                self._store.close()
                self._store = None
        except TemplateError as error:
            self._warn("a template of the notices is wrong", error=f"{error}"[:500])
        except Exception as error:  # noqa: BLE001 - an error here must not end what runs beside the mail
            self._warn("an error in the notices", error=repr(error)[:500])

    async def _look(self) -> None:
        settings = self._source.config.notices
        if not (settings.tenants or settings.digest.to or settings.webhooks or settings.chats):
            return
        self._store = self._store or self._opener()
        outbox = Outbox(self._store)
        for item in outbox.sweep(self._source.now()):
            self._warn(
                "a notice was handed over, but no answer was heard; see 'wehr notices list'", id=item.id
            )
        now = self._source.now()
        if not self._planned <= now < self._planned + self._rest:
            begun = time.monotonic()
            self._plan(self._store, outbox, now)
            self._planned, self._rest = now, max(_PLAN, 100 * (time.monotonic() - begun))
        plan_webhooks(settings, self._source.present().facts.host_name, outbox, now)
        if settings.chats:
            plan_chats(self._office(now), outbox, now)
        courier = Courier(
            outbox, settings, self._folder, node=self._node, clock=self._source.now, unnoted=self._unnoted
        )
        while not self._ending.is_set() and (errand := await courier.deliver_next()):
            self._tell(errand)
        self._outgoing.waiting = outbox.count()
        self._outgoing.stopped = outbox.stopped() is not None

    def _plan(self, store: Store, outbox: Outbox, now: float) -> None:
        config, present = self._source.config, self._source.present()
        if present.doubt:  # nobody is to be told what may not be true
            return
        ledger = Ledger(limits_of(config), mixed_enforced=config.policy.mixed == "enforce")
        for key, state in store.load_states():
            ledger.merge(key, state)
        basis = Basis(ledger, present.catalogue, present.policy, present.holds, now)
        office = self._office(now)
        stale_after = config.catalogue.stale_after
        outbox.note_once(conditions(basis, outbox.nodes(), stale_after))
        if config.notices.tenants:
            plan_notices(look_round(office, store, basis, config.notices.tenants), outbox)
        plan_digest(office, store, basis, stale_after)

    def _office(self, now: float) -> Office:
        config, facts = self._source.config, self._source.present().facts
        return open_office(
            config.notices,
            self._folder,
            host=facts.host_name,
            status_url=facts.status_url,
            contact=facts.contact,
            now=now,
        )

    def _tell(self, errand: Errand) -> None:
        item = errand.item
        if errand.state is State.SENT:
            log.info("sent", kind=item.kind, reason=item.reason, to=item.organisation, answer=errand.said)
        else:
            self._warn(
                f"a {item.kind} was not sent",
                id=item.id,
                state=errand.state,
                to=item.organisation,
                why=errand.said,
            )
