"""STARTTLS with the client and with the next hop, certificates, and AUTH."""

import contextlib
import gc
import os
import ssl
import subprocess
import sys
import time
from base64 import b64encode
from pathlib import Path

import pytest
from running import until
from smtp_stand import EHLO, TRACE, Client, NextHop, certificates, door, serving, stand, trusting

from wehr.doors.smtp import Certificate, NextTls
from wehr.doors.smtp.next_hop import unverified

TEXT = TRACE + b"\r\nHello\r\n"


def certificate(*, ask: bool = False) -> Certificate:
    """The server's; with ``ask`` clients may show theirs."""
    folder = certificates()
    return Certificate(folder / "server.pem", folder / "server.key", folder / "ca.pem" if ask else None)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_starttls_is_ours_to_offer(loop: str) -> None:
    """Whatever the next hop offers; over TLS it is offered no more, and mail passes."""
    with stand(new_loop=pytest.importorskip(loop).new_event_loop, certificate=certificate()) as scene:
        client = scene.connect()
        client.reply()
        assert client.say(b"EHLO client.example.com").endswith(b"250 STARTTLS\r\n")
        client.starttls()
        assert b"STARTTLS" not in client.say(b"EHLO client.example.com")
        client.envelope()
        client.say(b"DATA")
        long = b"".join(b"%07d\r\n" % number for number in range(50_000))
        assert client.say(TEXT + long + b".").startswith(b"250 ")
        assert scene.hop.messages == [TEXT + long + b".\r\n"]
        assert client.say(b"STARTTLS").startswith(b"502 ")


def test_without_a_certificate_it_is_not_offered() -> None:
    """Nor taken."""
    with stand() as scene:
        scene.hop.replies["EHLO"] = EHLO.replace(b"250-SIZE", b"250-STARTTLS\r\n250-SIZE")
        client = scene.connect()
        client.reply()
        assert b"STARTTLS" not in client.say(b"EHLO client.example.com")
        assert client.say(b"STARTTLS").startswith(b"502 ")


def test_where_tls_is_required_nothing_goes_on_without_it() -> None:
    """RFC 3207: 530 but for EHLO, NOOP, QUIT."""
    with stand(certificate=certificate(), tls_required=True) as scene:
        client = scene.connect()
        client.reply()
        client.say(b"EHLO client.example.com")
        for line in (b"MAIL FROM:<a@example.com>", b"DATA", b"VRFY a", b"AUTH PLAIN"):
            assert client.say(line).startswith(b"530 5.7.0 ")
        assert client.say(b"NOOP").startswith(b"250 ")
        client.starttls()
        assert client.say(b"MAIL FROM:<a@example.com>").startswith(b"250 ")


def test_what_is_sent_ahead_of_tls_is_not_taken_for_encrypted() -> None:
    """A command injected behind STARTTLS (CVE-2011-0411) ends the session, and reaches nobody."""
    with stand(certificate=certificate()) as scene:
        client = scene.connect()
        client.reply()
        client.say(b"EHLO client.example.com")
        client.send(b"STARTTLS\r\nRSET\r\n")
        assert client.reply().startswith(b"503 ")
        assert client.reply() == b""
        assert b"RSET" not in scene.hop.told


def test_starttls_does_not_come_in_the_middle_of_a_message() -> None:
    """The transaction stays."""
    with stand(certificate=certificate()) as scene:
        client = scene.connect()
        client.begin()
        assert client.say(b"STARTTLS").startswith(b"503 ")
        client.say(b"DATA")
        assert client.say(TEXT + b".").startswith(b"250 ")


def test_a_verified_certificate_names_the_client() -> None:
    """The gate is told its subject; of a client that shows none, nothing."""
    with stand(certificate=certificate(ask=True)) as scene:
        for shows in (True, False):
            client = scene.connect()
            client.reply()
            client.say(b"EHLO client.example.com")
            client.starttls(trusting(client=shows))
            client.say(b"EHLO client.example.com")
            client.envelope()
            client.say(b"DATA")
            assert client.say(TEXT + b".").startswith(b"250 ")
        assert [session.tls_name for session, _, _ in scene.gate.asked] == ["mail.example.com", ""]


