"""Whose place at the proxy is whose: one network's clients take some, and slow ones do not keep theirs."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from running import until
from smtp_stand import Client, Stand, stand

from wehr.doors.smtp import Timeouts
from wehr.doors.smtp.next_hop import Client as Facts
from wehr.doors.smtp.next_hop import proxy_header
from wehr.doors.smtp.patience import LEAST_RATE, Patience
from wehr.doors.types import Event
from wehr.evidence.lists import Networks
from wehr.service.door_settings import Smtp

BALANCER = "127.8.0.1"


def from_there(scene: Stand, address: str) -> Client:
    """A client, as a balancer names it."""
    client = scene.connect(BALANCER)
    client.send(proxy_header(Facts(address, 2525, "192.0.2.25" if "." in address else "2001:db8::25", 25)))
    return client


@pytest.mark.parametrize("network", ["203.0.113.{}", "2001:db8:1:{:x}::1"])
def test_one_networks_clients_have_so_many_places(network: str) -> None:
    """As many as by default, whatever their addresses; the others' are free, and theirs when they leave."""
    most = Smtp().max_per_network
    with stand(balancers=Networks((BALANCER,)), per_network=most) as scene:
        crowd = [from_there(scene, network.format(number)) for number in range(most)]
        assert all(client.reply().startswith(b"220 ") for client in crowd)
        late = from_there(scene, network.format(250))
        assert late.reply().startswith(b"421 4.7.0 proxy.example.org ")
        assert late.reply() == b""
        assert [event for event, _ in scene.said] == [Event.OVERLOAD]
        assert f"{most} clients of " in scene.said[0][1]
        for address in ("198.51.100.1", "2001:db8:2::1"):
            assert from_there(scene, address).reply().startswith(b"220 ")
        crowd[0].close()
        until(lambda: len(scene.server.open) == most + 1)
        assert from_there(scene, network.format(250)).reply().startswith(b"220 ")


def test_neighbours_have_as_many_places_as_there_are() -> None:
    """Clients on this machine and in private networks, and the balancer that looks whether we live."""
    with stand(balancers=Networks((BALANCER,)), per_network=1) as scene:
        for _ in range(3):
            assert scene.connect().reply().startswith(b"220 ")
            assert from_there(scene, "192.168.7.1").reply().startswith(b"220 ")
    with stand(balancers=Networks((BALANCER,)), per_network=1, stranger=lambda _: True) as scene:
        for _ in range(3):
            health = scene.connect(BALANCER)
            health.send(b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0")
            assert health.reply().startswith(b"220 ")
        assert scene.connect().reply().startswith(b"220 ")
        assert scene.connect().reply().startswith(b"421 4.7.0 ")


def test_the_limit_can_be_lifted() -> None:
    """With 0."""
    with stand(per_network=0, stranger=lambda _: True) as scene:
        assert all(scene.connect().reply().startswith(b"220 ") for _ in range(3))


class Content:
    """A message of which so many bytes come after so many seconds, by a clock that nobody waits for."""

    def __init__(self, times: Timeouts) -> None:
        self.now = 0.0
        self.patience = Patience(times)

    def come(self, pieces: list[tuple[float, int]]) -> bool:
        """Whether all of it was waited for."""

        async def run() -> None:
            asyncio.get_running_loop().time = lambda: self.now  # type: ignore[method-assign]
            for seconds, size in pieces:
                await self.patience.for_content(self._piece(seconds, size))

        try:
            asyncio.run(run())
        except TimeoutError:
            return False
        return True

    async def _piece(self, seconds: float, size: int) -> bytes:
        loop, came = asyncio.get_running_loop(), asyncio.Event()
        loop.call_at(self.now + seconds, came.set)
        self.now += seconds
        await came.wait()
        return bytes(size)


TIMES = Timeouts()
PIECES = st.lists(st.tuples(st.floats(0.001, 290), st.integers(1, 64 << 10)), max_size=40)


@given(PIECES)
def test_who_keeps_the_least_rate_is_never_given_up(pieces: list[tuple[float, int]]) -> None:
    """However long the message, and however unevenly it comes."""
    kept = [(seconds, max(size, int(seconds * LEAST_RATE) + 1)) for seconds, size in pieces]
    assert Content(TIMES).come(kept)


@given(PIECES)
def test_who_does_not_keep_it_is_given_up(pieces: list[tuple[float, int]]) -> None:
    """Not before it is late by the time that it has in all, and then at once."""
    late, content = 0.0, Content(TIMES)
    for seconds, size in pieces:
        before = content.now
        if late + seconds < TIMES.content - 1:
            assert content.come([(seconds, size)])
        elif late + seconds > TIMES.content + 1:
            assert not content.come([(seconds, size)])
            return
        else:
            return
        assert content.now == before + seconds
        late = max(0.0, late + seconds - size / LEAST_RATE)


def test_a_hundred_megabytes_come_over_a_slow_line() -> None:
    """At 64 kbit/s it takes three and a half hours; and then a pause of nearly the whole time is no harm."""
    content = Content(TIMES)
    assert content.come([(2, 16_000)] * 6250)
    assert content.now > 3 * 3600
    assert content.come([(299, 1)])
    content.patience.renew()
    assert content.come([(299, 1)])
    assert not content.come([(2, 1)])
