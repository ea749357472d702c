"""Another ladder in the configuration: remembered by the store, through reloads, restarts and outages."""

from datetime import UTC, datetime
from pathlib import Path

import messages
from running import configuration, receiver

from wehr.doors.milter import MilterClient
from wehr.evidence import Session
from wehr.ledger import open_store

START = datetime(2026, 10, 12, 9, 0, tzinfo=UTC).timestamp()
DAY = 86_400
CLIENT = Session(client_ip="203.0.113.10", helo="ex01.example.com", recipients=("example.org",))
HEADERS = [("Received", " " + messages.exchange("15.1.2507.16").partition(": ")[2].partition("\nFrom")[0])]
URGENT = 'policy.ladder = "urgent"'


def deliver(wehr, *days: float) -> list[str]:
    """The answers to a message so many days after the start."""
    answers = []
    with MilterClient(("127.0.0.1", wehr.port), CLIENT) as client:
        for day in days:
            wehr.clock.now = START + day * DAY
            answers.append(client.deliver(HEADERS)[:3])
    return answers


def eras(folder: Path) -> list[tuple[float, str]]:
    """What the store holds."""
    with open_store(f"sqlite:///{folder / 'wehr.sqlite'}", create=False) as store:
        return [(era.since, era.laddering.ladder) for era in store.past().eras]


def test_a_reload_with_another_ladder_keeps_the_notice_that_was_promised(tmp_path: Path) -> None:
    """Five days were left; the urgent ladder alone would block fully from day 19. It is in the audit."""
    with receiver(tmp_path, START, "enforce") as wehr:
        assert set(deliver(wehr, 0, 10, 20, 25)) == {"acc"}
        wehr.reload(configuration(wehr.port, "enforce", URGENT))
        assert set(deliver(wehr, *(25 + part / 5 for part in range(25)))) == {"acc"}
        assert deliver(wehr, 43) == ["550"]

    assert eras(tmp_path) == [(0.0, "exchange-online"), (START + 25 * DAY, "urgent")]
    with open_store(f"sqlite:///{tmp_path / 'wehr.sqlite'}", create=False) as store:
        [event] = [event for event in store.events() if event.kind == "ladder-changed"]
    assert (event.at, event.detail) == (START + 25 * DAY, {"ladder": "urgent"})


def test_a_restart_with_another_ladder_is_such_a_change_and_one_without_is_none(tmp_path: Path) -> None:
    """What was in force is known from the store."""
    with receiver(tmp_path, START, "enforce") as wehr:
        assert set(deliver(wehr, 0, 10, 20)) == {"acc"}
    with receiver(tmp_path, START + 25 * DAY, "enforce", URGENT) as wehr:
        assert set(deliver(wehr, 26, 28, 29.9)) == {"acc"}
    with receiver(tmp_path, START + 30 * DAY, "enforce", URGENT) as wehr:
        assert deliver(wehr, 43) == ["550"]

    assert eras(tmp_path) == [(0.0, "exchange-online"), (START + 25 * DAY, "urgent")]


def test_a_reload_for_another_reason_is_no_change_of_ladder(tmp_path: Path) -> None:
    """Nothing is noted."""
    with receiver(tmp_path, START, "enforce") as wehr:
        wehr.reload(configuration(wehr.port, "report"))

    assert eras(tmp_path) == [(0.0, "exchange-online")]
