"""A hundred days in half a minute: real service, real milter door, a clock that is set, servers made up."""

from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from wehr.catalogue import load
from wehr.doors.milter import AsyncMilterClient
from wehr.evidence import Session, client_network
from wehr.ledger import Entry, Event, Ledger, Store, deeds, open_store
from wehr.ledger.memory import reference
from wehr.ledger.report import Basis, ReportRow, report
from wehr.ledger.rows import Detail
from wehr.policy import Holds, Policy, ServerKey
from wehr.policy.pauses import Pause, request
from wehr.service.clock import SetClock
from wehr.service.config import Config, Receiver, Web
from wehr.service.door_settings import Milter
from wehr.service.service import Service
from wehr.service.state_folder import StateFolder

DAY = 86_400
HOUR = 3_600

_OLD = "15.1.2507.16"
_NEW = "15.2.2562.53"


class Actor(Struct, frozen=True):
    """A server of the demonstration: what it shows from which day on."""

    story: str
    address: str
    shows: tuple[tuple[int, str, str], ...]
    """(day, stamped name, build), in order; it sends nothing before the first."""
    every: int = 1
    """Hours from one message to the next."""
    last: int = 10_000
    """The last day on which it sends."""
    client: str = ""
    """Its verified name; empty: the first that it stamps."""
    software: str = "exchange"
    relay: str = ""
    """The Postfix that hands over what the server sends; empty: the server does."""
    tenant: str = "default"

    def at(self, day: int) -> tuple[str, str]:
        """Its name and build on a day."""
        shown = [(name, build) for since, name, build in self.shows if since <= day]
        return shown[-1] if shown else self.shows[0][1:]

    def sends(self, day: int, hour: int) -> bool:
        """Whether it sends a message in an hour of a day; the hours move from day to day."""
        return self.shows[0][0] <= day <= self.last and (day * 24 + hour + day) % self.every == 0

    @property
    def key(self) -> ServerKey:
        """The server that it begins as."""
        return ServerKey(self.tenant, self.shows[0][1], client_network(self.address))


class Cast(Struct, frozen=True):
    """Who plays, under which policy, and what the operator does meanwhile."""

    actors: Sequence[Actor]
    policy: Policy
    pauses: Sequence[tuple[str, int, int, str]] = ()
    """(name, first day, days, reason)."""
    exemptions: Sequence[tuple[str, int, str]] = ()
    """(name, day from which on, reason)."""
    domains: dict[str, str] = {}
    """A recipient's domain for each tenant that has its own."""

    def named(self, name: str) -> Actor:
        """The actor that begins under a name."""
        return next(actor for actor in self.actors if actor.shows[0][1] == name)


PATCH_DAY, RENAME_DAY, PAUSE_DAY, PAUSE_DAYS = 45, 40, 35, 14

FIVE: Final = Cast(
    (
        Actor("never patched", "192.0.2.10", ((0, "ex01.bakery.example", _OLD),)),
        Actor(
            f"patched on day {PATCH_DAY}",
            "198.51.100.10",
            ((0, "mail.clinic.example", "15.2.1118.7"), (PATCH_DAY, "mail.clinic.example", _NEW)),
        ),
        Actor(
            f"paused from day {PAUSE_DAY} to {PAUSE_DAY + PAUSE_DAYS}",
            "2001:db8:5::10",
            ((0, "ex.school.example", "15.0.1497.48"),),
        ),
        Actor(
            f"renamed on day {RENAME_DAY}",
            "203.0.113.10",
            ((0, "srv01.museum.example", "14.3.513.0"), (RENAME_DAY, "srv02.museum.example", "14.3.513.0")),
        ),
        Actor("up to date", "2001:db8:7::10", ((0, "ex01.library.example", _NEW),)),
    ),
    msgspec.convert({"mode": "enforce"}, Policy),
    pauses=(("ex.school.example", PAUSE_DAY, PAUSE_DAYS, "holidays"),),
)
"""Five servers, an hour apart, for somebody who watches."""


class Today(Struct):
    """What one actor met on one day."""

    actor: Actor
    name: str
    build: str
    stage: int = 0
    minutes: str = ""
    reason: str = ""
    answers: Counter[str] = msgspec.field(default_factory=Counter)
    """By code: ``250``, ``450``, ``550``."""
    reply: str = ""


