"""How the next hop learns who the client is, and what the proxy does where it cannot be told."""

import socket
from email import message_from_bytes
from pathlib import Path

import pytest
from ports import free_port
from running import receiver
from smtp_stand import EHLO, TRACE, Client, NextHop, Stand, stand

from wehr.doors.smtp import Tell
from wehr.doors.smtp.names import HostName
from wehr.doors.smtp.next_hop import Client as Facts
from wehr.doors.smtp.next_hop import NextHopGone, proxy_header, xclient, xforward

FACTS = Facts("203.0.113.10", 2525, "192.0.2.1", 25, HostName("mail.example.com", "mail.example.com"))
SIX = Facts("2001:db8::10", 2525, "2001:db8::1", 25)
TEXT = TRACE + b"\r\nHello\r\n"


def deliver(scene: Stand, client: Client) -> bytes:
    """One message after an envelope; what the client is told."""
    client.say(b"DATA")
    return client.say(TEXT + b".")


def test_xclient_comes_before_anything_of_the_clients() -> None:
    """With what the next hop offers to take, and its answer greets the client."""
    with stand() as scene:
        client = scene.connect("127.9.0.1")
        assert client.reply() == b"220 mx.example.org ESMTP for you\r\n"
        port = client.socket.getsockname()[1]
        assert scene.hop.told == [
            b"EHLO proxy.example.org",
            b"XCLIENT NAME=mail.example.com ADDR=127.9.0.1 PORT=%d" % port,
        ]
        client.say(b"EHLO client.example.com")
        assert scene.hop.told[-1] == b"EHLO client.example.com"


def test_what_xclient_says() -> None:
    """Postfix, XCLIENT_README: no name, no answer of the DNS, IPv6, xtext."""
    everything = b"NAME ADDR PORT REVERSE_NAME HELO"
    assert xclient(FACTS, everything) == (
        b"XCLIENT NAME=mail.example.com ADDR=203.0.113.10 PORT=2525 REVERSE_NAME=mail.example.com\r\n"
    )
    assert xclient(SIX, b"NAME ADDR") == b"XCLIENT NAME=[UNAVAILABLE] ADDR=IPV6:2001:db8::10\r\n"
    later = Facts("192.0.2.1", name=HostName("", "a b+c=d.example", later=True))
    assert xclient(later, b"NAME REVERSE_NAME") == (
        b"XCLIENT NAME=[TEMPUNAVAIL] REVERSE_NAME=a+20b+2Bc+3Dd.example\r\n"
    )


def test_what_xforward_says() -> None:
    """Postfix, XFORWARD_README: the same with HELO and protocol, which cannot add attributes."""
    said = xforward(FACTS, b"NAME ADDR PORT PROTO HELO SOURCE", "client ADDR=x", "ESMTP")
    assert said == (
        b"XFORWARD NAME=mail.example.com ADDR=203.0.113.10 PORT=2525 PROTO=ESMTP "
        b"HELO=client+20ADDR+3Dx SOURCE=REMOTE\r\n"
    )


def test_the_proxy_header() -> None:
    """Version 2, byte for byte (proxy-protocol.txt section 2.2)."""
    start = b"\r\n\r\n\x00\r\nQUIT\n\x21"
    four = start + b"\x11\x00\x0c" + bytes((203, 0, 113, 10, 192, 0, 2, 1)) + b"\x09\xdd\x00\x19"
    assert proxy_header(FACTS) == four
    pair = socket.inet_pton(socket.AF_INET6, SIX.address) + socket.inet_pton(socket.AF_INET6, SIX.here)
    assert proxy_header(SIX) == start + b"\x21\x00\x24" + pair + b"\x09\xdd\x00\x19"
    mixed = proxy_header(Facts("192.0.2.9", 1, "2001:db8::1", 2))
    assert b"\xff\xff" + bytes((192, 0, 2, 9)) in mixed
    with pytest.raises(NextHopGone):
        proxy_header(Facts())


def test_by_proxy_protocol_the_header_comes_first() -> None:
    """And the next hop's own greeting is the client's."""
    with stand(tell=Tell.PROXY) as scene:
        scene.hop.before = b"x" * 28
        client = scene.connect("127.9.0.1")
        assert client.reply() == b"220 mx.example.org ESMTP\r\n"
        assert scene.hop.before[:16] == b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c"
        assert scene.hop.before[16:20] == socket.inet_aton("127.9.0.1")


