"""What transcripts cannot say, over Postfix and Sendmail: IPv6, TLS, unix sockets' permissions, restarts."""

import asyncio
import contextlib
import grp
import smtplib
import ssl
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import postfix
import pytest
import sendmail
from listening import on_tcp, on_unix
from ports import free_port
from recording_gate import RecordingGate
from running import until

from wehr.doors.milter import MilterServer
from wehr.evidence.types import Session

pytestmark = [pytest.mark.mta, pytest.mark.xdist_group("mta")]

SYSTEMS = ("postfix", "sendmail")
MESSAGE = b"Received: from a.example.com by b.example.com\r\nSubject: x\r\n\r\nx\r\n"


class Door:
    """A milter door in a thread of its own, which can be closed and opened again in the same place."""

    def __init__(self, gate: RecordingGate) -> None:
        self.gate = gate
        self.port = free_port()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.server = MilterServer(gate)

    def open(self, path: Path | None = None, mode: int = 0o660, group: str | None = None) -> "Door":
        """Listen on the port, or on a unix socket."""
        self.server = MilterServer(self.gate)
        listening = on_unix(self.server, path, mode, group) if path else on_tcp(self.server, self.port)
        asyncio.run_coroutine_threadsafe(listening, self._loop).result(30)
        return self

    def close(self) -> None:
        """Stop, as Wehr does."""
        asyncio.run_coroutine_threadsafe(self.server.close(0), self._loop).result(30)

    def end(self) -> None:
        """Stop for good."""
        self.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()


@pytest.fixture(name="door")
def _door() -> Iterator[Door]:
    door = Door(RecordingGate())
    yield door
    door.end()


