"""The SMTP proxy in front of a real Postfix: several clients, the ladder on the wire, nobody relays."""

import asyncio
import contextlib
import smtplib
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import aiosmtplib
import messages
import opensmtpd
import postfix
import pytest
from ports import free_port
from postfix import Postfix
from recording_gate import RecordingGate
from running import Receiver, receiver, until
from smtp_stand import certificates, door, trusting

from wehr.doors.smtp import Certificate, NextTls, Tell

pytestmark = [pytest.mark.mta, pytest.mark.xdist_group("mta")]

START = datetime(2026, 10, 12, 9, 0, tzinfo=UTC).timestamp()
DAY = 86_400
OUTDATED, PATCHED = "15.1.2507.16", "15.2.2562.53"
CLIENT = "127.9.0.1"

WAYS = {
    "xclient": (Tell.XCLIENT, {}),
    "proxy": (Tell.PROXY, {"smtpd_upstream_proxy_protocol": "haproxy", "smtpd_authorized_xclient_hosts": ""}),
    "xforward": (
        Tell.XFORWARD,
        {"smtpd_authorized_xforward_hosts": "127.0.0.1", "smtpd_authorized_xclient_hosts": ""},
    ),
    "received": (Tell.RECEIVED, {"smtpd_authorized_xclient_hosts": ""}),
}
TRUSTING = {
    "mynetworks": "127.0.0.1/32",
    "smtpd_relay_restrictions": "permit_mynetworks, reject_unauth_destination",
}
"""A Postfix that relays for whoever comes from the proxy's address."""


_TLSMGR = "tlsmgr unix - - n 1000? 1 tlsmgr\n"


def send(port: int, headers: str, *recipients: str, source: str = CLIENT) -> tuple[int, str]:
    """One message, and the answer that decided on it."""
    with smtplib.SMTP(
        "127.0.0.1", port, local_hostname="mail.example.com", timeout=30, source_address=(source, 0)
    ) as client:
        client.ehlo()
        for line in (
            "MAIL FROM:<a@example.com>",
            *(f"RCPT TO:<{it}>" for it in recipients or ["b@example.org"]),
        ):
            code, text = client.docmd(line)
            if code != 250:
                return code, text.decode()
        code, text = client.data((headers + "\nHello\n.dotted\n").replace("\n", "\r\n"))
        return code, text.decode()


@contextlib.contextmanager
def _stand(folder: Path, way: str, **settings: object) -> Iterator[tuple[Postfix, int, RecordingGate]]:
    tell, main = WAYS[way]
    domains = ("example.org", ".example.org") if tell in (Tell.XFORWARD, Tell.RECEIVED) else ()
    with (
        postfix.running(folder, "", settings={**TRUSTING, **main}) as mx,
        door((mx.host, mx.port), tell=tell, domains=domains, **settings) as (gate, _, port, _, said),
    ):
        yield mx, port, gate
    assert not said


@pytest.mark.parametrize("way", WAYS)
def test_postfix_learns_who_the_client_is_and_nobody_relays(open_folder: Path, way: str) -> None:
    """Its own address may relay, its clients may not, whichever way they are told."""
    with _stand(open_folder, way) as (mx, port, gate):
        code, text = send(port, messages.postfix())
        assert (code, "queued as" in text) == (250, True)
        for stranger in (
            "x@example.com",
            "x%example.com@example.org",
            '"x@example.com"@example.org',
            "x@example.com(.example.org",
        ):
            code, text = send(port, messages.postfix(), stranger)
            assert code in (550, 554), (stranger, text)
        gate.answer = "450 4.7.230 Come again"
        assert send(port, messages.postfix()) == (450, "4.7.230 Come again")
        until(lambda: "status=sent" in mx.log)
        assert mx.log.count("message-id=") == 1
        assert "to=<x@example.com>, relay" not in mx.log
        # XFORWARD shows in the log what the first two make the client itself; a Received field does not.
        named = {"received": "client=unknown[127.0.0.1]"}.get(way, f"client={_name(way)}[{CLIENT}]")
        assert named in mx.log


def _name(way: str) -> str:
    """XCLIENT and XFORWARD tell the name that the proxy looked up; Postfix here looks up none."""
    return "unknown" if way == "proxy" else "mail.example.com"


