"""A client's name counts only if it leads back to its address."""

import asyncio
import socket
from collections.abc import Iterator
from threading import Event

import pytest

from wehr.doors.smtp.names import NO_NAME, HostName, look_up

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
    ],
)
def test_a_name_leads_back_to_its_address(
    monkeypatch: pytest.MonkeyPatch, reverse: object, forward: object, found: HostName
) -> None:
    """Or is none; an address in a name's place is none either, and nothing raises."""

    def answer(value: object) -> object:
        if isinstance(value, Exception):
            raise value
        return value

    monkeypatch.setattr(socket, "getnameinfo", lambda *_: (answer(reverse), "0"))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answer(forward))
    assert asyncio.run(look_up("192.0.2.1")) == found


def test_an_address_that_leads_to_the_root_has_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its owner may write so into the DNS; it is served as whoever has none."""
    monkeypatch.setattr(socket, "getnameinfo", lambda *_: (".", "0"))
    assert asyncio.run(look_up("192.0.2.1")) == NO_NAME


@pytest.fixture(name="hanging")
def _hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A DNS that gives no answer until the test is over."""
    over = Event()
    monkeypatch.setattr(socket, "getnameinfo", lambda *_: over.wait(60) and NOBODY)
    monkeypatch.setattr("wehr.doors.smtp.names._PATIENCE", 0.01)
    yield
    over.set()


@pytest.mark.usefixtures("hanging")
def test_a_slow_dns_does_not_keep_a_client_waiting() -> None:
    """It has no name for now, and its name may come later."""
    assert asyncio.run(look_up("192.0.2.1")) == HostName(later=True)


@pytest.mark.usefixtures("hanging")
def test_a_slow_dns_does_not_keep_others_waiting() -> None:
    """Strangers choose who answers for their addresses; what else the loop needs threads for goes on."""

    async def run() -> int:
        await asyncio.gather(*(look_up(f"192.0.2.{number}") for number in range(200)))
        async with asyncio.timeout(20):
            await asyncio.get_running_loop().getaddrinfo("localhost", 25)
            return await asyncio.to_thread(lambda: 1)

    assert asyncio.run(run()) == 1