@dataclass(frozen=True)
class Certificates:
    """A CA, the server's certificate, one that it issued to a client, and one that a client made itself."""

    folder: Path
    ca: Path = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ca", self.folder / "ca.pem")
        self._make("ca", "Test CA", "-x509")
        for name, subject in (("server", "mx.example.org"), ("partner", "partner.example.com")):
            self._make(name, subject, "-x509", "-CA", str(self.ca), "-CAkey", str(self.folder / "ca.key"))
        self._make("liar", "partner.example.com", "-x509")
        for key in self.folder.glob("*.key"):
            key.chmod(0o600)

    def _make(self, name: str, subject: str, *more: str) -> None:
        command = [
            *("openssl", "req", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={subject}"),
            *("-keyout", str(self.folder / f"{name}.key"), "-out", str(self.folder / f"{name}.pem"), *more),
        ]
        subprocess.run(command, check=True, capture_output=True, timeout=60)

    def context(self, name: str) -> ssl.SSLContext:
        """A client that shows this certificate, or none."""
        context = ssl.create_default_context(cafile=str(self.ca))
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if name:
            context.load_cert_chain(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        return context


@contextlib.contextmanager
def _system(
    name: str, folder: Path, milter: str | int, certificates: Certificates | None = None, ipv6: int = 0
) -> Iterator[tuple[str, int]]:
    """The mail system of this name; its address. ``milter`` is a port or a unix socket's path."""
    if name == "postfix":
        where = f"inet:127.0.0.1:{milter}" if isinstance(milter, int) else f"unix:{milter}"
        settings = {"inet_protocols": "all"}
        if certificates:
            settings |= {
                "smtpd_tls_security_level": "may",
                "smtpd_tls_cert_file": str(certificates.folder / "server.pem"),
                "smtpd_tls_key_file": str(certificates.folder / "server.key"),
                "smtpd_tls_CAfile": str(certificates.ca),
                "smtpd_tls_ask_ccert": "yes",
            }
        services = "tlsmgr unix - - n 1000? 1 tlsmgr\n"
        services += f"[::1]:{ipv6} inet n - n - - smtpd\n" if ipv6 else ""
        with postfix.running(folder, where, settings=settings, services=services) as mx:
            yield mx.host, mx.port
        return
    where = f"inet:{milter}@127.0.0.1" if isinstance(milter, int) else f"local:{milter}"
    extra = f"DAEMON_OPTIONS(`Name=MTA6, Family=inet6, Addr=::1, Port={ipv6}')dnl\n" if ipv6 else ""
    if certificates:
        at = certificates.folder
        extra += "".join(
            f"define(`{key}', `{value}')dnl\n"
            for key, value in (
                ("confCACERT_PATH", at),
                ("confCACERT", certificates.ca),
                ("confSERVER_CERT", at / "server.pem"),
                ("confSERVER_KEY", at / "server.key"),
            )
        )
    with sendmail.running(folder, where, extra=extra) as other:
        yield other.host, other.port


def _deliver(address: tuple[str, int], context: ssl.SSLContext | None = None) -> int:
    """One message in a session of its own; the code after the dot."""
    with smtplib.SMTP(*address, local_hostname="client.example.com", timeout=30) as client:
        client.ehlo()
        if context:
            assert client.starttls(context=context)[0] == 220
            client.ehlo()
        assert client.mail("a@example.com")[0] == 250
        assert client.rcpt("b@example.org")[0] == 250
        return client.data(MESSAGE)[0]


def _asked(door: Door) -> Session:
    """The session of the one question that was asked."""
    ((session, trace, _),) = door.gate.asked
    assert len(trace) == 1
    door.gate.asked.clear()
    return session


@pytest.mark.parametrize("system", SYSTEMS)
def test_an_ipv6_client_is_told_by_its_address(system: str, open_folder: Path, door: Door) -> None:
    """Sendmail writes ``IPv6:`` in front, Postfix does not."""
    try:
        port = free_port("::1")
    except RuntimeError:
        pytest.skip("no IPv6 on this machine")
    with _system(system, open_folder, door.open().port, ipv6=port):
        assert _deliver(("::1", port)) == 250
    assert _asked(door).client_ip == "::1"


@pytest.mark.parametrize("system", SYSTEMS)
def test_only_a_verified_certificate_is_identity(system: str, open_folder: Path, door: Door) -> None:
    """STARTTLS with one of the CA's, with one that a client made itself under the same name, and without."""
    certificates = Certificates(open_folder)
    with _system(system, open_folder, door.open().port, certificates) as address:
        for shown, name in (("partner", "partner.example.com"), ("liar", ""), ("", "")):
            assert _deliver(address, certificates.context(shown)) == 250
            session = _asked(door)
            assert session.tls_name.rpartition("CN=")[2] == name, shown
            assert session.helo == "client.example.com"
        assert _deliver(address) == 250
        assert _asked(door).tls_name == ""


@pytest.mark.parametrize(("system", "group"), [("postfix", "postfix"), ("sendmail", "")])
def test_a_unix_socket_of_one_group_serves(system: str, group: str, open_folder: Path, door: Door) -> None:
    """Mode 0660, of the mail system's group; Sendmail asks as root."""
    if group and group not in {it.gr_name for it in grp.getgrall()}:
        pytest.skip(f"no group {group}")
    path = open_folder / "milter.sock"
    door.open(path, 0o660, group or None)
    with _system(system, open_folder, str(path)) as address:
        assert _deliver(address) == 250
    _asked(door)


def test_a_unix_socket_that_postfix_may_not_use_costs_no_mail(open_folder: Path, door: Door) -> None:
    """Mode 0600: it is not asked about, and taken."""
    path = open_folder / "milter.sock"
    door.open(path, 0o600)
    with _system("postfix", open_folder, str(path)) as address:
        assert _deliver(address) == 250
    assert door.gate.asked == []


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_mail_system_may_restart_while_wehr_runs(system: str, open_folder: Path, door: Door) -> None:
    """Its connections are gone with it, and the next ones are served."""
    door.open()
    for life in ("one", "two"):
        (open_folder / life).mkdir()
        with _system(system, open_folder / life, door.port) as address:
            assert _deliver(address) == 250
            _asked(door)
            with smtplib.SMTP(*address, timeout=30) as client:  # cut in the middle of a session
                client.ehlo()
                assert client.mail("a@example.com")[0] == 250
                assert door.server.open
                if system == "postfix":
                    subprocess.run(
                        ["/usr/sbin/postfix", "-c", str(open_folder / life / "etc"), "abort"],
                        check=False,
                        capture_output=True,
                        timeout=60,
                    )
                    client.close()
        until(lambda: not door.server.open)
    counters = door.server.counters
    assert (counters.protocol_errors, counters.gate_errors) == (0, 0)


@pytest.mark.parametrize("system", SYSTEMS)
def test_wehr_may_restart_while_the_mail_system_runs(system: str, open_folder: Path, door: Door) -> None:
    """A session that it was in goes on unasked, so do those without it; the first after it is asked about."""
    door.gate.answer = "450 4.7.230 later"
    door.open()

    def dot(client: smtplib.SMTP) -> int:
        client.mail("a@example.com")
        client.rcpt("b@example.org")
        return client.data(MESSAGE)[0]

    with _system(system, open_folder, door.port) as address:
        with smtplib.SMTP(*address, timeout=30) as client:
            client.ehlo()
            assert dot(client) == 450
            door.close()
            assert dot(client) == 250
        assert _deliver(address) == 250
        assert len(door.gate.asked) == 1
        door.open()
        assert _deliver(address) == 450
        assert len(door.gate.asked) == 2
