"""A hundred days in half a minute: real service, real milter door, a clock that is set, servers made up."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from wehr.catalogue import load
from wehr.doors.milter import AsyncMilterClient
from wehr.evidence import Session, client_network
from wehr.ledger import Entry, Event, Ledger, open_store
from wehr.ledger.report import Basis, ReportRow, report
from wehr.policy import Holds, Policy, ServerKey
from wehr.policy.pauses import Pause, request
from wehr.service.clock import SetClock
from wehr.service.config import Config, Milter, Receiver, Web
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
    """(day, stamped name, build), in order."""

    def at(self, day: int) -> tuple[str, str]:
        """Its name and build on a day."""
        return next((name, build) for since, name, build in reversed(self.shows) if since <= day)


PATCH_DAY, RENAME_DAY, PAUSE_DAY, PAUSE_DAYS = 45, 40, 35, 14

ACTORS = (
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
)


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
    """One run, in a state folder that it fills."""

    def __init__(self, folder: Path, start: float, days: int) -> None:
        self.clock = SetClock(start)
        self.config = Config(
            host_name="mx.example.org",
            receiver=Receiver(networks=()),
            milter=Milter(listen=(), socket="milter.sock"),
            policy=msgspec.convert({"mode": "enforce"}, Policy),
            web=Web(listen=()),
        )
        self.folder = folder
        self.start = start // DAY * DAY
        self.days = days
        self._decided: dict[str, Entry] = {}

    async def play(self) -> AsyncIterator[tuple[int, list[Today]]]:
        """Each day's number, from 1, and what it brought; the store is complete when it ends."""
        with StateFolder(self.folder) as state:
            self._pause_school(state)
            service = Service(self.config, state, self.clock, self._decided_on)
            await service.start()
            try:
                async with _clients(str(state.path / self.config.milter.socket)) as clients:
                    for day in range(self.days):
                        yield day + 1, await self._day(day, clients)
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

    def _pause_school(self, state: StateFolder) -> None:
        actor = ACTORS[2]
        key = ServerKey("default", actor.at(0)[0], client_network(actor.address))
        pause = Pause(
            "demo",
            "default",
            self.start + PAUSE_DAY * DAY,
            PAUSE_DAYS,
            self.start,
            server=key,
            by="demo",
            why="holidays",
        )
        event = Event(
            self.start, "pause-added", "default", name=key.name, actor="demo", detail={"id": pause.id}
        )
        with open_store(self.config.store.at(state.path)) as store:
            store.change_pauses(lambda old: request(old, pause, self.start), event)

    async def _day(self, day: int, clients: list[AsyncMilterClient]) -> list[Today]:
        """One message an hour from each actor, at a minute that moves."""
        seen = [Today(actor, *actor.at(day)) for actor in ACTORS]
        for hour in range(24):
            for number, (today, client) in enumerate(zip(seen, clients, strict=True)):
                minute = (7 * hour + 13 * number + day) % 60
                self.clock.now = self.start + day * DAY + hour * HOUR + minute * 60
                answer = await client.deliver(list(_headers(today, self.clock.now)))
                accepted = answer == "accept"
                today.answers["250" if accepted else answer[:3]] += 1
                if not accepted:
                    today.reply = answer
                entry = self._decided[client_network(today.actor.address)]
                decision = entry.decision
                today.stage, today.reason = decision.stage, decision.reason
                today.minutes = f"{decision.throttle}/{decision.block}" if decision.stage else ""
        return seen


@asynccontextmanager
async def _clients(path: str) -> AsyncIterator[list[AsyncMilterClient]]:
    """One milter connection for each actor, as a mail system has one for each SMTP session."""
    clients = []
    try:
        for actor in ACTORS:
            name, _ = actor.at(0)
            session = Session(
                client_ip=actor.address, client_name=name, helo=name, recipients=("example.org",)
            )
            clients.append(await AsyncMilterClient.open(path, session))
        yield clients
    finally:
        for client in clients:
            with suppress(OSError):
                await client.close()


def _headers(today: Today, now: float) -> Iterator[tuple[str, str]]:
    """A message's fields, as the server would write them."""
    when = format_datetime(datetime.fromtimestamp(now, UTC))
    stamp = (
        f"from {today.name} (10.0.0.5) by {today.name}\r\n"
        " (10.0.0.5) with Microsoft SMTP Server (TLS) id\r\n"
        f" {today.build}; {when}"
    )
    yield "Received", stamp
    yield "Date", when
    yield "Message-ID", f"<{now:.0f}@{today.name}>"
