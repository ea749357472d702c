"""A client's name counts only if it leads back to its address; whoever answers slowly delays few."""

import asyncio
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from threading import Event, Lock

import pytest

from wehr.doors.smtp.names import NO_NAME, HostName, Names
from wehr.service.clock import SetClock

NOBODY = socket.gaierror(socket.EAI_NONAME, "unknown")
LATER = socket.gaierror(socket.EAI_AGAIN, "later")


def place(address: str) -> list[object]:
    """What a name leads to."""
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0))]


@pytest.mark.parametrize(
    ("reverse", "forward", "found"),
    [
        ("Mail.Example.com", place("192.0.2.1"), HostName("mail.example.com", "Mail.Example.com")),
        ("mail.example.com", place("192.0.2.2"), HostName("", "mail.example.com")),
        ("mail.example.com", NOBODY, HostName("", "mail.example.com")),
        ("mail.example.com", LATER, HostName("", "mail.example.com", later=True)),
        (NOBODY, NOBODY, NO_NAME),
        (LATER, NOBODY, HostName(later=True)),
        ("192.0.2.1", place("192.0.2.1"), NO_NAME),
        ("mail\r\nRSET", place("192.0.2.1"), NO_NAME),
        ("mx.example.org (by mx.example.net)", place("192.0.2.1"), NO_NAME),
        ("mail..example.com", place("192.0.2.1"), NO_NAME),
        ("x" * 64 + ".example.com", place("192.0.2.1"), NO_NAME),
        (".", place("192.0.2.1"), NO_NAME),
        (UnicodeError("made up"), NOBODY, NO_NAME),
    ],
)
def test_a_name_leads_back_to_its_address(
    monkeypatch: pytest.MonkeyPatch, reverse: object, forward: object, found: HostName
) -> None:
    """Or is none; an address in a name's place is none either, nor the root, and nothing raises."""

    def answer(value: object) -> object:
        if isinstance(value, Exception):
            raise value
        return value

    async def run() -> HostName:
        return await Names(SetClock(0)).look_up("192.0.2.1")

    monkeypatch.setattr(socket, "getnameinfo", lambda *_: (answer(reverse), "0"))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answer(forward))
    assert asyncio.run(run()) == found


class Dns:
    """Has a name for every address, but gives no answer while one ``hangs``."""

    def __init__(self) -> None:
        self.hangs: Callable[[str], bool] = lambda _: False
        self.asked: Counter[str] = Counter()
        self.under_way = 0
        self.over = Event()
        self._lock = Lock()

    def name(self, place: tuple[str, int], _: int) -> tuple[str, str]:
        """The reverse look-up."""
        with self._lock:
            self.asked[place[0]] += 1
            self.under_way += 1
        if self.hangs(place[0]):
            self.over.wait(60)
        with self._lock:
            self.under_way -= 1
        return named(place[0]).reverse, "0"


def named(address: str) -> HostName:
    """What an address is called there."""
    name = f"{address.replace('.', '-')}.example.com"
    return HostName(name, name)


@pytest.fixture(name="dns")
def _dns(monkeypatch: pytest.MonkeyPatch) -> Dns:
    dns = Dns()
    monkeypatch.setattr(socket, "getnameinfo", dns.name)
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda name, *_, **__: place(name.partition(".")[0].replace("-", "."))
    )
    monkeypatch.setattr("wehr.doors.smtp.names._PATIENCE", 20)
    return dns