def test_a_client_that_fails_at_tls_is_left() -> None:
    """And its connection to the next hop with it."""
    with stand(certificate=certificate()) as scene:
        client = scene.connect()
        client.reply()
        client.say(b"EHLO client.example.com")
        assert client.say(b"STARTTLS").startswith(b"220 ")
        client.send(b"this is not TLS\r\n")
        until(lambda: not scene.server.open)


def test_a_renewed_certificate_is_used_without_a_restart(tmp_path: Path) -> None:
    """And a broken one is not."""
    names = [tmp_path / "cert.pem", tmp_path / "key.pem"]
    for name, kind in zip(names, ("pem", "key"), strict=True):
        name.write_bytes((certificates() / f"client.{kind}").read_bytes())
    ours = Certificate(*names)
    first = ours.context()
    assert ours.context() is first
    later = time.time_ns() + 10**9
    names[0].write_text("broken")
    os.utime(names[0], ns=(later, later))
    assert ours.context() is first
    for name, kind in zip(names, ("pem", "key"), strict=True):
        name.write_bytes((certificates() / f"server.{kind}").read_bytes())
        os.utime(name, ns=(later + 10**9, later + 10**9))
    assert ours.context() is not first


def test_a_key_that_wants_a_passphrase_is_refused_and_nobody_is_asked(tmp_path: Path) -> None:
    """On a terminal all mail would wait for an answer."""
    locked, lock = tmp_path / "key.pem", ("pkey", "-aes256", "-passout", "pass:wehr")
    key, certificate = certificates() / "server.key", certificates() / "server.pem"
    subprocess.run(("openssl", *lock, "-in", key, "-out", locked), check=True, capture_output=True)
    make = "import sys; from wehr.doors.smtp import Certificate; Certificate(*sys.argv[1:])"
    terminal, our_side = os.openpty()
    try:
        run = subprocess.run(
            [sys.executable, "-c", make, certificate, locked],
            check=False, stdin=terminal, capture_output=True, text=True, timeout=60, start_new_session=True,
        )  # fmt: skip
    finally:
        os.close(terminal)
        os.close(our_side)

    assert "SSLError" in run.stderr


def trusted() -> ssl.SSLContext:
    """What the proxy verifies the next hop by."""
    return ssl.create_default_context(cafile=certificates() / "ca.pem")


@pytest.mark.parametrize(
    ("kind", "name", "passes"),
    [
        (NextTls.OFFERED, "", True),
        (NextTls.REQUIRED, "", True),
        (NextTls.VERIFIED, "mx.example.org", True),
        (NextTls.VERIFIED, "other.example.org", False),
        (NextTls.OFF, "", True),
    ],
)
def test_the_way_to_the_next_hop_is_encrypted_as_configured(kind: NextTls, name: str, passes: bool) -> None:
    """A next hop that is not the one it should be gets no mail."""
    context = trusted() if kind is NextTls.VERIFIED else None
    with stand(next_tls=kind, next_name=name, next_context=context) as scene:
        scene.hop.replies["EHLO"] = EHLO.replace(b"250-SIZE", b"250-STARTTLS\r\n250-SIZE")
        scene.hop.replies["STARTTLS"] = b"220 Go\r\n"
        scene.hop.tls = serving()
        client = scene.connect()
        assert client.reply().startswith(b"220 " if passes else b"421 ")
        assert (b"STARTTLS" in scene.hop.told) == (kind is not NextTls.OFF)
        if passes:
            assert client.say(b"EHLO x").startswith(b"250")
            client.envelope()
            client.say(b"DATA")
            assert client.say(TEXT + b".").startswith(b"250 ")


