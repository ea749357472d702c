"""The main job on the wire: a real Postfix, a real SMTP client, and Wehr behind the milter door."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import messages
import postfix
import pytest
from postfix import Answer, Peer, Postfix
from running import Receiver, receiver

pytestmark = [pytest.mark.mta, pytest.mark.xdist_group("mta"), pytest.mark.timeout(240)]

START = datetime(2026, 10, 12, 9, 0, tzinfo=UTC).timestamp()
DAY = 86_400
OUTDATED = "15.1.2507.16"
PATCHED = "15.2.2562.53"
BAKERY = Peer("mail.example.com", "203.0.113.10", "mail.example.com")

LADDER = [
    # stage, a day in it, minutes of 450 and of 550 in an hour
    (1, 1, 0, 0),
    (2, 31, 5, 0),
    (3, 41, 10, 0),
    (4, 51, 20, 0),
    (5, 61, 30, 5),
    (6, 71, 30, 10),
    (7, 81, 30, 20),
    (8, 91, 0, 60),
]


@pytest.fixture(name="wehr")
def _wehr(open_folder: Path) -> Iterator[Receiver]:
    with receiver(open_folder / "state", START, mode="enforce") as running:
        yield running


@pytest.fixture(name="mx")
def _mx(open_folder: Path, wehr: Receiver) -> Iterator[Postfix]:
    with postfix.running(open_folder / "postfix", wehr.milter) as server:
        yield server


def _hour(mx: Postfix, wehr: Receiver, at: float) -> list[Answer]:
    """One message in every minute of an hour."""
    answers = []
    for minute in range(60):
        wehr.clock.now = at + minute * 60
        answers.append(postfix.send(mx, BAKERY, messages.exchange(OUTDATED, "ex01.example.com")))
    return answers


def test_an_unpatched_server_walks_through_all_eight_stages(mx: Postfix, wehr: Receiver) -> None:
    """250 in stage 1, 450 in a stretch of each hour in 2 to 4, 550 and then 450 in 5 to 7, 550 in stage 8."""
    for stage, day, throttled, blocked in LADDER:
        answers = _hour(mx, wehr, START + day * DAY)
        codes = [answer.code for answer in answers]

        assert (codes.count(450), codes.count(550)) == (throttled, blocked), f"stage {stage}: {codes}"
        assert codes.count(250) == 60 - throttled - blocked
        if 0 < throttled + blocked < 60:
            # One stretch inside the hour, block first; the 450 names the minute when it ends.
            first = next(minute for minute, code in enumerate(codes) if code != 250)
            end = first + throttled + blocked
            assert codes[first:end] == [550] * blocked + [450] * throttled
            if end < 60:  # otherwise the next hour may go on refusing, and the reply says until when
                free = datetime.fromtimestamp(START + day * DAY + end * 60, UTC)
                assert f"retry after {free:%H:%M} UTC" in answers[end - 1].text
        for answer in answers:
            if answer.code == 450:
                assert answer.text.startswith(
                    "4.7.230 Connecting Exchange server version is out-of-date; "
                    f"connection to mx.example.org throttled for {throttled} mins/hr"
                )
            elif answer.code == 550:
                assert answer.text.startswith(
                    "5.7.230 Connecting Exchange server version is out-of-date; "
                    f"connection to mx.example.org blocked for {blocked} mins/hr"
                )


def _blocked(mx: Postfix, wehr: Receiver) -> None:
    """Bring the server to stage 8 and see it refused."""
    postfix.send(mx, BAKERY, messages.exchange(OUTDATED))
    for day in (25, 50, 75, 95):
        wehr.clock.now = START + day * DAY
        answer = postfix.send(mx, BAKERY, messages.exchange(OUTDATED))
    assert answer.code == 550


def test_a_patched_server_is_let_in_with_its_first_message(mx: Postfix, wehr: Receiver) -> None:
    """From 550 to 250 at once; a stale stamp shortly after does not bring the 550 back."""
    _blocked(mx, wehr)

    assert postfix.send(mx, BAKERY, messages.exchange(PATCHED)).code == 250
    wehr.clock.now += 3600
    assert postfix.send(mx, BAKERY, messages.exchange(OUTDATED)).code == 250


def test_others_are_taken_while_one_server_is_blocked(mx: Postfix, wehr: Receiver) -> None:
    """Nobody but the out-of-date server itself is refused, not even behind the same address."""
    _blocked(mx, wehr)

    taken = {
        "an up-to-date Exchange": messages.exchange(PATCHED, "ex02.example.com"),
        "Exchange Online": messages.exchange_online(),
        "an Exchange behind a relay": messages.behind_relay(OUTDATED),
        "Postfix": messages.postfix(),
        "Exim": messages.exim(),
        "an unknown system": messages.unknown(),
        "no trace": messages.untraced(),
    }
    answers = {who: postfix.send(mx, BAKERY, headers).code for who, headers in taken.items()}

    assert answers == dict.fromkeys(taken, 250)
    assert postfix.send(mx, BAKERY, messages.exchange(OUTDATED)).code == 550


def test_servers_on_different_loopback_addresses_have_their_own_clock(mx: Postfix, wehr: Receiver) -> None:
    """The same internal name on another network is another server: it begins in stage 1."""
    peer = Peer("mail.example.com")
    postfix.send(mx, peer, messages.exchange(OUTDATED), source="127.1.1.5")
    for day in (25, 50, 75, 95):
        wehr.clock.now = START + day * DAY
        first = postfix.send(mx, peer, messages.exchange(OUTDATED), source="127.1.1.5")

    assert first.code == 550
    assert postfix.send(mx, peer, messages.exchange(OUTDATED), source="127.1.1.9").code == 550
    assert postfix.send(mx, peer, messages.exchange(OUTDATED), source="127.2.2.5").code == 250


def test_report_only_refuses_nothing(open_folder: Path) -> None:
    """A new installation watches: stage 8 would be a 550, and the message is taken."""
    with (
        receiver(open_folder / "state", START, mode="report") as wehr,
        postfix.running(open_folder / "postfix", wehr.milter) as mx,
    ):
        for day in (0, 25, 50, 75, 95):
            wehr.clock.now = START + day * DAY
            assert postfix.send(mx, BAKERY, messages.exchange(OUTDATED)).code == 250


def test_the_unix_socket_serves_as_well(open_folder: Path) -> None:
    """The same refusal through ``unix:``."""
    with (
        receiver(open_folder / "state", START, mode="enforce") as wehr,
        postfix.running(open_folder / "postfix", wehr.milter_socket) as mx,
    ):
        _blocked(mx, wehr)