@contextmanager
def impatient() -> Iterator[None]:
    """For look-ups that get no answer."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("wehr.doors.smtp.names._PATIENCE", 0.2)
        yield


def play(dns: Dns, scene: Callable[[Names, SetClock], Awaitable[None]]) -> None:
    """Run a scene; what hangs is let go at its end."""

    async def run() -> None:
        clock = SetClock(1_790_000_000)
        try:
            async with asyncio.timeout(30):
                await scene(Names(clock), clock)
        finally:
            dns.over.set()

    asyncio.run(run())


async def until(true: Callable[[], object]) -> None:
    """Let threads run until something is so."""
    while not true():  # noqa: ASYNC110 - they are no tasks of the loop
        await asyncio.sleep(0.001)


def test_a_slow_dns_does_not_keep_a_client_waiting(dns: Dns) -> None:
    """It has no name for now; the one that comes later is its next session's."""
    dns.hangs = lambda _: True

    async def scene(names: Names, _: SetClock) -> None:
        with impatient():
            assert await names.look_up("192.0.2.1") == HostName(later=True)
        dns.over.set()
        await until(lambda: names._known)
        assert await names.look_up("192.0.2.1") == named("192.0.2.1")
        assert dns.asked == {"192.0.2.1": 1}

    play(dns, scene)


def test_one_networks_slow_dns_keeps_no_other_waiting(dns: Dns) -> None:
    """However many clients it has: two questions of theirs are under way."""
    dns.hangs = lambda address: address.startswith(("203.0.113.", "2001:db8:bad:"))

    async def scene(names: Names, _: SetClock) -> None:
        crowd = [f"203.0.113.{number}" for number in range(200)]
        crowd += [f"2001:db8:bad:{number:x}::1" for number in range(200)]
        with impatient():
            found = await asyncio.gather(*map(names.look_up, crowd))
        assert set(found) == {HostName(later=True)}
        await until(lambda: dns.under_way >= 4)
        assert dns.under_way == sum(dns.asked.values()) == 4
        assert await names.look_up("192.0.2.1") == named("192.0.2.1")
        async with asyncio.timeout(20):  # what else the loop needs threads for goes on
            assert await asyncio.to_thread(lambda: 1) == 1

    play(dns, scene)


def test_many_networks_with_a_slow_dns_have_no_more_threads_than_there_are(dns: Dns) -> None:
    """And who has had an answer lately needs none, nor a turn."""

    async def scene(names: Names, _: SetClock) -> None:
        assert await names.look_up("192.0.2.1") == named("192.0.2.1")
        dns.hangs = lambda _: True
        crowd = [f"10.0.{number}.{host}" for number in range(100) for host in range(2)]
        crowd += ["192.0.2.2", "192.0.2.3"]
        with impatient():
            await asyncio.gather(*map(names.look_up, crowd))
        await until(lambda: dns.under_way >= 64)
        assert dns.under_way == 64
        assert await names.look_up("192.0.2.1") == named("192.0.2.1")

    play(dns, scene)


def test_those_of_one_network_wait_for_each_other(dns: Dns) -> None:
    """All get their names where the DNS answers, and one address is asked for once."""

    async def scene(names: Names, _: SetClock) -> None:
        crowd = [f"192.0.2.{number % 20}" for number in range(60)]
        found = await asyncio.gather(*map(names.look_up, crowd))
        assert found == [named(address) for address in crowd]
        assert max(dns.asked.values()) <= 2  # the two that came first did so together

    play(dns, scene)


def test_an_answer_holds_for_a_minute(dns: Dns, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what is kept of them is bounded: the oldest goes first."""

    async def scene(names: Names, clock: SetClock) -> None:
        for wait in (0, 59, 1):
            clock.now += wait
            await names.look_up("192.0.2.1")
        assert dns.asked == {"192.0.2.1": 2}
        await asyncio.gather(*(names.look_up(f"10.{number >> 8}.{number & 255}.1") for number in range(3)))
        await names.look_up("192.0.2.1")
        assert dns.asked["192.0.2.1"] == 3

    monkeypatch.setattr("wehr.doors.smtp.names._KEPT", 3)
    play(dns, scene)


def test_a_process_ends_while_names_are_looked_up() -> None:
    """A resolver that waits for a stranger's server does not hold it up."""
    program = """
import asyncio, socket, time
from wehr.doors.smtp import names
names._PATIENCE = 0.1
socket.getnameinfo = lambda *_: time.sleep(120)
print(asyncio.run(names.Names(time.time).look_up("192.0.2.1")).later)
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert ended.stdout == "True\n"