def test_where_tls_with_the_next_hop_is_required_nothing_goes_in_the_clear() -> None:
    """It does not offer it: the client comes again."""
    with stand(next_tls=NextTls.REQUIRED) as scene:
        assert scene.connect().reply().startswith(b"421 ")
        assert scene.hop.told == [b"EHLO proxy.example.org"]


def test_where_it_is_only_wished_for_mail_goes_on_without() -> None:
    """The next hop offers TLS and cannot do it."""
    with stand(next_tls=NextTls.OFFERED) as scene:
        scene.hop.replies["EHLO"] = EHLO.replace(b"250-SIZE", b"250-STARTTLS\r\n250-SIZE")
        scene.hop.replies["STARTTLS"] = b"454 4.7.0 No\r\n"
        assert scene.connect().reply().startswith(b"220 ")


def test_a_closed_door_leaves_no_connection_open() -> None:
    """Not even to a next hop that does not answer when it is told that TLS ends."""
    hop = NextHop()
    hop.replies["EHLO"] = EHLO.replace(b"250-SIZE", b"250-STARTTLS\r\n250-SIZE")
    hop.replies["STARTTLS"] = b"220 Go\r\n"
    hop.tls = serving()
    with contextlib.closing(hop):
        with door(("127.0.0.1", hop.port), next_tls=NextTls.REQUIRED) as (_, _, port, _, _):
            client = Client(port)
            client.begin()
            hop.attentive.clear()
            client.send(b"NOOP\r\n")
            until(lambda: b"NOOP" in hop.told)
        client.close()
        gc.collect()  # a transport that is still open complains, and the test run takes that for an error


def test_clients_log_in_at_the_next_hop() -> None:
    """Over TLS only, to and fro as the mechanism wants; then the gate knows, and any recipient passes on."""
    offer = EHLO.replace(b"250-SIZE", b"250-AUTH NTLM LOGIN PLAIN\r\n250-SIZE")
    with stand(certificate=certificate(), domains=("example.org",)) as scene:
        scene.hop.replies["EHLO"] = offer
        client = scene.connect()
        client.reply()
        assert b"AUTH" not in client.say(b"EHLO client.example.com")
        assert client.say(b"AUTH PLAIN x").startswith(b"530 ")
        client.starttls()
        assert b"250-AUTH LOGIN PLAIN\r\n" in client.say(b"EHLO client.example.com")
        scene.hop.replies["AUTH"] = b"334 VXNlcm5hbWU6\r\n"
        scene.hop.replies["dXNlcg=="] = b"334 UGFzc3dvcmQ6\r\n"
        secret = b64encode(b"s" * 3000)
        scene.hop.replies[secret.decode()] = b"235 2.7.0 Welcome\r\n"
        scene.hop.replies |= {name.upper(): reply for name, reply in scene.hop.replies.items()}
        for never in (b"AUTH", b"AUTH NTLM", b"AUTH EXTERNAL =", b"AUTH GSSAPI"):
            assert client.say(never).startswith(b"504 ")
        assert client.say(b"AUTH LOGIN") == b"334 VXNlcm5hbWU6\r\n"
        assert client.say(b"dXNlcg==") == b"334 UGFzc3dvcmQ6\r\n"
        assert client.say(secret) == b"235 2.7.0 Welcome\r\n"
        scene.hop.replies["*"] = b"501 5.7.0 Cancelled\r\n"
        for broken in (b"x" * 13_000, b"a\rb", b"a\0b"):
            client.say(b"AUTH LOGIN")
            assert client.say(broken) == b"501 5.7.0 Cancelled\r\n"
        client.envelope(b"anybody@example.com")
        client.say(b"DATA")
        assert client.say(TEXT + b".").startswith(b"250 ")
        assert scene.gate.asked[0][0].authenticated


def test_without_verification_any_certificate_will_do() -> None:
    """What opportunistic TLS means."""
    context = unverified()
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_NONE, False)