def test_without_authorisation_postfix_gets_no_mail(open_folder: Path) -> None:
    """It would take all clients for the proxy, and relay."""
    with (
        postfix.running(open_folder, "", settings={**TRUSTING, "smtpd_authorized_xclient_hosts": ""}) as mx,
        door((mx.host, mx.port)) as (_, _, port, _, said),
    ):
        with pytest.raises(smtplib.SMTPConnectError, match="421"):
            send(port, messages.postfix(), "x@example.com")
        until(lambda: said)
    assert "does not offer XCLIENT" in said[0][1]


def test_extensions_pass(open_folder: Path) -> None:
    """SIZE, 8BITMIME, SMTPUTF8 and DSN, by another library's client; what Postfix says comes back."""
    with _stand(open_folder, "xclient") as (mx, port, gate):

        async def converse() -> list[int]:
            async with aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=False) as client:
                await client.ehlo()
                names = (
                    "size",
                    "pipelining",
                    "8bitmime",
                    "smtputf8",
                    "dsn",
                    "chunking",
                    "enhancedstatuscodes",
                )
                assert [name for name in names if not client.supports_extension(name)] == []
                assert not client.supports_extension("xclient")
                big = await client.execute_command(b"MAIL", b"FROM:<a@example.com>", b"SIZE=99999999999")
                await client.rset()  # Postfix itself keeps the size up to then
                options = ["SMTPUTF8", "BODY=8BITMIME", "RET=HDRS", "ENVID=x1"]
                mail = await client.mail("jos\u00e9@example.com", options=options, encoding="utf-8")
                options = ["NOTIFY=SUCCESS", "ORCPT=rfc822;c@example.org"]
                rcpt = await client.rcpt("b@example.org", options=options)
                data = await client.data((messages.postfix() + "\nGr\u00fc\u00df Gott\n").encode())
                return [big.code, mail.code, rcpt.code, data.code]

        assert asyncio.run(converse()) == [552, 250, 250, 250]
        until(lambda: "sender delivery status notification" in mx.log)
        assert "from=<jos\u00e9@example.com>" in mx.log
        assert len(gate.asked) == 1


def test_tls_on_both_sides(open_folder: Path) -> None:
    """The client's and the next hop's are two sessions; Postfix sees the proxy's."""
    folder = certificates()
    open_folder.joinpath("tls").mkdir()
    for name in ("server.pem", "server.key"):
        (open_folder / "tls" / name).write_bytes((folder / name).read_bytes())
    tls = {
        "smtpd_tls_security_level": "encrypt",
        "smtpd_tls_cert_file": str(open_folder / "tls" / "server.pem"),
        "smtpd_tls_key_file": str(open_folder / "tls" / "server.key"),
        "smtpd_tls_received_header": "yes",
        "smtpd_tls_loglevel": "1",
    }
    with (
        postfix.running(open_folder, "", settings=tls, services=_TLSMGR) as mx,
        door(
            (mx.host, mx.port),
            certificate=Certificate(folder / "server.pem", folder / "server.key"),
            next_tls=NextTls.VERIFIED,
            next_name="mx.example.org",
            next_context=ssl.create_default_context(cafile=folder / "ca.pem"),
        ) as (_, _, port, _, said),
        smtplib.SMTP("127.0.0.1", port, timeout=30, source_address=(CLIENT, 0)) as client,
    ):
        client._host = "mx.example.org"  # type: ignore[attr-defined]
        client.starttls(context=trusting())
        client.sendmail("a@example.com", ["b@example.org"], messages.postfix() + "\nHello\n")
        assert "TLS connection established from" in mx.log
        assert f"[{CLIENT}]" in mx.log
    assert not said


def test_chunks_reach_postfix_and_refused_ones_do_not(open_folder: Path) -> None:
    """BDAT, the header in two chunks."""
    text = (messages.postfix() + "\nHello\n").replace("\n", "\r\n").encode()
    with _stand(open_folder, "xclient") as (mx, port, gate):
        for answer in (None, "550 5.7.230 no"):
            gate.answer = answer
            with smtplib.SMTP("127.0.0.1", port, timeout=30, source_address=(CLIENT, 0)) as client:
                client.ehlo("mail.example.com")
                client.docmd("MAIL FROM:<a@example.com>")
                client.docmd("RCPT TO:<b@example.org>")
                client.send(b"BDAT 20\r\n" + text[:20])
                assert client.getreply()[0] == 250
                client.send(b"BDAT %d LAST\r\n" % (len(text) - 20) + text[20:])
                code, said = client.getreply()
                assert f"{code} {said.decode()}" == answer or (code == 250 and b"queued" in said)
        until(lambda: "status=sent" in mx.log)
        assert mx.log.count("message-id=") == 1


