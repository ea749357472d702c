"""``wehr pause`` and ``wehr exempt``: what is asked for, what is refused, and who is told of it."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from wehr.cli import main


def run(*arguments: str | Path) -> Result:
    """One command."""
    return CliRunner(env={"COLUMNS": "200"}).invoke(
        main, [str(argument) for argument in arguments], catch_exceptions=False
    )


@pytest.fixture(name="state")
def _state(tmp_path: Path) -> Path:
    """A few days of servers, up to now."""
    assert run("demo", "--seconds", "0", "--days", "2", "--keep", tmp_path / "state").exit_code == 0
    return tmp_path / "state"


def test_a_pause_is_added_extended_listed_and_cancelled(state: Path) -> None:
    """Days not started are given back; who, when and why are in the audit."""
    added = json.loads(
        run(
            *("pause", "add", "--days", "10", "--server", "ex01.bakery.example", "--why", "migration"),
            *("--by", "operator", "--state", state, "--json"),
        ).stdout
    )
    assert (added["days"], added["server"], added["by"]) == (10, "ex01.bakery.example", "operator")

    extended = json.loads(
        run(
            *("pause", "extend", added["id"], "--days", "5", "--why", "it drags on"),
            *("--state", state, "--json"),
        ).stdout
    )
    assert extended["days"] == 15

    cancelled = json.loads(
        run("pause", "cancel", added["id"], "--why", "moved", "--state", state, "--json").stdout
    )
    assert cancelled["days"] == 1
    assert "migration" in run("pause", "list", "--state", state).stdout

    shown = json.loads(run("server", "show", "ex01.bakery.example", "--state", state, "--json").stdout)
    events = {event["kind"]: event for event in shown["events"]}
    assert events["pause-added"]["actor"] == "operator"
    kinds = ("pause-added", "pause-extended", "pause-cancelled")
    assert [events[kind]["detail"]["why"] for kind in kinds] == ["migration", "it drags on", "moved"]


def test_a_pause_beyond_the_quota_is_refused_in_one_line(state: Path) -> None:
    """It says how many days are left; nothing is written."""
    new_year = f"{datetime.now(UTC).year + 1}-01-01"  # the quota is a calendar year's
    result = run("pause", "add", "--days", "91", "--why", "x", "--from", new_year, "--state", state)

    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert re.search(r"90\b", result.stderr)
    listed = json.loads(run("pause", "list", "--state", state, "--json").stdout)
    assert len(listed["pauses"]) == 1  # the demonstration's own


def test_a_pause_that_does_not_exist_cannot_be_cancelled(state: Path) -> None:
    """One line, exit code 2."""
    result = run("pause", "cancel", "nothing", "--state", state)

    assert result.exit_code == 2
    assert "nothing" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--tenant", "nobody", "--why", "x"], "no tenant is called 'nobody'; there are default"),
        (["--why", ""], "must say something"),
        (["--server", "\udcff", "--why", "x"], "is not UTF-8"),
        (["--server", "", "--why", "x"], "no server is known as ''"),
        (["--why", "\udcff"], "utf-8"),
    ],
)
def test_a_pause_that_would_do_nothing_is_refused(state: Path, arguments: list[str], words: str) -> None:
    """A tenant that is not there, a reason that says nothing, bytes that are no text."""
    result = run("pause", "add", "--days", "1", *arguments, "--state", state)

    assert result.exit_code == 2
    assert words in result.stderr


def test_an_exemption_is_added_listed_and_ended(state: Path) -> None:
    """It is in force at once, and explained."""
    added = json.loads(
        run(
            *("exempt", "add", "--network", "192.0.2.0/24", "--reason", "a partner"),
            *("--state", state, "--json"),
        ).stdout
    )
    listed = run("exempt", "list", "--state", state).stdout
    assert "a partner" in listed
    assert re.search(r" 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ ", listed)  # as every other list has its times
    config = state / "enforce.toml"
    config.write_text("[policy]\nmode = 'enforce'\n")
    [found] = json.loads(
        run("explain", "ex01.bakery.example", "--config", config, "--state", state, "--json").stdout
    )
    assert found["decision"]["reason"] == "exempt"

    ended = json.loads(
        run("exempt", "cancel", added["id"], "--why", "they updated", "--state", state, "--json").stdout
    )
    assert "they updated" in run("events", "--state", state, "--json").stdout
    assert ended["id"] == added["id"]
    assert ended["until"]
    again = run("exempt", "cancel", added["id"], "--state", state)
    assert (again.exit_code, "has ended" in again.stderr) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--reason", "x"], "names a server, a network or a domain"),
        (["--network", "10.0.0.0/99", "--reason", "x"], "10.0.0.0/99"),
        (["--server", "a", "--until", "2020-01-01", "--reason", "x"], "ends after it begins"),
        (["--server", "a", "--reason", " "], "must say something"),
        (["--domain", ".", "--reason", "x"], "name such as example.org"),
        (["--domain", "a", "--tenant", "nobody", "--why", "x"], "no tenant is called 'nobody'"),
        (["--server", "a", "--until", "9999-12-31", "--why", "x"], "1970 to 2199"),
    ],
)
def test_a_useless_exemption_is_refused(state: Path, arguments: list[str], words: str) -> None:
    """It says why, and nothing is written."""
    result = run("exempt", "add", *arguments, "--state", state)

    assert result.exit_code == 2
    assert words in result.stderr
    assert run("exempt", "list", "--state", state).stdout == "Nobody is exempt.\n"
