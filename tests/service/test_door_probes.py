"""Each door is tried with a probe: what is well, and what stands there in its place."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ports import free_port
from running import Receiver, receiver

from wehr.doors.probe import REPLY, is_probe, trace
from wehr.evidence import Session
from wehr.service.config import Config, parse
from wehr.service.door_probes import PROBES, try_doors
from wehr.service.door_settings import Door
from wehr.service.doors import DOORS
from wehr.service.mta import Finding, Level
from wehr.service.probe_mail import Way, send, source

START = 1_791_000_000.0
SECRET = bytes(range(32))
STRANGER = Session(client_ip="203.0.113.10", helo="mail.example.com", recipients=("example.org",))


def _all_open(config: str = "") -> str:
    """Every door, over TCP, and over a unix socket if it can have one."""
    names = [name for name in DOORS if name != "milter"]
    sockets = [name for name in names if isinstance(getattr(Config(), name), Door)]
    ports = {name: free_port() for name in names}
    return "\n".join(
        (
            *(f'{name}.listen = ["127.0.0.1:{port}"]' for name, port in ports.items()),
            f'smtp.next_hop = "127.0.0.1:{ports["sink"]}"',
            'smtp.tell_client = "received"',
            'smtp.domains = ["example.org"]',
            *(f'{name}.socket = "{name}.sock"' for name in sockets),
            config,
        )
    )


@pytest.fixture(name="wehr", params=["report", "off", "enforce"])
def _wehr(open_folder: Path, request: pytest.FixtureRequest) -> Iterator[Receiver]:
    with receiver(open_folder / "state", START, request.param, _all_open()) as running:
        yield running


def _tried(config: Config, folder: Path, secret: bytes | None = SECRET) -> list[Finding]:
    return list(try_doors(config, folder, secret, START, patience=2.0))


def _is_probe(stamp: str | bytes, session: Session, *, own: bool, now: float = START) -> bool:
    field = stamp.encode() if isinstance(stamp, str) else stamp
    return is_probe([field], session, own=own, secret=SECRET, now=now)


def test_every_door_answers_the_probe(wehr: Receiver) -> None:
    """Over TCP and unix socket, whatever the mode; and nothing is remembered of it."""
    found = _tried(wehr.service.config, wehr.folder, wehr.service.memory.secret)

    assert [finding for finding in found if finding.level is not Level.OK] == []
    assert {finding.about.split()[0] for finding in found} == set(DOORS)
    assert not list(wehr.service.memory.ledger)


def test_without_the_fleets_secret_no_door_takes_a_message_for_the_probe(wehr: Receiver) -> None:
    """With another secret it is a message like others; with none, doctor says what it cannot see."""
    config = wehr.service.config
    signed = {"milter", "line", "http", "sink"}
    wrong = {it.about.split()[0] for it in _tried(config, wehr.folder) if it.level is Level.WRONG}
    found = _tried(config, wehr.folder, None)
    odd = [it for it in found if it.level is Level.ODD]

    assert wrong == signed
    assert {it.about.split()[0] for it in odd} == signed
    assert all("connects" in it.text and "needs the fleet's secret" in it.text for it in odd)
    assert not any(it.level is Level.WRONG for it in found)


def test_every_door_that_can_be_opened_has_a_probe() -> None:
    """A new door gets an entry in the table."""
    assert set(PROBES) == set(DOORS)


def test_a_door_with_tokens_is_seen_to_demand_them(open_folder: Path) -> None:
    """The tokens themselves are not in the configuration."""
    extra = _all_open(f'http.tokens = ["{"0" * 64}"]')
    with receiver(open_folder / "state", START, "report", extra) as running:
        found = _tried(running.service.config, running.folder, running.service.memory.secret)

    assert [finding for finding in found if finding.level is not Level.OK] == []


def test_nobody_listening_is_named(tmp_path: Path) -> None:
    """With what to do about it; a socket that is not there too."""
    config = parse(f'milter.listen = ["127.0.0.1:{free_port()}"]', "test")

    tcp, unix = _tried(config, tmp_path)

    assert (tcp.level, tcp.text) == (Level.WRONG, "nobody listens there")
    assert (unix.level, unix.text) == (Level.WRONG, "there is no such socket")
    assert "wehr serve" in tcp.remedy


def test_a_next_hop_that_is_away_is_named(open_folder: Path) -> None:
    """The proxy itself is well: a restart of Wehr would mend nothing."""
    extra = f'smtp.listen = ["127.0.0.1:{free_port()}"]\nsmtp.next_hop = "127.0.0.1:{free_port()}"\n'
    with receiver(open_folder / "state", START, "report", extra) as running:
        found = {it.about.partition(" ")[0]: it for it in _tried(running.service.config, running.folder)}

    assert found["smtp"].level is Level.WRONG
    assert "The next hop is not available" in found["smtp"].text
    assert "smtp.next_hop" in found["smtp"].remedy


@pytest.mark.parametrize("door", sorted(set(DOORS) - {"smtp"}))
def test_another_program_on_the_port_is_named(tmp_path: Path, door: str) -> None:
    """One that hangs, and one that greets as a mail system does."""
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.create_server(("127.0.0.1", 0)) as greeting:
        addresses = [f'"127.0.0.1:{it.getsockname()[1]}"' for it in (silent, greeting)]
        thread = threading.Thread(target=_greet, args=(greeting,), daemon=True)
        thread.start()
        off = "" if door == "milter" else "milter.listen = []\n"
        config = parse(f'{off}milter.socket = ""\n{door}.listen = [{", ".join(addresses)}]', "test")
        hung, other = list(try_doors(config, tmp_path, SECRET, START, patience=0.3))
        thread.join(10)

    assert "gives no answer within 0.3 s" in hung.text or "timed out" in hung.text
    assert other.level is Level.WRONG
    assert "ss -lntxp" in hung.remedy


def _greet(server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection:
        connection.sendall(b"220 mail.example.com ESMTP\r\n")
        connection.settimeout(2)
        connection.recv(1 << 16)


def test_the_probe_counts_from_ones_own_side_only() -> None:
    """A stranger who stamps the same is judged as anybody."""
    stamp = trace(SECRET, START)
    own = Session(client_ip="127.0.0.1")
    below = [b"from a by b with SMTP", stamp.encode()]

    assert _is_probe(stamp, own, own=False)
    assert _is_probe(stamp, STRANGER, own=True)
    assert not _is_probe(stamp, STRANGER, own=False)
    assert not is_probe([], own, own=True, secret=SECRET, now=START)
    assert not is_probe(below, own, own=True, secret=SECRET, now=START)
    assert REPLY.startswith("550 5.7.")


@pytest.mark.parametrize(
    "stamp",
    [
        "from relay.example.com by mx.example.org with SMTP for <' by doctor.wehr.invalid '@example.org>",
        "from x (HELO by doctor.wehr.invalid ) (203.0.113.10) by mx.example.org with SMTP",
        f"{trace(SECRET, START)} by mx.example.org with SMTP",
        "from doctor.wehr.invalid (unknown [203.0.113.10]) by doctor.wehr.invalid with ESMTP id probe",
    ],
)
def test_what_a_stranger_can_have_one_of_ones_own_relays_write_is_no_probe(stamp: str) -> None:
    """His words in the relay's field: the relay would bounce his mail to whom he names as its sender."""
    assert not _is_probe(stamp, STRANGER, own=True)


