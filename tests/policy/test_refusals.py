"""When mail is refused and when it is taken again: what is told is what the gate then does."""

import re
from datetime import UTC, datetime
from math import ceil

from hypothesis import example, given
from hypothesis import strategies as st
from policy_cases import DAY, KEY, SERVER, START, assessment, sighting, standing

from wehr.policy import Action, Holds, Mode, Policy, Reason, Scope, Stop, decide
from wehr.policy.explain import explain
from wehr.policy.ladder import Stage
from wehr.policy.refusals import AHEAD
from wehr.policy.scope import Exemption

BAD = assessment()
LADDERS = {
    "long": (Stage(1, 55), Stage(1, 30, 29), Stage(None, 0, 60)),
    "shut": (Stage(1, 60), Stage(1, 5, 1), Stage(1, 0, 60), Stage(None, 0, 60)),
    "ajar": (Stage(1, 60), Stage(None, 0, 1)),
}
names = st.sampled_from(["exchange-online", "urgent", *LADDERS])
changes = st.sampled_from([1, 2, 3, 7, 10, 13, 30, 40, 50, 60, 70, 80, 90])
"""Days after which one of them comes to another stage."""
moments = st.builds(
    lambda day, seconds: START + day * DAY + seconds, changes, st.integers(-7 * 3600, 2 * 3600)
)
stops = st.lists(
    st.tuples(
        st.integers(-3 * 3600, 5 * 3600),
        st.none() | st.integers(20, 3 * 3600),
        st.sampled_from([None, Reason.EXEMPT, Reason.PAUSED]),
    ),
    max_size=2,
)


def stops_near(now, near):
    """Stops that begin not long before or after a moment."""
    return tuple(
        Stop(now + begin, None if length is None else now + begin + length, reason)
        for begin, length, reason in near
    )


def met(now, ladder, stops):
    """The decision on a message at a moment."""
    case = {"policy": Policy(ladder=ladder, ladders=LADDERS), "stops": stops, "key": KEY, "now": now}
    return decide(sighting(), BAD, standing(), BAD, scope=Scope(mode=Mode.ENFORCE), **case)


def told(now, ladder, stops):
    """The windows of an explanation at a moment, as the minutes of two hours and what each meets."""
    case = {"policy": Policy(ladder=ladder, ladders=LADDERS), "stops": stops, "key": KEY, "now": now}
    items = explain(met(now, ladder, stops), sighting(), BAD, standing(), server=SERVER, **case)
    text = next((item.text for item in items if item.topic == "windows"), "")
    first = now // 3600 * 3600
    found = dict.fromkeys(range(120), Action.ACCEPT)
    for hour, said in enumerate(
        text.removeprefix("This hour: ").removesuffix(".").split(". The next hour: ")
    ):
        for verb, begin, end in re.findall(r"(\w+) \d\d:(\d\d)-\d\d:(\d\d)", said):
            action = {"blocked": Action.BLOCK, "throttled": Action.THROTTLE}[verb]
            found |= dict.fromkeys(range(60 * hour + int(begin), 60 * hour + (int(end) or 60)), action)
    return {first + 60 * minute: action for minute, action in found.items()}


@given(moments, names, stops)
@example(START + DAY - 1800, "shut", [])  # a stage that is shut gives way to one that is not
@example(START + DAY - 20, "ajar", [])  # in the very next minute
@example(START + 2 * DAY - 1800, "shut", [])
@example(START + 7200, "shut", [(100, None, Reason.EXEMPT)])  # between two minutes
@example(START + 7200, "shut", [(-7000, 60, Reason.PAUSED), (-7000, 60, None), (1800, 60, None)])
@example(START + 7200, "shut", [(AHEAD - 60, 60, Reason.PAUSED)])
def test_mail_is_taken_again_at_the_first_minute_that_is_named(now, ladder, near):
    """None earlier: across hours, into another stage, and where a pause or exemption begins."""
    held = stops_near(now, near)
    decision = met(now, ladder, held)
    minutes = range(ceil((now + 1) / 60) * 60, int(now) + AHEAD, 60)
    taken = (at for at in minutes if met(float(at), ladder, held).action is Action.ACCEPT)

    if decision.action is Action.ACCEPT:
        assert decision.until is None
    else:
        assert decision.until == next(taken, None)


@given(moments, names, stops)
@example(START + 70 * DAY - 1800, "exchange-online", [])
def test_the_windows_of_this_hour_and_the_next_are_those_in_which_mail_is_refused(now, ladder, near):
    """Minute by minute, whatever comes or ends within them; none are told where mail is taken throughout."""
    held = stops_near(now, near)

    for at, action in told(now, ladder, held).items():
        assert met(at, ladder, held).action is action


@given(moments, st.sampled_from(["192.0.2.7", "192.0.2.8"]), st.sampled_from(["192.0.2.7", "192.0.2.0/29"]))
def test_what_is_told_of_an_address_is_what_its_messages_meet(now, address, exempt):
    """An exemption of one address stops the clock of the others, too, but excuses only its own mail."""
    since = datetime.fromtimestamp(START + 45 * DAY, UTC)
    holds = Holds((), (Exemption(since, "a", network=exempt),))
    held = holds.stops(SERVER, address)

    for at, action in told(now, "exchange-online", held).items():
        assert met(at, "exchange-online", held).action is action


def test_a_clock_that_another_addresss_exemption_stops_is_not_told_to_be_out_of_scope():
    """It stands, and nobody excuses the messages of this address."""
    now, held = START + 65 * DAY, (Stop(START + 62 * DAY, None, None),)
    case = {"policy": Policy(), "stops": held, "now": now}
    decision = decide(sighting(), BAD, standing(), BAD, scope=Scope(mode=Mode.ENFORCE), key=KEY, **case)
    texts = {it.topic: it.text for it in explain(decision, sighting(), BAD, standing(), **case)}

    assert "; the clock stands; " in texts["stage"]


def test_an_hour_in_which_nothing_is_refused_says_so():
    """The second, where a pause begins with it."""
    hour = ceil((START + 65 * DAY) / 3600)
    case = {"policy": Policy(), "stops": (Stop((hour + 1) * 3600, None),), "now": hour * 3600}
    decision = decide(sighting(), BAD, standing(), BAD, scope=Scope(mode=Mode.ENFORCE), key=KEY, **case)
    items = explain(decision, sighting(), BAD, standing(), server=SERVER, key=KEY, **case)
    (text,) = (item.text for item in items if item.topic == "windows")

    assert re.fullmatch(
        r"This hour: blocked [\d:-]+, throttled [\d:-]+\. The next hour: mail is taken\.", text
    )


def test_a_message_is_answered_as_fast_when_a_pause_is_to_begin(monkeypatch):
    """Its end is not looked for minute by minute: each message of a blocked server would wait for that."""
    now, looks, course = START + 100 * DAY, [], Policy.course
    monkeypatch.setattr(Policy, "course", lambda *case: looks.append(case) or course(*case))

    decision = met(now, "exchange-online", (Stop(now + 5 * 3600, now + 6 * 3600, Reason.PAUSED),))

    assert decision.until == ceil((now + 5 * 3600) / 60) * 60
    assert len(looks) < 20