def test_by_xforward_each_message_is_announced() -> None:
    """Before its MAIL, for Postfix forgets it after each."""
    with stand(tell=Tell.XFORWARD, domains=("example.org",)) as scene:
        scene.hop.replies["EHLO"] = EHLO.replace(b"XCLIENT NAME ADDR PORT", b"XFORWARD ADDR HELO")
        client = scene.connect("127.9.0.1")
        client.begin()
        assert deliver(scene, client).startswith(b"250 ")
        client.send(b"RSET\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.org>\r\n")
        assert [client.reply()[:3] for _ in range(3)] == [b"250"] * 3
        told = [line.split()[0] for line in scene.hop.told]
        assert told[2:] == [b"XFORWARD", b"MAIL", b"RCPT", b"DATA", b"RSET", b"XFORWARD", b"MAIL", b"RCPT"]
        assert b"XFORWARD ADDR=127.9.0.1 HELO=client.example.com" in scene.hop.told


@pytest.mark.parametrize("chunked", [False, True])
def test_by_received_the_message_begins_with_a_field_of_ours(chunked: bool) -> None:
    """RFC 5321 section 4.4; nothing else of the message is changed, and the gate does not see it."""
    with stand(tell=Tell.RECEIVED, domains=("example.org",), clock=lambda: 1_790_000_000) as scene:
        client = scene.connect("127.9.0.1")
        client.reply()
        client.say(b"EHLO evil (x)\ty; z")
        client.envelope()
        if chunked:
            client.send(b"BDAT 10\r\n%sBDAT %d LAST\r\n%s" % (TEXT[:10], len(TEXT) - 10, TEXT[10:]))
            assert [client.reply()[:3] for _ in range(2)] == [b"250", b"250"]
        else:
            assert deliver(scene, client).startswith(b"250 ")
        (message,) = scene.hop.messages
        ours, _, rest = message.partition(TRACE)
        assert rest.removesuffix(b".\r\n") == b"\r\nHello\r\n"
        field = " ".join(str(message_from_bytes(ours)["Received"]).split())
        assert field.startswith(
            "from evilxyz (mail.example.com [127.9.0.1]) by proxy.example.org (Wehr) with "
        )
        assert field.endswith("; Mon, 21 Sep 2026 14:13:20 +0000")
        assert len(scene.gate.asked[0][1]) == 1
        assert client.say(b"RCPT TO:<c@example.com>") == b"550 5.7.1 Relaying denied\r\n"


def test_the_field_bears_the_services_time(tmp_path: Path) -> None:
    """Wehr has one clock, by which it also decides."""
    hop, port = NextHop(), free_port()
    table = (
        f'smtp = {{ listen = ["127.0.0.1:{port}"], next_hop = "127.0.0.1:{hop.port}", '
        'tell_client = "received", domains = ["example.org"], look_up_names = false }'
    )
    with receiver(tmp_path, 1_790_000_000, "report", table):
        client = Client(port)
        client.begin()
        client.say(b"DATA")
        assert client.say(TEXT + b".").startswith(b"250 ")
        client.close()
    hop.close()
    assert b"\r\n\tMon, 21 Sep 2026 14:13:20 +0000\r\n" in hop.messages[0]


def test_whoever_hides_the_client_takes_no_mail_for_others() -> None:
    """The next hop would relay for Wehr's address: the recipient is refused in a group, and not told on."""
    with stand(tell=Tell.RECEIVED, domains=("example.org",)) as scene:
        client = scene.connect()
        client.reply()
        client.say(b"EHLO client.example.com")
        client.send(
            b"MAIL FROM:<a@example.org>\r\nRCPT TO:<x@example.com>\r\nRCPT TO:<b@example.org>\r\n"
            b"RCPT TO:<x%example.com@example.org>\r\n"
        )
        assert [client.reply()[:3] for _ in range(4)] == [b"250", b"550", b"250", b"550"]
        assert not any(b"example.com>" in line for line in scene.hop.told if line.startswith(b"RCPT"))
        deliver(scene, client)
        assert scene.gate.asked[0][0].recipients == ("example.org",)


@pytest.mark.parametrize(
    "greeting", [b"hello\r\n", b"220-a\r\n221 b\r\n", b"x" * 5000 + b"\r\n", b"220-a\r\n" * 101]
)
def test_who_does_not_speak_smtp_is_no_next_hop(greeting: bytes) -> None:
    """The client comes again; nothing is kept of an endless answer."""
    with stand() as scene:
        scene.hop.replies["GREETING"] = greeting
        assert scene.connect().reply().startswith(b"421 4.4.1 ")


def test_a_greeting_that_refuses_reaches_the_client() -> None:
    """Before any word of ours."""
    with stand() as scene:
        scene.hop.replies["GREETING"] = b"421 4.3.2 All busy\r\n"
        client = scene.connect()
        assert client.reply() == b"421 4.3.2 All busy\r\n"
        assert client.reply() == b""
        assert not scene.hop.told