class Demonstration:
    """One run, in a state folder that it fills.

    Args:
        folder: the state folder.
        start: a time in its first day, UTC seconds since 1970.
        days: how many it plays.
        cast: who plays.
        until: when nothing more is sent, in the midst of the last day perhaps.
    """

    def __init__(
        self, folder: Path, start: float, days: int, cast: Cast = FIVE, until: float = float("inf")
    ) -> None:
        self.start = start // DAY * DAY
        self.clock = SetClock(self.start)
        self.config = Config(
            host_name="mx.example.org",
            receiver=Receiver(networks=()),
            milter=Milter(listen=(), socket="milter.sock"),
            policy=cast.policy,
            web=Web(listen=()),
        )
        self.folder = folder
        self.days = days
        self.until = until
        self._cast = cast
        self._decided: dict[str, Entry] = {}

    async def play(self) -> AsyncGenerator[tuple[int, list[Today]], None]:
        """Each day's number, from 1, and what it brought; the store is complete when it ends."""
        with StateFolder(self.folder) as state:
            self._hold(state)
            service = Service(self.config, state, self.clock, self._decided_on)
            await service.start()
            try:
                async with _clients(str(state.path / self.config.milter.socket), self._cast) as clients:
                    for day in range(self.days):
                        yield day + 1, await self._day(day, clients)
            finally:
                await service.stop()

    @asynccontextmanager
    async def pages(self, address: str) -> AsyncIterator[Service]:
        """The pages over what was played, at the time that it is now; no door is open.

        Raises:
            StartError: they cannot be served.
        """
        config = msgspec.structs.replace(
            self.config, milter=Milter(listen=(), socket=""), web=Web(listen=(address,))
        )
        with StateFolder(self.folder) as state:
            service = Service(config, state)
            await service.start()
            try:
                yield service
            finally:
                await service.stop()

    def report(self) -> list[ReportRow]:
        """The report as of the last day; to be asked for when the play is over."""
        ledger, policy = Ledger(), self.config.policy
        with open_store(f"sqlite:///{self.folder / 'wehr.sqlite'}", create=False) as store:
            for key, state in store.load_states():
                ledger.merge(key, state)
            basis = Basis(ledger, load(), policy, Holds.of(policy, store.pauses(), ()), self.clock.now)
            return report(store.servers(), basis, store.tallies())

    def _decided_on(self, entry: Entry) -> None:
        self._decided[entry.key.network] = entry

    def _hold(self, state: StateFolder) -> None:
        """Enter what the operator does: known from the start, in force when its day comes."""
        with open_store(self.config.store.at(state.path)) as store:
            for number, (name, day, days, why) in enumerate(self._cast.pauses):
                key = self._cast.named(name).key
                start = self.start + day * DAY
                ident = f"demo{number or ''}"
                pause = Pause(ident, key.tenant, start, days, self.start, server=key, by="demo", why=why)
                self._pause(store, pause, reference(key, store.secret))
            for name, day, why in self._cast.exemptions:
                key = self._cast.named(name).key
                deeds.exempt(
                    store,
                    server=key.name,
                    network=key.network,
                    tenant=key.tenant,
                    why=why,
                    by="demo",
                    now=self.start + day * DAY,
                    ref=reference(key, store.secret),
                )

    def _pause(self, store: Store, pause: Pause, ref: str) -> None:
        name = pause.server.name if pause.server else ""
        detail: Detail = {"id": pause.id, "days": pause.days, "why": pause.why}
        event = Event(self.start, "pause-added", pause.tenant, ref, name, pause.by, detail)
        store.change_pauses(lambda old: request(old, pause, self.start), event)

    async def _day(self, day: int, clients: list[AsyncMilterClient]) -> list[Today]:
        """The messages of a day in their order, each hour's at minutes that move: time never goes back."""
        seen = [Today(actor, *actor.at(day)) for actor in self._cast.actors]
        for hour in range(24):
            minutes = ((7 * hour + 13 * number + day) % 60 for number in range(len(seen)))
            for minute, number in sorted(zip(minutes, range(len(seen)), strict=True)):
                today = seen[number]
                at = self.start + day * DAY + hour * HOUR + minute * 60
                if at < self.until and today.actor.sends(day, hour):
                    self.clock.now = at
                    await self._send(today, clients[number])
        return seen

    async def _send(self, today: Today, client: AsyncMilterClient) -> None:
        answer = await client.deliver(list(_headers(today, self.clock.now)))
        accepted = answer == "accept"
        today.answers["250" if accepted else answer[:3]] += 1
        if not accepted:
            today.reply = answer
        decision = self._decided[client_network(today.actor.address)].decision
        today.stage, today.reason = decision.stage, decision.reason
        today.minutes = f"{decision.throttle}/{decision.block}" if decision.stage else ""


@asynccontextmanager
async def _clients(path: str, cast: Cast) -> AsyncIterator[list[AsyncMilterClient]]:
    """One milter connection for each actor, as a mail system has one for each SMTP session."""
    clients = []
    try:
        for actor in cast.actors:
            name = actor.relay or actor.client or actor.shows[0][1]
            recipient = cast.domains.get(actor.tenant, "example.org")
            session = Session(client_ip=actor.address, client_name=name, helo=name, recipients=(recipient,))
            clients.append(await AsyncMilterClient.open(path, session))
        yield clients
    finally:
        for client in clients:
            with suppress(OSError):
                await client.close()


_STAMPS: Final = {
    "exchange": (
        "from {name} (10.0.0.5) by {name}\r\n"
        " (10.0.0.5) with Microsoft SMTP Server (TLS) id\r\n"
        " {build}; {when}"
    ),
    "exim": (
        "from [10.0.0.7] (helo=desk)\r\n"
        " by {name} with esmtpsa (Exim {build})\r\n"
        " id 1uX3kP-0000Ab-01; {when}"
    ),
    "sendmail": (
        "from desk (desk [10.0.0.7])\r\n by {name} ({build}/{build}) with ESMTPSA id 5AM9k2aB01; {when}"
    ),
    "relay": "from {name} (mail [10.0.0.5])\r\n by {relay} (Postfix) with ESMTPS id 4dPq7; {when}",
}


def _headers(today: Today, now: float) -> Iterator[tuple[str, str]]:
    """A message's fields, as the server would write them."""
    when = format_datetime(datetime.fromtimestamp(now, UTC))
    actor = today.actor
    given = {"name": today.name, "build": today.build, "relay": actor.relay, "when": when}
    if actor.relay:
        yield "Received", _STAMPS["relay"].format_map(given)
    yield "Received", _STAMPS[actor.software].format_map(given)
    yield "Date", when
    yield "Message-ID", f"<{now:.0f}@{today.name}>"
