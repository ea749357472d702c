"""The policy service beside a real Postfix, with the line of docs/postfix-policy.md."""

import re
import smtplib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import messages
import postfix
import pytest
from ports import free_port
from postfix import Peer, Postfix
from running import Receiver, receiver, until
from structlog.testing import capture_logs

from wehr.ledger import Store, open_store

pytestmark = [pytest.mark.mta, pytest.mark.xdist_group("mta")]

START = datetime(2026, 10, 12, 9, 0, tzinfo=UTC).timestamp()
DAY = 86_400
OUTDATED, PATCHED = "15.1.2507.16", "15.2.2562.53"
BAKERY = Peer("mail.example.com", "203.0.113.10", "mail.example.com")
PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "postfix-policy.md"


def _restrictions(address: str) -> dict[str, str]:
    """What the page tells administrators to write, with another address."""
    line = re.search(r"check_policy_service \{.*\}", PAGE.read_text("ascii"))
    assert line
    return {"smtpd_recipient_restrictions": line[0].replace("inet:127.0.0.1:8895", address)}


@pytest.fixture(name="wehr")
def _wehr(open_folder: Path) -> Iterator[Receiver]:
    extra = """policy_service.listen = []
        policy_service.socket = "policy.sock" """
    with receiver(open_folder / "state", START, mode="enforce", extra=extra) as running:
        yield running


@pytest.fixture(name="mx")
def _mx(open_folder: Path, wehr: Receiver) -> Iterator[Postfix]:
    settings = _restrictions(f"unix:{wehr.folder / 'policy.sock'}")
    with postfix.running(open_folder / "postfix", wehr.milter, settings=settings) as server:
        yield server


def _block(mx: Postfix, wehr: Receiver) -> None:
    """Bring the server to the last stage, and a minute further."""
    for day in (0, 25, 50, 75, 95):
        wehr.clock.now = START + day * DAY
        answer = postfix.send(mx, BAKERY, messages.exchange(OUTDATED))
    assert answer.code == 550
    wehr.clock.now += 60


def _early(store: Store, ref: str) -> bool:
    """Whether the two latest are refusals before the headers."""
    return [row.door for row in store.history(ref)[:2]] == ["policy_service"] * 2


def _session(mx: Postfix, peer: Peer) -> smtplib.SMTP:
    """A session of a client, after EHLO."""
    client = smtplib.SMTP(mx.host, mx.port, local_hostname=peer.helo, timeout=30)
    client.ehlo()
    client.docmd("XCLIENT", f"ADDR={peer.address} NAME={peer.name}")
    client.ehlo()
    return client


def test_a_blocked_server_is_refused_at_rcpt(mx: Postfix, wehr: Receiver) -> None:
    """Each recipient of each message of a session, with the text that the headers would bring."""
    _block(mx, wehr)
    asked = wehr.service.doors["milter"].counters.messages

    with _session(mx, BAKERY) as client:
        for _ in range(2):
            assert client.mail("a@example.com")[0] == 250
            for recipient in ("b@example.org", "c@example.net"):
                code, text = client.rcpt(recipient)
                assert code == 550
                assert text.startswith(b"5.7.230 <")  # Postfix puts the recipient in front
                assert b" Connecting Exchange server version is out-of-date; " in text
            client.rset()

    assert wehr.service.doors["milter"].counters.messages == asked
    assert wehr.service.doors["policy_service"].counters.refused_5xx == 4


def test_what_is_refused_stands_in_log_and_history(mx: Postfix, wehr: Receiver) -> None:
    """Once a transaction, by Postfix's ``instance``; the server was last seen when its headers were."""
    _block(mx, wehr)
    with capture_logs() as logged, _session(mx, BAKERY) as client:
        for _ in range(2):
            client.mail("a@example.com")
            assert [client.rcpt(f"{name}@example.org")[0] for name in "bc"] == [550, 550]
            client.rset()

    lines = [line for line in logged if line["event"] == "message refused"]
    with open_store(wehr.service.config.store.at(wehr.folder), create=False) as store:
        # The oldest of the five before them may have been cleared away: their days are over.
        until(lambda: any(_early(store, it.ref) for it in store.servers()))
        (server,) = store.servers()
        early = store.history(server.ref)[:2]
        assert {(row.door, row.relation, row.line) for row in early} == {("policy_service", "none", "")}
        assert len({row.queue_id for row in early}) == 2
        assert len(lines) == 2
        assert all(line["early"] for line in lines)
        assert server.state.last_seen == wehr.clock.now - 60


def test_one_transaction_is_let_through_and_shows_the_cure(mx: Postfix, wehr: Receiver) -> None:
    """All its recipients; then the server is let in at once."""
    _block(mx, wehr)
    wehr.clock.now += 600

    with _session(mx, BAKERY) as client:
        assert client.mail("a@example.com")[0] == 250
        assert [client.rcpt(f"{name}@example.org")[0] for name in "bcd"] == [250] * 3
        assert client.data(messages.exchange(PATCHED).encode() + b"\r\ntext\r\n")[0] == 250
    assert [postfix.send(mx, BAKERY, messages.exchange(PATCHED)).code for _ in range(3)] == [250] * 3


def test_one_transaction_without_a_cure_is_refused_at_its_headers(mx: Postfix, wehr: Receiver) -> None:
    """And the next one at RCPT again."""
    _block(mx, wehr)
    wehr.clock.now += 600
    milter, policy = (wehr.service.doors[name].counters for name in ("milter", "policy_service"))
    before = milter.refused_5xx, policy.refused_5xx

    assert [postfix.send(mx, BAKERY, messages.exchange(OUTDATED)).code for _ in range(3)] == [550] * 3

    assert (milter.refused_5xx - before[0], policy.refused_5xx - before[1]) == (1, 2)


def test_others_behind_the_address_are_taken(mx: Postfix, wehr: Receiver) -> None:
    """Who says another name is another client."""
    _block(mx, wehr)
    other = Peer("other.example.com", BAKERY.address)
    assert postfix.send(mx, other, messages.postfix()).code == 250


def test_the_connection_lasts(mx: Postfix, wehr: Receiver) -> None:
    """Postfix asks over the same connection as long as one of its processes lives."""
    for _ in range(10):
        assert postfix.send(mx, BAKERY, messages.postfix()).code == 250
    counters = wehr.service.doors["policy_service"].counters
    assert counters.messages == 10
    assert counters.connections < 10


def test_mail_flows_when_wehr_is_not_there(open_folder: Path) -> None:
    """``default_action=DUNNO``."""
    settings = _restrictions(f"inet:127.0.0.1:{free_port()}")
    with postfix.running(open_folder / "postfix", "", settings=settings) as mx:
        assert postfix.send(mx, BAKERY, messages.exchange(OUTDATED)).code == 250
