"""Explanations: what is said of a decision, in which order, and that it is true."""

import msgspec
import pytest
from hypothesis import given
from policy_cases import DAY, KEY, OLD, SERVER, START, assessment, moments, sighting, standing

from wehr.catalogue.types import Note, State
from wehr.evidence.types import Relation
from wehr.policy import Mode, Policy, Reason, Scope, Stop, decide
from wehr.policy.explain import explain
from wehr.policy.types import Action

BAD = assessment(OLD, recommended_builds=((15, 1, 2507, 61),))


def explained(days, *, known=BAD, seen=None, stops=(), mode=Mode.ENFORCE, key=KEY):
    """The texts by their topics, in order, for a decision so many days after detection."""
    seen = seen or sighting()
    now = START + days * DAY
    case = {"policy": Policy(), "stops": stops, "now": now}
    decision = decide(seen, known, standing(), known, scope=Scope(mode=mode), key=KEY, **case)
    items = explain(decision, seen, known, standing(), server=SERVER, key=key, **case)
    return decision, {item.topic: item.text for item in items}


def test_a_throttled_server_is_explained_from_the_evidence_to_the_cure():
    """In the order in which the decision came about."""
    _, texts = explained(45)

    assert list(texts) == ["evidence", "assessment", "rule", "decision", "stage", "windows", "cure"]
    assert "Exchange server 15.1.2507.17" in texts["evidence"]
    assert "with Microsoft SMTP Server" in texts["evidence"]
    assert "missing Aug23SU" in texts["assessment"]
    assert "Out of compliance by the rule 'floor'" in texts["rule"]
    assert texts["stage"] == (
        "Stage 3 of 8 of the ladder exchange-online; since 2026-11-10 09:17 UTC; throttled 10 min/h; "
        "first detected 2026-10-01 09:17 UTC; stage 4 (throttled 20 min/h) from 2026-11-20 09:17 UTC."
    )
    assert "15.1.2507.61" in texts["cure"]


@given(moments)
def test_the_windows_told_are_those_that_are_enforced(now):
    """A refused message lies inside the stretch that is named for this hour, an accepted one outside."""
    decision, texts = explained((now - START) / DAY)
    if "windows" not in texts:
        assert decision.reason is Reason.REPORT_STAGE
        return
    this_hour = texts["windows"].partition(".")[0].removeprefix("This hour: ")
    minute = int(now // 60 % 60)
    inside = {}
    for part in this_hour.split(", "):
        verb, span = part.split(" ")
        first, last = (int(text[3:]) for text in span.split("-"))
        inside |= dict.fromkeys(range(first, last or 60), verb)
    said = {"blocked": Action.BLOCK, "throttled": Action.THROTTLE}.get(inside.get(minute), Action.ACCEPT)

    assert decision.action is said


def test_what_would_have_been_is_told_as_such():
    """In report mode the message was accepted all the same."""
    _, texts = explained(95, mode=Mode.REPORT)

    assert "block (blocked)" in texts["decision"]
    assert "only reported" in texts["decision"]


def test_a_pause_says_until_when_the_clock_stands():
    """And the next stage comes later by it; there are no windows."""
    _, texts = explained(45, stops=(Stop(START + 44 * DAY, START + 54 * DAY),))

    assert "the clock stands until 2026-11-24 09:17 UTC" in texts["stage"]
    assert "from 2026-11-30 09:17 UTC" in texts["stage"]
    assert "windows" not in texts


def test_an_exemption_without_an_end_gives_no_next_date():
    """Nothing is promised that is not known."""
    _, texts = explained(45, stops=(Stop(START + 44 * DAY, None, Reason.EXEMPT),))

    assert "has no date" in texts["stage"]


@pytest.mark.parametrize(
    ("known", "seen", "topics", "said"),
    [
        (
            assessment("15.1.2507.61"),
            None,
            ["evidence", "assessment", "rule", "decision"],
            "In compliance",
        ),
        (
            assessment(state=State.UNKNOWN, notes=(Note.UNKNOWN_BRANCH,)),
            None,
            ["evidence", "assessment", "rule", "decision"],
            "Cannot be told",
        ),
        (None, sighting(None, relation=Relation.NONE), ["evidence", "decision"], "version is not known"),
    ],
)
def test_who_is_let_through_is_told_why_and_nothing_of_stages(known, seen, topics, said):
    """No stage, no windows, no cure."""
    _, texts = explained(95, known=known, seen=seen)

    assert list(texts) == topics
    assert any(said in text for text in texts.values())


def test_without_the_key_the_windows_are_left_out():
    """Whoever shows it to a stranger leaves the key away."""
    _, texts = explained(95, key=b"")

    assert "windows" not in texts


def test_an_explanation_is_a_json_value():
    """The same text for every surface."""
    decision, _ = explained(95)
    items = explain(decision, None, None, None, policy=Policy(), now=START)

    assert msgspec.json.decode(msgspec.json.encode(items)) == [
        {"topic": "decision", "heading": "Decision", "text": items[0].text}
    ]


def test_every_note_of_the_catalogue_has_its_words():
    """The set is closed."""
    _, texts = explained(1, known=assessment(notes=tuple(Note), state=State.UNSUPPORTED))

    assert texts["assessment"].count(";") >= len(Note)
