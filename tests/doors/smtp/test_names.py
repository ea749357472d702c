"""A client's name counts only if it leads back to its address."""

import asyncio
import socket

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


def test_a_slow_dns_does_not_keep_a_client_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no name for now, and its name may come later."""

    async def never(*_: object) -> tuple[str, str]:
        await asyncio.sleep(60)
        return "", ""

    async def run() -> HostName:
        monkeypatch.setattr(asyncio.get_running_loop(), "getnameinfo", never)
        return await look_up("192.0.2.1")

    monkeypatch.setattr("wehr.doors.smtp.names._PATIENCE", 0.01)
    assert asyncio.run(run()) == HostName(later=True)
