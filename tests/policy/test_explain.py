"""Explanations: what is said of a decision, in which order, and that it is true."""

import re
from datetime import UTC, date, datetime

import msgspec
import pytest
from policy_cases import DAY, KEY, OLD, SERVER, START, assessment, missing, sighting, standing

from wehr.catalogue import load
from wehr.catalogue.types import Note, State
from wehr.evidence.build import parse_build
from wehr.evidence.types import Relation
from wehr.policy import Mode, Policy, Reason, Scope, Stop, decide
from wehr.policy.explain import explain
from wehr.policy.phrases import encoded
from wehr.policy.selection import LadderRule, Wave

CATALOGUE = load()

ENFORCED = Scope(mode=Mode.ENFORCE)
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


def test_what_would_have_been_is_told_as_such():
    """In report mode the message was accepted all the same."""
    _, texts = explained(95, mode=Mode.REPORT)

    assert "block (blocked)" in texts["decision"]
    assert texts["decision"].endswith("; only reported, so the message was accepted.")
    assert "windows" not in texts


def test_where_nothing_is_enforced_no_minutes_are_told():
    """Between the windows that it would have, nothing is said to be refused either."""
    hours = [explained(45 + hour / 24, mode=Mode.REPORT) for hour in range(24)]
    told = {decision.reason: texts for decision, texts in hours}

    assert told.keys() == {Reason.OUTSIDE_WINDOW, Reason.THROTTLED}
    assert told[Reason.OUTSIDE_WINDOW]["decision"] == (
        "accept (outside-window): out of date; outside the minutes of this hour in which it is refused; only "
        "reported, so its mail is taken in those minutes, too."
    )
    assert not any("windows" in texts or "taken again" in texts["decision"] for _, texts in hours)


def test_a_pause_says_until_when_the_clock_stands():
    """And the next stage comes later by it; there are no windows."""
    _, texts = explained(45, stops=(Stop(START + 44 * DAY, START + 54 * DAY),))

    held = "; the clock stands until 2026-11-24 09:17 UTC (out of date, but enforcement is paused); "
    assert held in texts["stage"]
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

    assert msgspec.json.decode(msgspec.json.encode(items, enc_hook=encoded)) == [
        {"topic": "decision", "heading": "Decision", "text": items[0].text}
    ]


def test_every_note_of_the_catalogue_has_its_words():
    """The set is closed."""
    _, texts = explained(1, known=assessment(notes=tuple(Note), state=State.UNSUPPORTED))

    assert texts["assessment"].count(";") >= len(Note)


def whole(build=OLD, *, days=65.25, known=None, more=None, **changes):
    """Every paragraph as it is read, heading and text, for a decision of the real catalogue's."""
    now = START + days * DAY
    known = known or CATALOGUE.assess(parse_build(build), datetime.fromtimestamp(now, UTC).date())
    seen = sighting(build, **changes)
    case = {"policy": Policy(), "now": now}
    decision = decide(seen, known, standing(build), known, scope=ENFORCED, key=KEY, **case)
    items = explain(
        *(decision, seen, known, standing(build)),
        effective=more or known,
        server=SERVER,
        key=KEY,
        catalogue=CATALOGUE,
        **case,
    )
    return {item.heading: item.text for item in items}


def test_an_explanation_read_from_end_to_end():
    """Every sentence; the sources and figures are the catalogue's."""
    texts = whole()

    assert re.fullmatch(
        r"This hour: blocked (\d\d:\d\d)-(\d\d:\d\d), throttled \2-\d\d:\d\d\. "
        r"The next hour: blocked (\d\d:\d\d)-(\d\d:\d\d), throttled \4-\d\d:\d\d\.",
        texts.pop("Windows (UTC)"),
    )
    assert texts.pop("Sources").startswith(f"Catalogue of {CATALOGUE.date}. Microsoft Learn, Exchange Server")
    assert texts.pop("What the catalogue says").startswith(
        "Exchange Server 2016 CU23 Jan23SU (15.1.2507.17) is unsupported; released 2023-01-10; without "
        "support since 2025-10-15; missing Feb23SU, Mar23SU, Jun23SU, Aug23SU, Aug23SUv2 and "
    )
    cure = texts.pop("What would lift it")
    assert cure.startswith(
        "A message from this server that shows 15.1.2507.61, the least build that is accepted, or a newer "
        "one (recommended: 15.2."
    )
    assert cure.endswith(
        "): it is let in with that message, at once. A pause or an exemption stops the clock meanwhile."
    )
    assert texts == {
        "Evidence": (
            "Exchange server 15.1.2507.17, direct; calls itself ex01.corp.example (confirmed). "
            "Received: from client by ex01.corp.example with Microsoft SMTP Server"
        ),
        "Rule that decides": (
            "Out of compliance by the rule 'floor': below the least build accepted, 15.1.2507.61, since "
            "2026-09-08 (Exchange Team Blog, 2 September 2026 (4552717))."
        ),
        "Decision": (
            "throttle (throttled): out of date; throttled in these minutes; mail is taken again from "
            "15:39 UTC."
        ),
        "Stage": (
            "Stage 5 of 8 of the ladder exchange-online; since 2026-11-30 09:17 UTC; throttled 30 min/h, "
            "blocked 5 min/h; first detected 2026-10-01 09:17 UTC; stage 6 (throttled 30 min/h, blocked "
            "10 min/h) from 2026-12-10 09:17 UTC."
        ),
    }


