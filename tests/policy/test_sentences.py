"""What is said to people of each verdict, word by word: the rule, the clause, and the day."""

import os
import time
from datetime import UTC, date, datetime

import pytest
from policy_cases import DAY, KEY, START, assessment, missing, sighting, standing

from wehr.catalogue.types import Note, State, Vulnerability
from wehr.policy import Mode, Policy, Reason, Scope, decide
from wehr.policy.compliance import Floor, Rules, complies
from wehr.policy.explain import explain
from wehr.policy.ladder import PRESETS
from wehr.policy.pauses import Pause, used
from wehr.policy.replies import reply
from wehr.policy.selection import midnight
from wehr.policy.simulation import Span, simulate

TODAY = date(2026, 11, 21)
KEV = date(2026, 5, 1)


def hole(name="CVE-2026-0001", *, exploited=KEV, certain=True, fixed=(15, 1, 2507, 61)):
    """A hole that the build has."""
    return Vulnerability(name, fixed, exploited, certain=certain)


def rules(*names, **more):
    """Rules by name."""
    return Rules(require=names, **more)


NONE = Floor("15.1", date(2026, 1, 1))


@pytest.mark.parametrize(
    ("wanted", "changes", "answer"),
    [
        (
            rules(),
            {"notes": (Note.NEWER_THAN_CATALOGUE,)},
            (True, "newer", "newer than every build of its branch in the catalogue"),
        ),
        (
            rules(),
            {"state": State.UNKNOWN},
            (None, "unknown", "the catalogue knows no such product or branch"),
        ),
        (
            rules(),
            {"backported": True},
            (None, "backported", "distributions ship its fixes under the old version"),
        ),
        (rules(), {}, (True, "all", "meets every rule, for none is set")),
        (
            rules("supported", "current"),
            {"missing_updates": (), "state": State.CURRENT},
            (True, "all", "meets supported, current"),
        ),
        (
            rules("supported"),
            {"state": State.UNSUPPORTED, "unsupported_since": date(2025, 10, 15)},
            (
                False,
                "supported",
                "gets no public security updates any more, since 2025-10-15",
                date(2025, 10, 15),
            ),
        ),
        (
            rules("supported"),
            {"state": State.UNSUPPORTED},
            (False, "supported", "gets no public security updates any more"),
        ),
        (
            rules("current"),
            {"missing_updates": (missing("Oct25SU", date(2025, 10, 14)),)},
            (False, "current", "Oct25SU is missing, out since 2025-10-14", date(2025, 11, 14)),
        ),
        (
            rules("current"),
            {
                "missing_updates": (),
                "branch_supported": False,
                "product_supported": True,
                "unsupported_since": date(2026, 10, 21),
            },
            (False, "current", "its branch gets no security updates any more", date(2026, 10, 21)),
        ),
        (
            rules("current"),
            {"missing_updates": (missing("Oct25SU", date(2025, 10, 14), certain=False),)},
            (None, "current", "the stamp does not show whether Oct25SU is installed"),
        ),
        (
            rules("floor", preset="none", floors=(NONE,)),
            {},
            (False, "floor", "no build of 15.1 is accepted any more", date(2026, 1, 1)),
        ),
        (
            rules("floor"),
            {"build": "15.1.2507.17"},
            (False, "floor", "below the least build accepted, 15.1.2507.61", date(2026, 9, 8)),
        ),
        (
            rules("not-exploited"),
            {"vulnerabilities": (hole("CVE-2026-0009", exploited=TODAY), hole())},
            (
                False,
                "not-exploited",
                "has CVE-2026-0001, known to be exploited, fixed in 15.1.2507.61",
                KEV,
            ),
        ),
        (
            rules("not-exploited"),
            {"vulnerabilities": (hole(fixed=None),)},
            (False, "not-exploited", "has CVE-2026-0001, known to be exploited", KEV),
        ),
        (
            rules("not-exploited"),
            {"vulnerabilities": (hole(certain=False),)},
            (None, "not-exploited", "the stamp does not show whether CVE-2026-0001 is fixed"),
        ),
    ],
)
def test_every_verdict_says_rule_clause_and_day(wanted, changes, answer):
    """These stand in the report, the history and the explanation."""
    verdict = complies(assessment(**changes), wanted, TODAY)

    assert (verdict.ok, verdict.rule, verdict.why, verdict.since) == (*answer, None)[:4]


