"""What a planned policy would change, played forward from today."""

from datetime import date, timedelta

import pytest
from ledger_stories import OLD, at, daily, key_of, seen, sighting

from wehr.catalogue import load
from wehr.catalogue.types import Assessment
from wehr.evidence.types import Relation
from wehr.ledger import Ledger, ServerRow, planning
from wehr.ledger.report import Basis
from wehr.ledger.state import ServerState
from wehr.policy import Holds, Policy
from wehr.policy.simulation import simulate


@pytest.mark.parametrize("now", [31.0, 90.25, 400.9])
def test_a_running_clock_is_played_from_today_and_stands_where_it_would(
    now: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The days that are over are not played again, and the days to come are the same."""
    catalogue, policy = load(), Policy()
    state = seen(*daily(0, int(now), OLD, False))
    ledger = Ledger()
    ledger.merge(key_of(sighting(0)), state)
    basis = Basis(ledger, catalogue, policy, Holds.of(policy, (), ()), at(now))
    row = _row(state)
    standing = ledger.standing(row.key, at(now))
    assert standing
    assert standing.episode
    days = 0

    def assess(day: date) -> Assessment:
        nonlocal days
        days += 1
        return catalogue.assess(OLD, day, "exchange")

    whole = simulate(
        policy,
        assess,
        standing.episode.started,
        start=basis.today,
        end=basis.today + timedelta(days=120),
        episode=standing.episode,
        present=at(now),
    )
    played_whole, days = days, 0
    monkeypatch.setattr(planning, "simulate", lambda p, _, *a, **k: simulate(p, assess, *a, **k))
    found = planning._play(row, basis, 120)

    assert [(it.start, it.end, it.why) for it in found] == [(it.start, it.end, it.why) for it in whole]
    assert days <= 121 < played_whole


def _row(state: ServerState) -> ServerRow:
    """The server of the stories as the store holds it."""
    sighted = sighting(0)
    return ServerRow(
        "r", key_of(sighted), state, sighted.at, "15.1.2507.6", "", Relation.DIRECT, sighted.client_ip,
        sighted.client_name, "", "accept", "report-stage", False, 1,
    )  # fmt: skip
