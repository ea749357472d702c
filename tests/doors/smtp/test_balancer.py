"""A load balancer in front of the proxy says who the client is; nobody else can."""

import asyncio
import contextlib
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st
from smtp_stand import Client, Stand, stand

from wehr.doors.smtp import Timeouts
from wehr.doors.smtp.balancer import NotSaid, announced
from wehr.doors.smtp.next_hop import Client as Facts
from wehr.doors.smtp.next_hop import proxy_header
from wehr.doors.smtp.stream import Gone, Stream
from wehr.doors.types import Event
from wehr.evidence.lists import Networks

BALANCER = "127.8.0.1"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
FOUR = proxy_header(Facts("203.0.113.10", 2525, "192.0.2.25", 25))
SIX = proxy_header(Facts("2001:db8::10", 2525, "2001:db8::25", 25))
MAPPED = proxy_header(Facts("203.0.113.10", 2525, "2001:db8::25", 25))
MORE = SIGNATURE + b"\x21\x11\x00\x17" + FOUR[16:] + b"\x04\x00\x08" + bytes(8)
LOCAL = SIGNATURE + b"\x20\0\0\0"
NETWORKS = Networks(("127.8.0.0/16",))


def behind(scene: Stand, header: bytes) -> Client:
    """A client of a balancer that begins like this."""
    client = scene.connect(BALANCER)
    client.send(header)
    return client


def ended(client: Client) -> bool:
    """Whether the connection was closed without a word."""
    try:
        return client.reply() == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize(
    ("header", "address"),
    [
        (FOUR, "203.0.113.10"),
        (SIX, "2001:db8::10"),
        (MAPPED, "203.0.113.10"),
        (MORE, "203.0.113.10"),
        (LOCAL, BALANCER),
    ],
    ids=["IPv4", "IPv6", "mapped", "with more than addresses", "LOCAL"],
)
def test_the_client_is_whom_the_balancer_names(header: bytes, address: str) -> None:
    """The next hop and the gate see that one; of a balancer's own connection the balancer."""
    with stand(balancers=NETWORKS) as scene:
        client = behind(scene, header)
        client.begin()
        client.say(b"DATA")
        assert client.say(b"Subject: Hello\r\n\r\nHello\r\n.").startswith(b"250 ")
        (session, _, _), *_ = scene.gate.asked
        assert session.client_ip == address
        assert session.listener == ("25" if address != BALANCER else str(scene.port))
        assert any(b" ADDR=" in line and address.encode() in line for line in scene.hop.told)


def test_a_header_may_come_drop_by_drop_and_with_what_follows_it() -> None:
    """Nothing is greeted before it is complete, and no byte of the client's is lost."""
    with stand(balancers=NETWORKS) as scene:
        client = scene.connect(BALANCER)
        for byte in FOUR[:-1]:
            client.send(bytes((byte,)))
        client.socket.settimeout(0.1)
        with pytest.raises(TimeoutError):
            client.socket.recv(1)
        client.socket.settimeout(20)
        client.send(FOUR[-1:] + b"EHLO client.example.com\r\n")
        assert client.socket.recv(3) == b"220"


@pytest.mark.parametrize(
    "header",
    [
        b"EHLO client.example.com\r\n",
        b"PROXY TCP4 203.0.113.10 192.0.2.25 2525 25\r\n",
        SIGNATURE + b"\x11" + FOUR[13:],
        SIGNATURE + b"\x22" + FOUR[13:],
        SIGNATURE + b"\x21\x12" + FOUR[14:],
        SIGNATURE + b"\x21\x31\x00\xd8" + bytes(216),
        SIGNATURE + b"\x21\x00\x00\x00",
        SIGNATURE + b"\x21\x11\x00\x0b" + bytes(11),
        SIGNATURE + b"\x21\x11\xff\xff",
    ],
    ids=["SMTP", "version 1", "old", "command", "UDP", "unix", "nobody", "short", "long"],
)
def test_a_balancer_that_names_no_client_is_cut_off(header: bytes) -> None:
    """Without a word, and the next hop hears nothing: it would take the client for the balancer."""
    with stand(balancers=NETWORKS) as scene:
        assert ended(behind(scene, header))
        assert [event for event, _ in scene.said] == [Event.PROTOCOL_ERROR]
        assert not scene.hop.told


def test_a_silent_balancer_is_waited_for_only_shortly() -> None:
    """It has nothing to wait for itself."""
    with stand(balancers=NETWORKS, timeouts=Timeouts(announced=0.2)) as scene:
        assert ended(behind(scene, FOUR[:20]))
        assert [event for event, _ in scene.said] == [Event.TIMEOUT]


def test_a_balancer_that_only_connects_is_no_error() -> None:
    """So it looks whether somebody listens."""
    with stand(balancers=NETWORKS) as scene:
        client = behind(scene, b"")
        client.socket.shutdown(socket.SHUT_WR)
        assert ended(client)
        assert not scene.said


@pytest.mark.parametrize("balancers", [NETWORKS, Networks(())], ids=["others", "none"])
def test_nobody_else_is_listened_to(balancers: Networks) -> None:
    """Such a header is what any client may send: it is no command, and ends the session."""
    with stand(balancers=balancers) as scene:
        client = scene.connect("127.9.0.1")
        client.send(FOUR)
        assert client.reply().startswith(b"220 ")
        replies = [client.reply() for _ in range(4)]
        assert [reply[:3] for reply in replies] == [b"502", b"502", b"500", b"521"]
        assert ended(client)
        assert any(b" ADDR=127.9.0.1" in line for line in scene.hop.told)


def _read(data: bytes) -> Facts:
    async def read() -> Facts:
        stream = Stream()
        stream.data_received(data)
        stream.eof_received()
        return await announced(stream, Facts(BALANCER))

    return asyncio.run(read())


_ADDRESSES = st.one_of(
    st.tuples(st.ip_addresses(v=4), st.ip_addresses(v=4)),
    st.tuples(st.ip_addresses(v=6), st.ip_addresses(v=6)),
)


@given(_ADDRESSES, st.integers(0, 65535), st.integers(0, 65535), st.binary(max_size=40))
def test_what_is_written_is_read(
    addresses: tuple[object, object], port: int, here_port: int, rest: bytes
) -> None:
    """For any client; mapped addresses come back as IPv4."""
    client, here = (str(getattr(it, "ipv4_mapped", None) or it) for it in addresses)
    assert _read(proxy_header(Facts(client, port, here, here_port)) + rest) == Facts(
        client, port, here, here_port
    )


@given(st.binary(max_size=60), st.booleans())
def test_nothing_that_is_sent_there_throws(data: bytes, signed: bool) -> None:
    """It is a client, no header, or an end."""
    with contextlib.suppress(NotSaid, Gone):
        assert isinstance(_read(SIGNATURE * signed + data), Facts)
