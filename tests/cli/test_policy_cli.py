"""`wehr policy timeline`: the ladder with dates, for people and for programs."""

import json
from datetime import UTC, date, datetime, timedelta

import pytest
from click.testing import CliRunner

from wehr.cli import main

FIRST = "2026-01-01T08:30:00Z"


@pytest.fixture(name="run")
def _run(tmp_path, monkeypatch):
    """Calls `wehr policy` where there is no configuration."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return lambda *arguments: CliRunner().invoke(main, ["policy", *arguments])


def test_the_timeline_gives_every_stage_with_its_dates_and_the_present_one(run):
    """The keys and times that programs rely on."""
    result = run("timeline", "--first-detected", FIRST, "--at", "2026-03-05", "--json")
    document = json.loads(result.stdout)

    assert result.exit_code == 0
    assert [document[key] for key in ("ladder", "first_detected", "at")] == [
        "exchange-online",
        FIRST,
        "2026-03-05T00:00:00Z",
    ]
    assert [(it["start"][:10], it["throttle_minutes"], it["block_minutes"]) for it in document["stages"]] == [
        ("2026-01-01", 0, 0),
        ("2026-01-31", 5, 0),
        ("2026-02-10", 10, 0),
        ("2026-02-20", 20, 0),
        ("2026-03-02", 30, 5),
        ("2026-03-12", 30, 10),
        ("2026-03-22", 30, 20),
        ("2026-04-01", 0, 60),
    ]
    assert document["present"] == {
        "stage": 5,
        "start": "2026-03-02T08:30:00Z",
        "end": "2026-03-12T08:30:00Z",
        "throttle_minutes": 30,
        "block_minutes": 5,
        "current": True,
    }
    assert document["stages"][-1]["end"] is None
    assert [it["stage"] for it in document["stages"] if it["current"]] == [5]


@pytest.mark.parametrize(
    "text", ["2026-01-01T08:30", "2026-01-01T08:30:00", "2026-01-01T09:30:00+01:00", FIRST]
)
def test_times_are_utc_unless_they_say_otherwise(run, text):
    """With or without Z, and with another offset."""
    document = json.loads(run("timeline", "--first-detected", text, "--at", FIRST, "--json").stdout)

    assert document["first_detected"] == FIRST


def test_without_at_the_present_is_now(run):
    """A server first detected years ago is in the last stage."""
    document = json.loads(run("timeline", "--first-detected", "2020-01-01", "--json").stdout)

    assert document["present"]["stage"] == 8


def test_before_the_first_detection_there_is_no_present_stage(run):
    """Null, not stage 1."""
    result = run("timeline", "--first-detected", FIRST, "--at", "2025-12-31", "--json")

    assert json.loads(result.stdout)["present"] is None


def test_people_get_a_table(run):
    """With the present stage marked."""
    result = run("timeline", "--first-detected", FIRST, "--at", "2026-03-05")

    assert result.exit_code == 0
    assert "exchange-online" in result.stdout
    [line] = [line for line in result.stdout.splitlines() if line.strip().startswith("now")]
    assert "2026-03-02T08:30:00Z" in line


def test_another_ladder_may_be_named(run):
    """Built in or from the configuration."""
    document = json.loads(run("timeline", "--first-detected", FIRST, "--ladder", "urgent", "--json").stdout)

    assert document["ladder"] == "urgent"
    assert document["stages"][1]["start"] == "2026-01-08T08:30:00Z"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("timeline",), "--first-detected"),
        (("timeline", "--first-detected", "yesterday"), "'yesterday' is not a time"),
        (("timeline", "--first-detected", FIRST, "--ladder", "steep"), "no ladder is called 'steep'"),
        (("timeline", "--first-detected", "9999-12-01"), "2199"),
        (("timeline", "--first-detected", "0001-01-01"), "2199"),
    ],
)
def test_bad_use_ends_with_two_and_says_what_is_wrong(run, arguments, complaint):
    """Exit code 2, and no traceback."""
    result = run(*arguments)

    assert result.exit_code == 2
    assert complaint in result.stderr
    assert isinstance(result.exception, SystemExit)


def test_a_simulation_plays_the_policy_for_a_build(run):
    """An update that has been missing all along, and day 50 on the ladder."""
    result = run("simulate", "15.01.2507.058", "--from", "2026-08-20", "--to", "2026-10-10", "--json")
    document = json.loads(result.stdout)

    assert result.exit_code == 0
    assert document["build"] == "15.1.2507.58"
    assert document["spans"][-1] == {
        "start": "2026-10-09",
        "end": "2026-10-11",
        "compliant": False,
        "rule": "floor",
        "why": "below the least build accepted, 15.1.2507.61",
        "reason": None,
        "ladder": "exchange-online",
        "stage": 4,
        "throttle_minutes": 20,
        "block_minutes": 0,
    }


def test_a_simulation_for_people_is_a_table(run):
    """With the days and the minutes."""
    result = run("simulate", "15.1.2507.17", "--from", "2026-10-01", "--to", "2026-11-05")

    assert result.exit_code == 0
    assert "2026-10-31" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("one.two", "--from", "2026-10-01", "--to", "2026-10-02"), "not a build number"),
        (("15.1.1.1", "--from", "2026-10-02", "--to", "2026-10-01"), "must be days in order"),
        (("15.1.1.1", "--from", "2026-10-02", "--to", "9999-12-31"), "must be days in order"),
        (("15.1.1.1", "--from", "1996-10-02", "--to", "2026-10-01"), "at most"),
        (("15.1.1.1", "--from", "0001-01-01", "--to", "0001-02-01"), "must be days in order"),
        (("15.1.1.1", "--from", "2026-10-02", "--to", "2026-11-01", "--first-seen", "1970-01-01"), "at most"),
    ],
)
def test_a_simulation_that_makes_no_sense_is_refused(run, arguments, complaint):
    """Exit code 2, and no traceback."""
    result = run("simulate", *arguments)

    assert result.exit_code == 2
    assert complaint in result.stderr
    assert isinstance(result.exception, SystemExit)


@pytest.fixture(name="played", scope="module")
def _played(tmp_path_factory):
    """A store after forty days: one server paused since day 35, one never patched."""
    folder = tmp_path_factory.mktemp("demo") / "state"
    arguments = ["demo", "--seconds", "0", "--days", "40", "--keep", str(folder)]
    assert CliRunner().invoke(main, arguments).exit_code == 0
    return folder


def test_a_simulation_takes_servers_of_the_store_with_their_clocks_and_pauses(run, played):
    """The one that was paused in stage 2 stays there as much longer: ten days, and the fortnight."""
    begin = datetime.now(UTC).date() - timedelta(days=40)
    span = ("--from", str(begin), "--to", str(begin + timedelta(days=120)), "--state", str(played), "--json")
    servers = ("--server", "ex01.bakery.example", "--server", "ex.school.example")

    bakery, school = json.loads(run("simulate", *servers, *span).stdout)

    assert (bakery["server"], bakery["build"]) == ("ex01.bakery.example", "15.1.2507.16")
    assert len(bakery["reference"]) == 16
    lengths = []
    for one in (bakery, school):
        begun = {it["stage"]: date.fromisoformat(it["start"]) for it in reversed(one["spans"])}
        assert (begun[2] - date.fromisoformat(one["first_detected"][:10])).days == 30
        lengths.append((begun[3] - begun[2]).days)
    assert lengths[0] == 10
    # Its first day was one that had begun already.
    assert lengths[1] in {23, 24}
    assert "paused" in {it["reason"] for it in school["spans"]}


def test_a_server_may_be_named_by_its_reference_and_the_table_names_it(run, played):
    """For people."""
    end = datetime.now(UTC).date()
    span = ("--from", str(end - timedelta(days=40)), "--to", str(end), "--state", str(played))
    found = json.loads(run("simulate", "--server", "ex01.bakery.example", *span, "--json").stdout)

    result = run("simulate", "--server", found[0]["reference"], *span)

    assert result.exit_code == 0
    assert "ex01.bakery.example on 192.0.2.0/24, exchange 15.1.2507.16" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "give a BUILD"),
        (("15.1.1.1", "--server", "a"), "give a BUILD"),
        (("--server", "nobody.example"), "no server is known as 'nobody.example'"),
    ],
)
def test_a_simulation_is_of_a_build_or_of_servers(run, played, arguments, complaint):
    """One of them, and known ones."""
    span = ("--from", "2026-10-01", "--to", "2026-10-02", "--state", str(played))
    result = run("simulate", *arguments, *span)

    assert result.exit_code == 2
    assert complaint in result.stderr
