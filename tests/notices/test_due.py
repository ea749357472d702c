"""Which notices are due, and that nobody is written to twice."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from notice_stories import DAY, START

from wehr.notices.due import Manners, due
from wehr.notices.types import LADDER, Notice, Past, Place, Reason


def place(ref: str = "a", detected: float | None = 0.0, **changes: object) -> Place:
    """A confirmed server of example.org, detected so many days after the start, on the default ladder."""
    times = {}
    if detected is not None:
        at = START + detected * DAY
        names = ("detected", "throttled", "blocked", "shut_out")
        times = {name: at + days * DAY for name, days in zip(names, (0, 30, 60, 90), strict=True)}
    one = Place(tenant="default", organisation="example.org", ref=ref, confirmed=True)
    return replace(one, **{**times, **changes})


def sent(notice: Notice, number: int = 0, **changes: object) -> Past:
    """A notice as it was sent."""
    values = {name: getattr(notice, name) for name in Notice.__struct_fields__}
    return replace(Past(**values, id=number), **changes)


def written(
    places: Sequence[Place], days: Sequence[float], past: tuple[Past, ...] = ()
) -> list[tuple[float, Reason]]:
    """What is written on which days if these servers stay as they are."""
    found = []
    told = list(past)
    for day in days:
        for notice in due(START + day * DAY, places, told).notices:
            found.append((day, notice.reason))
            told.append(sent(notice))
    return found


def test_the_stages_of_a_server_that_is_never_updated() -> None:
    """A day after detection, a week before throttling, and as throttling, blocking and the end begin."""
    days = range(200)

    assert written([place()], days) == [
        (1, Reason.DETECTED),
        (23, Reason.WEEK_BEFORE),
        (30, Reason.THROTTLED),
        (60, Reason.BLOCKED),
        (90, Reason.SHUT_OUT),
    ]


def test_all_servers_of_an_organisation_are_in_one_message() -> None:
    """Three servers detected within a day are one notice."""
    places = [place("a"), place("b", 0.2), place("c", 0.9)]

    notices = due(START + 1.0 * DAY, places, ()).notices

    assert [notice.servers for notice in notices] == [("a", "b", "c")]


def test_a_server_found_in_the_report_stage_is_in_the_next_message() -> None:
    """It makes no message of its own, and it is told before its mail is refused."""
    first = place("a")
    told = [sent(notice) for notice in due(START + DAY, [first], ()).notices]

    assert due(START + 12 * DAY, [first, place("b", 10)], told).notices == ()
    warning = due(START + 23 * DAY, [first, place("b", 10)], told).notices
    assert [(notice.reason, notice.servers) for notice in warning] == [(Reason.WEEK_BEFORE, ("a", "b"))]


def test_a_server_found_after_refusing_began_begins_another_episode() -> None:
    """Nobody's mail is refused without a word, however long the others have been out of date."""
    old = place("a", -100)
    told = [sent(notice) for notice in due(START, [old], ()).notices]

    notices = due(START + 10 * DAY, [old, place("b", 8)], told).notices

    assert [(it.reason, it.episode, it.servers) for it in notices] == [(Reason.DETECTED, "2", ("b",))]


def test_who_is_found_late_on_the_ladder_gets_one_message() -> None:
    """Where notices are switched on over an old ledger, the stages before are not caught up."""
    assert written([place("a", -70)], [0, 1, 2]) == [(0, Reason.BLOCKED)]


def test_a_cure_is_told_once_and_when_all_are_cured() -> None:
    """One server of two updated is no cure yet."""
    told = tuple(sent(notice) for notice in due(START + 2 * DAY, [place("a"), place("b")], ()).notices)
    half = [place("a", None), place("b")]
    whole = [place("a", None), place("b", None)]

    assert written(half, [3, 4], told) == []
    assert written(whole, [5, 6, 7], told) == [(5, Reason.CURED)]


def test_no_cure_is_told_of_what_was_never_told() -> None:
    """A notice that still waits is withdrawn, and a relapse is a new episode."""
    waiting = [sent(notice, 7, waiting=True) for notice in due(START + 2 * DAY, [place()], ()).notices]

    plan = due(START + 3 * DAY, [place("a", None)], waiting)

    assert (plan.notices, plan.withdrawn) == ((), (7,))
    gone = [replace(notice, waiting=False, withdrawn=True) for notice in waiting]
    again = due(START + 9 * DAY, [place("a", 8)], gone).notices
    assert [(notice.reason, notice.episode) for notice in again] == [(Reason.DETECTED, "2")]


@pytest.mark.parametrize("changes", [{"alone": True}, {"seen": False}])
def test_what_waits_is_withdrawn_where_there_is_no_point_any_more(changes: dict[str, bool]) -> None:
    """The server was exempted, or has fallen silent, before the notice went out."""
    waiting = [sent(notice, 7, waiting=True) for notice in due(START + 2 * DAY, [place()], ()).notices]

    assert due(START + 3 * DAY, [place(**changes)], waiting).withdrawn == (7,)
    assert due(START + 3 * DAY, [], waiting).withdrawn == (7,)
    assert due(START + 3 * DAY, [place()], waiting).withdrawn == ()


def test_a_later_stage_withdraws_what_still_waits() -> None:
    """Nobody reads of a warning after the throttling."""
    waiting = [sent(notice, 7, waiting=True) for notice in due(START + 24 * DAY, [place()], ()).notices]

    plan = due(START + 31 * DAY, [place()], waiting)

    assert [notice.reason for notice in plan.notices] == [Reason.THROTTLED]
    assert plan.withdrawn == (7,)