@given(secret=st.binary(min_size=16, max_size=64).filter(lambda it: it != SECRET), now=st.floats(0, 4e9))
def test_whoever_has_not_the_fleets_secret_makes_no_probe(secret: bytes, now: float) -> None:
    """Not even where a relay of one's own adds no field, so that all of the stranger's arrives as it is."""
    assert _is_probe(trace(SECRET, now), STRANGER, own=True, now=now)
    assert not _is_probe(trace(secret, now), STRANGER, own=True, now=now)


@pytest.mark.parametrize("hours", range(-3, 4))
def test_a_probe_counts_around_its_hour_alone(hours: int) -> None:
    """Clocks may differ a little; a probe that was delivered, because Wehr was not asked, is soon nothing."""
    stamp = trace(SECRET, START + hours * 3600)

    assert _is_probe(stamp, STRANGER, own=True) == (abs(hours) <= 1)


def test_a_probe_may_be_folded() -> None:
    """By a mail system on the way."""
    assert _is_probe(" " + trace(SECRET, START).replace(" by ", "\r\n\tby "), STRANGER, own=True)


def test_the_probe_to_a_mail_system_of_this_machine_comes_from_loopback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whichever address it listens on; to another machine the kernel chooses."""
    monkeypatch.setattr(socket.socket, "getsockname", lambda _: ("192.0.2.25", 4711))

    assert source("192.0.2.25", 25) == ("127.0.0.1", 0)
    assert source("192.0.2.1", 25) is None
    assert source("no-such-host.invalid", 25) is None


def test_the_probe_finds_a_mail_system_at_the_second_address_of_a_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Localhost is ::1 first on most machines, where a Postfix without IPv6 does not listen."""
    real = socket.getaddrinfo

    def both(host: str, *rest: Any, **more: Any) -> list[Any]:
        names = ("::1", "127.0.0.1") if host == "localhost" else (host,)
        return [it for name in names for it in real(name, *rest, **more)]

    monkeypatch.setattr(socket, "getaddrinfo", both)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        way = Way("postmaster@example.org", f"localhost:{listener.getsockname()[1]}")

        def refuse() -> None:
            client, _ = listener.accept()
            with client:
                client.sendall(b"554 5.3.2 not today\r\n")

        server = threading.Thread(target=refuse)
        server.start()
        finding = send(way, SECRET, START)
        server.join()

    assert "not today" in finding.text