def test_the_two_hours_that_are_told_are_this_one_and_the_next():
    """With the minutes in which the server is refused, and the next hour's as that hour tells them itself."""
    first, second = whole(days=65.25)["Windows (UTC)"], whole(days=65.25 + 1 / 24)["Windows (UTC)"]

    assert (
        first.partition("The next hour: ")[2] == second.partition(". ")[0].removeprefix("This hour: ") + "."
    )


def test_a_floor_that_is_not_certain_says_so():
    """And where no build of a product is accepted, the newer products' builds are what helps."""
    texts = whole("8.3.83.6")

    assert texts["Rule that decides"] == (
        "Out of compliance by the rule 'floor': no build of 8 is accepted any more, since 2023-08-01 "
        "(Exchange Team Blog, 8 May 2023 (3815328); the day from reports of its start; not certain)."
    )
    assert "that shows 15.2." in texts["What would lift it"]


def test_what_is_not_there_is_left_out_of_the_evidence():
    """No build, no name, no line; a software without a name of its own is called as it is."""
    _, texts = explained(
        1, seen=sighting(None, software="qmail", name="", line="", relation=Relation.NONE), known=None
    )

    assert texts["evidence"] == "qmail, no build, none"


def test_the_stage_is_that_of_the_highest_build_shown():
    """As decision and report have it: a rule for the older stamp does not count."""
    policy = Policy(ladder_rules=(LadderRule(use="urgent", builds=("15.1.2507.17",)),))
    better = assessment("15.1.2507.35")
    case = {"policy": policy, "now": START + 10 * DAY}
    for effective, ladder in ((better, "exchange-online"), (BAD, "urgent"), (None, "urgent")):
        decision = decide(sighting(), BAD, standing(), effective, scope=ENFORCED, key=KEY, **case)
        told = {"effective": effective, "server": SERVER, "key": KEY, **case}
        texts = {it.topic: it.text for it in explain(decision, sighting(), BAD, standing(), **told)}

        assert decision.ladder == ladder
        assert f"of the ladder {ladder};" in texts["stage"]
        assert ("windows" in texts) == (ladder == "urgent")


def test_a_newcomer_is_explained_from_the_start_of_its_clock():
    """Nothing is remembered of it; the catalogue's sources are named where it is given."""
    case = {"policy": Policy(), "now": START}
    decision = decide(sighting(), BAD, None, None, scope=Scope(), key=KEY, **case)
    texts = {
        it.topic: it.text for it in explain(decision, sighting(), BAD, None, catalogue=CATALOGUE, **case)
    }

    assert list(texts) == ["evidence", "assessment", "sources", "rule", "decision", "stage", "cure"]
    assert "; only reported; first detected 2026-10-01 09:17 UTC; stage 2 " in texts["stage"]


def test_a_build_that_no_wave_names_is_explained_to_be_out_of_scope():
    """The clock does not run, and no date is told."""
    case = {"policy": Policy(waves=(Wave(builds=("8",), since=date(2026, 1, 1)),)), "now": START + 45 * DAY}
    decision = decide(sighting(), BAD, standing(), BAD, scope=Scope(), key=KEY, **case)
    texts = {it.topic: it.text for it in explain(decision, sighting(), BAD, standing(), **case)}

    assert "the clock stands (out of date, but its product is not in scope yet)" in texts["stage"]


def test_long_lists_are_cut_and_counted():
    """Five are named."""
    updates = tuple(missing(f"SU{number}", certain=number > 0) for number in range(7))
    _, texts = explained(1, known=assessment(missing_updates=updates))

    assert "missing SU0 (perhaps), SU1, SU2, SU3, SU4 and 2 more" in texts["assessment"]
    _, texts = explained(1, known=assessment(missing_updates=updates[:5]))
    assert "missing SU0 (perhaps), SU1, SU2, SU3, SU4." in texts["assessment"]