def test_opensmtpd_takes_no_line_for_the_end_that_we_do_not(open_folder: Path) -> None:
    """Its lines are C strings: a dot and a NUL end a message there, and what follows would be commands."""
    with (
        opensmtpd.running(open_folder) as mx,
        door((mx.host, mx.port), tell=Tell.RECEIVED, domains=("example.org",)) as (_, _, port, _, said),
        smtplib.SMTP("127.0.0.1", port, timeout=30, source_address=(CLIENT, 0)) as client,
    ):
        for line in ("EHLO mail.example.com", "MAIL FROM:<a@example.com>", "RCPT TO:<b@example.org>", "DATA"):
            client.docmd(line)
        client.send(messages.postfix().replace("\n", "\r\n").encode() + b"\r\nHello\r\n.\0\r\n")
        client.send(b"MAIL FROM:<x@example.com>\r\n.\r\n")
        assert client.getreply()[0] == 554
        client.close()
        until(lambda: "disconnected" in mx.log)
        assert " msgid=" not in mx.log
    assert "lone dot" in said[0][1]


def test_postfix_stopped_in_the_middle_of_a_message_loses_none(open_folder: Path) -> None:
    """The client is told to come again, and Postfix has no half message."""
    with (
        postfix.running(open_folder, "") as mx,
        door((mx.host, mx.port)) as (gate, server, port, _, said),
    ):
        client = smtplib.SMTP("127.0.0.1", port, timeout=30, source_address=(CLIENT, 0))
        client.ehlo("mail.example.com")
        client.docmd("MAIL FROM:<a@example.com>")
        client.docmd("RCPT TO:<b@example.org>")
        client.docmd("DATA")
        client.send((messages.postfix() + "\nHello\n").replace("\n", "\r\n").encode())
        until(lambda: gate.asked)
        until(postfix.abort(mx))
        client.send(b"more\r\n" * 100_000 + b".\r\n")
        assert client.getreply()[0] == 421
        client.close()
        until(lambda: said)
        assert server.counters.next_hop_errors == 1
        assert "message-id=" not in mx.log
        with pytest.raises(smtplib.SMTPConnectError, match="421"):
            send(port, messages.postfix())


@contextlib.contextmanager
def _wehr(folder: Path, mx: Postfix, *more: str) -> Iterator[tuple[Receiver, int]]:
    port = free_port()
    extra = "\n".join(
        (f'smtp.listen = ["127.0.0.1:{port}"]', f'smtp.next_hop = "{mx.host}:{mx.port}"', *more)
    )
    with receiver(folder / "state", START, mode="enforce", extra=extra) as wehr:
        yield wehr, port


def test_an_unpatched_server_is_refused_until_it_is_patched(open_folder: Path) -> None:
    """The whole service: 250 in stage 1, 450 in its minutes, 550 in stage 8, 250 once it is patched."""
    with postfix.running(open_folder, "") as mx, _wehr(open_folder, mx) as (wehr, port):
        assert send(port, messages.exchange(OUTDATED))[0] == 250
        for day in (25, 51):
            wehr.clock.now = START + day * DAY
            send(port, messages.exchange(OUTDATED))
        codes = []
        for minute in range(0, 60, 2):
            wehr.clock.now = START + 51 * DAY + minute * 60
            codes.append(send(port, messages.exchange(OUTDATED))[0])
        for day in (75, 95):
            wehr.clock.now = START + day * DAY
            code, text = send(port, messages.exchange(OUTDATED))
        others = [send(port, it)[0] for it in (messages.postfix(), messages.untraced())]

        assert sorted(codes) == [250] * 20 + [450] * 10
        assert code == 550
        assert text.startswith("5.7.230 Connecting Exchange server version is out-of-date; ")
        assert others == [250, 250]
        assert send(port, messages.exchange(PATCHED))[0] == 250
        assert wehr.service.doors["smtp"].counters.messages == 38