def test_support_that_ended_on_the_last_day_of_grace_is_held_against_nobody_yet():
    """The grace days are whole."""
    ended = {
        "missing_updates": (),
        "branch_supported": False,
        "product_supported": True,
        "unsupported_since": date(2026, 10, 22),
    }

    assert complies(assessment(**ended), rules("current"), TODAY).ok is True


def test_the_presets_are_these():
    """Days, minutes throttled, minutes blocked."""
    shown = {
        name: [(stage.days, stage.throttle, stage.block) for stage in ladder.stages]
        for name, ladder in PRESETS.items()
    }

    assert shown == {
        "exchange-online": [
            *((30, 0, 0), (10, 5, 0), (10, 10, 0), (10, 20, 0)),
            *((10, 30, 5), (10, 30, 10), (10, 30, 20), (None, 0, 60)),
        ],
        "gentle": [(90, 0, 0), (30, 5, 0), (30, 10, 0), (30, 20, 0), (None, 30, 10)],
        "urgent": [(7, 0, 0), (3, 10, 0), (3, 20, 0), (3, 30, 5), (3, 30, 20), (None, 0, 60)],
    }


@pytest.mark.parametrize("name", ["Pacific/Kiritimati", "Etc/GMT+12"])
def test_days_hours_and_years_are_utc_wherever_the_machine_stands(monkeypatch, name):
    """In a zone fourteen hours ahead and in one twelve behind, every answer is the same."""
    noon, late = midnight(TODAY) + DAY / 2, midnight(date(2026, 12, 31)) + DAY - 60

    def answers():
        days = {"start": date(2026, 12, 31), "end": date(2027, 1, 9)}
        spans = simulate(Policy(), lambda day: assessment(), late, **days)
        floor = Floor("15.1", date(2026, 11, 22), "15.1.2507.62")
        policy = Policy(compliance=rules("floor", preset="none", floors=(floor,)))
        case = {"policy": policy, "now": noon + DAY / 3}
        decision = decide(sighting(), assessment(), standing(), assessment(), scope=Scope(), key=KEY, **case)
        blocked = decide(
            *(sighting(), assessment(), standing(started=START - 45 * DAY), assessment()),
            scope=Scope(mode=Mode.ENFORCE),
            policy=Policy(),
            key=KEY,
            now=START,
        )
        pause = Pause("p", "default", late, 1, late)
        return (
            midnight(TODAY),
            spans,
            decision,
            used((pause,), "default", 2026),
            [item.text for item in explain(decision, sighting(), assessment(), standing(), **case)],
            [reply(blocked.__class__(blocked.action, blocked.reason, True, until=late), "mx")],
        )

    here = answers()
    monkeypatch.setitem(os.environ, "TZ", name)
    time.tzset()
    try:
        there = answers()
    finally:
        monkeypatch.undo()
        time.tzset()

    assert there == here
    assert here[0] == datetime(2026, 11, 21, tzinfo=UTC).timestamp()
    assert here[3] == 1


def test_a_simulated_span_says_all_of_it():
    """Verdict, rule, clause, reason, ladder, stage and minutes, for whole days."""
    spans = simulate(
        Policy(ladder="urgent"),
        lambda day: assessment(),
        START,
        start=date(2026, 10, 1),
        end=date(2026, 10, 9),
    )

    assert spans == (
        Span(
            *(date(2026, 10, 1), date(2026, 10, 8), False, "floor"),
            *("below the least build accepted, 15.1.2507.61", Reason.REPORT_STAGE, "urgent", 1, 0, 0),
        ),
        Span(
            *(date(2026, 10, 8), date(2026, 10, 9), False, "floor"),
            *("below the least build accepted, 15.1.2507.61", None, "urgent", 2, 10, 0),
        ),
    )
