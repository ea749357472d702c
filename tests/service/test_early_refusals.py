"""Refusals before the headers where several processes share a store: workers of a machine, and nodes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from gates import DAY, START, client, trace

from wehr.ledger import open_store
from wehr.service.clock import SetClock
from wehr.service.config import parse
from wehr.service.service import Service
from wehr.service.state_folder import StateFolder

OUTDATED, PATCHED = "15.1.2507.16", "15.2.2562.53"
MINUTE = 60.0
CLIENT = client()


@pytest.fixture(name="url", params=["workers", "nodes"])
def _url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Two workers of one state folder, or two folders with one store (SQLite: it has no clock of its own)."""
    return "" if request.param == "workers" else f"sqlite:///{tmp_path / 'shared.sqlite'}"


@asynccontextmanager
async def two(folder: Path, url: str, clock: SetClock) -> AsyncIterator[tuple[Service, Service]]:
    """Two processes' worth of service, without sockets."""
    config = parse(f'policy.mode = "enforce"\nhost_name = "mx.example.org"\nstore.url = "{url}"', "test")
    async with AsyncExitStack() as stack:
        services = []
        for number in (1, 2):
            if number == 1 or url:
                state = stack.enter_context(StateFolder(folder / str(number)))
            service = Service(config, state, clock, worker=1 if url else number, sockets={})
            await service.start()
            stack.push_async_callback(service.stop)
            services.append(service)
        yield services[0], services[1]


async def until(true: Callable[[], object]) -> None:
    """Wait for what the store brings."""
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110 - the store tells nobody in a test
            await asyncio.sleep(0.02)


def last_seen(service: Service) -> float:
    """When the one server's headers were last seen, as far as this process knows."""
    return max((state.last_seen for _, state in service.memory.ledger), default=0.0)


def test_each_process_lets_one_transaction_through_and_all_learn_of_the_cure(
    tmp_path: Path, url: str
) -> None:
    """At most one a process in ten minutes; when its headers are known, none until ten more are over."""

    async def scene() -> None:
        clock = SetClock(START)
        async with two(tmp_path, url, clock) as services:
            for day in (0, 25, 50, 75, 95):
                clock.now = START + day * DAY
                for service in services:
                    refused = service.gate.at("milter").ask(CLIENT, trace(OUTDATED), f"{day}")
                await until(lambda: {last_seen(service) for service in services} == {clock.now})
            assert refused is not None

            def let(name: str) -> list[bool]:
                """Whether each process lets its transaction of this name go on to the headers."""
                doors = [service.gate.at("policy_service") for service in services]
                return [
                    door.ask_early(CLIENT, f"{name}{number}") is None for number, door in enumerate(doors)
                ]

            clock.now += 9 * MINUTE
            assert let("early") == [False, False]
            clock.now += MINUTE
            # They cannot know of each other's choice, only of what has come of it.
            assert let("a") == [True, True]
            assert let("a") == [True, True]  # the whole of it
            assert let("b") == [False, False]
            services[0].gate.at("milter").ask(CLIENT, trace(OUTDATED), "still old")
            await until(lambda: {last_seen(service) for service in services} == {clock.now})
            clock.now += 9 * MINUTE
            assert let("c") == [False, False]
            clock.now += MINUTE
            assert let("d") == [True, True]
            assert services[0].gate.at("milter").ask(CLIENT, trace(PATCHED), "cured") is None
            await until(lambda: {last_seen(service) for service in services} == {clock.now})
            assert let("e") == [True, True]
            assert services[1].gate.at("milter").ask(CLIENT, trace(OUTDATED), "an old stamp") is None

            with open_store(services[0].config.store.at(services[0].folder.path), create=False) as store:
                await until(lambda: store.message("b0"))
                (row,) = store.message("b0")
                assert (row.door, row.relation, row.line) == ("policy_service", "none", "")
                assert row.action == "block"
                assert store.message("a0") == []
                assert list(store.check()) == []

    asyncio.run(scene())