def test_a_server_that_is_only_reported_is_told_so_once() -> None:
    """Without dates of refusal there is the detection and nothing more."""
    only = place("a", throttled=None, blocked=None, shut_out=None)

    assert written([only], range(0, 300, 5)) == [(5, Reason.DETECTED)]


def test_a_paused_server_is_told_of_no_stage() -> None:
    """Its clock stands."""
    assert written([place("a", -70, paused=True)], [0, 1]) == [(0, Reason.DETECTED)]


@pytest.mark.parametrize("changes", [{"confirmed": False}, {"alone": True}, {"seen": False}])
def test_nobody_is_written_to_of_a_server_that_is(changes: dict[str, bool]) -> None:
    """Plausible only, exempt or mixed, or silent."""
    exploited = (("CVE-2026-0001", START - DAY),)

    assert written([place("a", -70, exploited=exploited, floors=("2026-09-08",), **changes)], [0, 1]) == []


def test_a_floor_to_come_is_told_once_to_those_it_will_touch() -> None:
    """Servers in compliance hear of its day; those that come later, and those out of compliance, do not."""
    fine = place("a", None, floors=("2026-09-08",))

    found = due(START, [fine, place("b", -5, floors=("2026-09-08",)), place("c", None)], ()).notices

    assert [(it.reason, it.episode, it.servers) for it in found if it.reason is Reason.FLOOR] == [
        (Reason.FLOOR, "2026-09-08", ("a",))
    ]
    told = tuple(map(sent, found))
    later = due(START + DAY, [fine, place("d", None, floors=("2026-09-08",))], told).notices
    assert [it.reason for it in later] == []


def test_a_hole_is_told_of_while_it_is_news_and_once() -> None:
    """A hole that came to be exploited a month ago is none; one told with a stage is not told again."""
    news = ("CVE-2026-0002", START - 2 * DAY)
    fine = place("a", None, exploited=(("CVE-2025-0001", START - 40 * DAY), news))

    (notice,) = due(START, [fine], ()).notices
    assert (notice.reason, notice.cves) == (Reason.EXPLOITED, ("CVE-2026-0002",))
    assert written([fine], [1, 2], (sent(notice),)) == []
    assert written([place("a", -5, exploited=(news,))], [0, 1]) == [(0, Reason.DETECTED)]


servers = st.lists(
    st.tuples(
        st.sampled_from("abcdef"),
        st.integers(0, 120),  # detected
        st.one_of(st.none(), st.integers(1, 200)),  # cured
        st.booleans(),  # confirmed
    ),
    max_size=6,
    unique_by=lambda it: it[0],
)


@given(servers, st.lists(st.integers(0, 260), max_size=40).map(sorted), st.integers(0, 2**16))
def test_never_two_of_a_kind_and_never_for_a_plausible_server(
    stories: list[tuple[str, int, int | None, bool]], days: list[int], waits: int
) -> None:
    """However servers come and go, whatever still waits: one per key, stages rise, forgers get nothing."""
    told: list[Past] = []
    for number, day in enumerate(days):
        places = [
            replace(
                place(name, start if start <= day and (end is None or day < start + end) else None),
                confirmed=confirmed,
            )
            for name, start, end, confirmed in stories
            if start <= day
        ]
        plan = due(START + day * DAY, places, told)
        told = [
            replace(it, waiting=False, withdrawn=(it.id in plan.withdrawn and it.waiting) or it.withdrawn)
            for it in told
        ]
        for notice in plan.notices:
            assert notice.servers
            waiting = bool(waits >> (number % 16) & 1)
            told.append(sent(notice, len(told) + 1, waiting=waiting))
    keys = [(it.tenant, it.organisation, it.reason, it.episode) for it in told]
    assert len(keys) == len(set(keys))
    plausible = {name for name, _, _, confirmed in stories if not confirmed}
    assert not any(plausible & set(it.servers) for it in told)
    for episode in {it.episode for it in told}:
        ranks = [LADDER.index(it.reason) for it in told if it.episode == episode and it.reason in LADDER]
        assert ranks == sorted(set(ranks))


@given(servers)
def test_every_server_is_told_before_its_mail_is_refused(
    stories: list[tuple[str, int, int | None, bool]],
) -> None:
    """Looked at every day, no confirmed server is throttled that no notice has named."""
    told: list[Past] = []
    for day in range(250):
        now = START + day * DAY
        places = [
            place(name, start if end is None or day < start + end else None)
            for name, start, end, _ in stories
            if start <= day
        ]
        told += [sent(notice) for notice in due(now, places, told).notices]
        named = {ref for notice in told for ref in notice.servers}
        assert all(it.ref in named for it in places if it.throttled is not None and it.throttled <= now)


def test_the_same_places_in_any_order_give_the_same_notices() -> None:
    """Two nodes that see the same plan the same."""
    places = [place("a"), place("b", 3), place("c", -50)]

    assert due(START + 9 * DAY, places, ()) == due(START + 9 * DAY, places[::-1], ())


def test_gathering_can_be_switched_off() -> None:
    """Then the first detection is told at once."""
    assert due(START, [place()], (), Manners(gather=0)).notices[0].reason is Reason.DETECTED
