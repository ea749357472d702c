"""A planned change of policy: what it alters, whom it touches, and with which lead."""

from datetime import date, timedelta

from msgspec.structs import replace
from notice_stories import DAY, NEW, START, basis, carry, seen

from wehr.ledger import Store
from wehr.ledger.planning import Touched, compare, counted, lead_days, table, touched
from wehr.ledger.report import Basis
from wehr.policy import Mode, Policy, Rules
from wehr.policy.compliance import Floor
from wehr.policy.ladder import Stage
from wehr.policy.selection import Wave

TODAY = date(2025, 11, 11)
MILD = Policy(mode=Mode.ENFORCE, compliance=Rules(require=("floor",), preset="none"))


def ask(store: Store, plan: Policy, present: Policy = MILD, days: int = 200) -> list[Touched]:
    """Whom a plan touches, a day after the start."""
    now = basis(store, 1, present)
    planned = Basis(now.ledger, now.catalogue, plan, now.holds, now.now)
    return list(touched(store.servers(), now, planned, days))


def floor(since: date, least: str = "15.1.2507.61", builds: str = "15.1") -> Policy:
    """The mild policy with a floor."""
    return replace(MILD, compliance=replace(MILD.compliance, floors=(Floor(builds, since, least),)))


def test_a_floor_touches_who_is_below_it_from_its_day_on(sqlite: Store) -> None:
    """Reported from its day, refused from thirty days after; who is above it is left out."""
    carry(sqlite, [seen(), seen("new.example.net", build=NEW, ip="198.51.100.1", compliant=True)])
    since = TODAY + timedelta(days=40)

    (one,) = ask(sqlite, floor(since))

    assert (one.server, one.first_day) == ("mail.example.org", since)
    assert one.refused_from == since + timedelta(days=30)
    assert lead_days([one], TODAY) == 40
    assert "15.1.2507.61" in one.why


def test_a_plan_that_alters_nothing_touches_nobody(sqlite: Store) -> None:
    """Whatever the server shows."""
    carry(sqlite, [seen()])

    assert ask(sqlite, MILD) == []
    assert ask(sqlite, floor(TODAY), floor(TODAY)) == []
    assert not compare(MILD, MILD)


def test_a_milder_plan_touches_whom_it_lets_off(sqlite: Store) -> None:
    """From the day on which less is refused, or on which it counts as out of date no more; no lead is due."""
    carry(
        sqlite, [seen(compliant=False), seen("new.example.net", build=NEW, ip="198.51.100.1", compliant=True)]
    )
    report, enforced = replace(floor(date(2025, 1, 1)), mode=Mode.REPORT), floor(date(2025, 1, 1))

    (lower,) = ask(sqlite, MILD, report)
    (reported,) = ask(sqlite, report, enforced)
    (off,) = ask(sqlite, replace(report, mode=Mode.OFF), report)

    assert (lower.milder_from, reported.milder_from, off.milder_from) == (TODAY, date(2025, 12, 10), TODAY)
    assert all(it.harsher_from is it.refused_from is None for it in (lower, reported, off))
    assert counted([lower, reported, off]) == (0, 3)
    assert lead_days([lower], TODAY) is None


def test_a_ladder_may_be_harsher_first_and_milder_later(sqlite: Store) -> None:
    """Both are told, each from its day on."""
    carry(sqlite, [seen()])
    old = floor(date(2025, 1, 1))
    short = (Stage(days=5), Stage(throttle=5))

    (one,) = ask(sqlite, replace(old, ladder="short", ladders={"short": short}), old)

    assert one.first_day == one.harsher_from == one.refused_from == TODAY + timedelta(days=4)
    assert one.milder_from == TODAY + timedelta(days=39)
    assert counted([one]) == (1, 1)


def test_enforcing_touches_who_was_only_reported(sqlite: Store) -> None:
    """From the day on which the ladder refuses."""
    carry(sqlite, [seen(compliant=False)])
    report = replace(floor(date(2025, 1, 1)), mode=Mode.REPORT)

    (one,) = ask(sqlite, replace(report, mode=Mode.ENFORCE), report)

    assert one.first_day == one.refused_from == date(2025, 12, 10)


def test_a_wave_touches_its_products(sqlite: Store) -> None:
    """From its day on the clock runs."""
    carry(sqlite, [seen(), seen("other.example.net", build=(15, 0, 1497, 2), ip="198.51.100.1")])
    both = Rules(require=("floor",), preset="none", floors=(Floor("15", date(2025, 1, 1)),))
    none = replace(MILD, compliance=both, waves=(Wave(builds=("8",), since=date(2025, 1, 1)),))
    since = TODAY + timedelta(days=20)
    plan = replace(none, waves=(*none.waves, Wave(builds=("15.0",), since=since)))

    (one,) = ask(sqlite, plan, none)

    assert (one.server, one.refused_from) == ("other.example.net", since + timedelta(days=30))


def test_a_harder_ladder_touches_who_is_out_of_date(sqlite: Store) -> None:
    """From the day on which it refuses more."""
    carry(sqlite, [seen()])
    old = floor(date(2025, 1, 1))

    (one,) = ask(sqlite, replace(old, ladder="urgent"), old)

    assert one.first_day == date(2025, 11, 17)


def test_what_a_plan_alters() -> None:
    """Floors, waves, ladder, mode, rules: each by itself."""
    plan = replace(floor(TODAY), ladder="urgent", mode=Mode.REPORT)
    found = compare(MILD, plan)

    assert [it.since for it in found.floors] == [TODAY]
    assert found.ladder is not None
    assert found.ladder.name == "urgent"
    assert found.mode is Mode.REPORT
    assert (found.waves, found.require, found.grace_days) == ((), (), None)


def test_the_list_as_a_table(sqlite: Store) -> None:
    """With a head; and a server that is silent is not in it."""
    carry(sqlite, [seen()])
    found = ask(sqlite, floor(TODAY))

    assert table(found).splitlines()[0].startswith("reference,server,network")
    assert "mail.example.org" in table(found).splitlines()[1]
    later = basis(sqlite, 60, MILD)
    planned = Basis(later.ledger, later.catalogue, floor(TODAY), later.holds, START + 60 * DAY)
    assert list(touched(sqlite.servers(), later, planned)) == []
