"""The commands that ask the store: report, server and explain, over a played demonstration."""

import contextlib
import csv
import io
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from wehr.cli import main
from wehr.ledger.report import ReportRow

CMDLET = [
    "server_fqdn",
    "build",
    "exchange_server",
    "first_detected_date",
    "recommended_build_versions",
    "throttle_enabled_date",
    "blocking_enabled_date",
    "next_stage_throttle_rate",
    "next_stage_block_rate",
    "next_stage_start_date",
]


def run(*arguments: str | Path) -> str:
    """What a command prints that must end well."""
    result = CliRunner(env={"COLUMNS": "200"}).invoke(
        main, [str(argument) for argument in arguments], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(name="state", scope="module")
def _state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state that a hundred days leave."""
    folder = tmp_path_factory.mktemp("demo") / "state"
    played = run("demo", "--seconds", "0", "--keep", folder)
    assert "Day 100 of 100" in played
    return folder


def _report(state: Path) -> dict[str, dict[str, object]]:
    rows = json.loads(run("report", "--state", state, "--all", "--json"))
    return {row["server_fqdn"]: row for row in rows}


def test_the_demonstration_ends_as_its_stories_say(state: Path) -> None:
    """Never patched: blocked. Patched, up to date: free. Paused: behind by the pause. Renamed: clock kept."""
    rows = _report(state)

    assert rows["ex01.bakery.example"]["stage"] == 8
    assert rows["mail.clinic.example"]["out_of_date"] is False
    assert rows["ex01.library.example"]["out_of_date"] is False
    assert rows["ex01.library.example"]["messages_accepted"] == 2400
    assert rows["ex.school.example"]["stage"] == 7
    assert rows["srv02.museum.example"]["stage"] == 8
    assert rows["srv01.museum.example"]["silent"] is True


def test_a_limit_counts_out_of_date_servers_alone_and_tells_how_many_it_leaves_out(state: Path) -> None:
    """Two of those that are out of date are two, however many others were seen later."""
    whole = json.loads(run("report", "--state", state, "--json"))
    every = json.loads(run("report", "--state", state, "--json", "--all"))
    assert len(every) > len(whole) > 2
    for limit in (1, 2, len(whole) - 1, len(whole)):
        result = CliRunner().invoke(main, ["report", "--state", str(state), "--json", "--limit", str(limit)])
        shown = json.loads(result.stdout)
        assert len(shown) == limit
        assert [row for row in whole if row in shown] == shown
        assert (f"{len(whole) - limit} more servers" in result.stderr) == (limit < len(whole))


def test_the_report_begins_with_the_fields_of_microsofts_cmdlet(state: Path) -> None:
    """In order, in JSON and CSV; times are ISO 8601 in UTC."""
    row = json.loads(run("report", "--state", state, "--format", "json"))[0]
    table = list(csv.DictReader(io.StringIO(run("report", "--state", state, "--format", "csv"))))

    assert list(row)[:10] == CMDLET
    assert list(table[0])[:10] == CMDLET
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", row["first_detected_date"])
    assert [line["server_fqdn"] for line in table] == [
        "ex01.bakery.example",
        "srv01.museum.example",
        "srv02.museum.example",
        "ex.school.example",
    ]


def test_the_report_has_a_table_for_people_and_a_page(state: Path) -> None:
    """Both name the server; the page is whole."""
    assert "ex01.bakery.example" in run("report", "--state", state)
    page = run("report", "--state", state, "--format", "html")
    assert page.startswith("<!doctype html>")
    assert "<td>ex01.bakery.example</td>" in page


def test_the_report_names_the_least_build_that_is_accepted(state: Path) -> None:
    """Of the server's own branch, beside what the catalogue recommends; none of 2013 is accepted any more."""
    rows = _report(state)

    assert rows["ex01.bakery.example"]["least_accepted_build"] == "15.1.2507.61"
    assert "15.1.2507.61" not in rows["ex01.bakery.example"]["recommended_build_versions"]
    assert rows["ex.school.example"]["least_accepted_build"] is None
    assert rows["mail.clinic.example"]["least_accepted_build"] is None


def test_servers_are_listed_and_shown_by_name_and_reference(state: Path) -> None:
    """The list gives references; each leads to the server with its events and messages."""
    rows = json.loads(run("server", "list", "--state", state, "--json"))
    bakery = next(row for row in rows if row["server_fqdn"] == "ex01.bakery.example")

    shown = json.loads(run("server", "show", bakery["reference"], "--state", state, "--json"))

    assert set(ReportRow.__struct_fields__) == set(shown["server"])
    assert [event["kind"] for event in reversed(shown["events"])][:2] == ["detected", "stage"]
    assert shown["messages"][0]["reason"] == "blocked"
    assert "Received: from ex01.bakery.example" in run(
        "server", "show", "ex01.bakery.example", "--state", state
    )


def test_a_refusal_is_explained_by_its_reference(state: Path, tmp_path: Path) -> None:
    """Evidence, catalogue, rule, decision, stage, windows, cure: as text and as JSON."""
    reference = str(_report(state)["ex01.bakery.example"]["reference"])
    (tmp_path / "wehr.toml").write_text('policy.mode = "enforce"')
    stored = ("--state", state, "--config", tmp_path / "wehr.toml")

    text = run("explain", reference, *stored)
    [found] = json.loads(run("explain", f"https://wehr.example.org/s/{reference}", *stored, "--json"))

    assert [item["topic"] for item in found["items"]] == [
        "evidence",
        "assessment",
        "sources",
        "rule",
        "decision",
        "stage",
        "windows",
        "cure",
    ]
    assert "Stage 8 of 8" in text
    assert "Microsoft Learn, Exchange Server build numbers" in text
    assert "15.1.2507.61, the least build that is accepted" in " ".join(text.split())
    assert found["server"] == "ex01.bakery.example"


def test_a_message_is_explained_by_its_queue_id_as_it_was_decided(state: Path) -> None:
    """What was decided then, not what would be now."""
    shown = json.loads(
        run("server", "show", "ex01.bakery.example", "--state", state, "--json", "--limit", "2000")
    )
    throttled = next(message for message in shown["messages"] if message["reason"] == "throttled")

    found = json.loads(run("explain", throttled["queue_id"], "--state", state, "--json"))

    decisions = {one["server"]: one["decision"] for one in found}
    assert decisions["ex01.bakery.example"]["action"] == "throttle"


def test_a_message_file_is_explained_as_a_newcomers(tmp_path: Path) -> None:
    """Without a store: what would happen if it were handed over now."""
    import messages

    file = tmp_path / "m.eml"
    top = "Received: from mail.example.com ([203.0.113.10]) by mx.example.org (Postfix) with ESMTP id 4X; x\n"
    file.write_text(top + messages.exchange("15.1.2507.16") + "\n")

    [found] = json.loads(run("explain", file, "--json"))

    assert found["decision"]["reason"] == "report-stage"
    assert found["decision"]["stage"] == 1


def test_what_is_not_known_is_said_in_one_line(state: Path) -> None:
    """Exit code 2, and where to look."""
    for arguments in (("explain", "nobody"), ("server", "show", "nobody")):
        result = CliRunner().invoke(main, [*arguments, "--state", str(state)])
        assert result.exit_code == 2
        assert result.stderr.count("\n") == 1
        assert "'nobody'" in result.stderr


def test_without_a_store_the_commands_say_where_they_looked(tmp_path: Path) -> None:
    """And how to get one."""
    result = CliRunner().invoke(main, ["report", "--state", str(tmp_path)])

    assert result.exit_code == 2
    assert f"there is no store in {tmp_path}: start 'wehr serve' once" in result.stderr


@pytest.mark.parametrize("command", [("server", "show"), ("explain",)])
def test_no_name_is_nobodys(state: Path, command: tuple[str, ...]) -> None:
    """Not that of all servers whose name nobody verified; and the root's dot makes no other name."""
    result = CliRunner().invoke(main, [*command, "", "--state", str(state)])

    assert result.exit_code == 2
    assert "''" in result.stderr
    assert "ex01.bakery.example" in run(*command, "EX01.bakery.example.", "--state", state)


@pytest.mark.parametrize("command", [("report",), ("server", "list"), ("server", "show", "x"), ("events",)])
def test_a_limit_is_a_number_that_the_store_can_count_to(state: Path, command: tuple[str, ...]) -> None:
    """What is beyond 64 bits ends with exit code 2, not with an error of the database."""
    result = CliRunner().invoke(main, [*command, "--limit", str(10**20), "--state", str(state)])

    assert result.exit_code == 2
    assert "--limit" in result.stderr


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (("--stage", "8"), ["ex01.bakery.example", "srv01.museum.example", "srv02.museum.example"]),
        (("--text", "MUSEUM", "--sort", "last_seen"), ["srv01.museum.example", "srv02.museum.example"]),
        (("--branch", "99.1"), []),
        (("--tenant", "nobody"), []),
        (("--cve", "CVE-1999-0001"), []),
        (("--assessment", "unknown"), []),
        (("--assessment", "outdated", "--stage", "8"), []),
    ],
)
def test_the_report_is_filtered_as_the_pages_are(
    options: tuple[str, ...], names: list[str], state: Path
) -> None:
    """By the same questions, and sorted by them."""
    found = json.loads(run("report", "--state", state, "--json", *options))

    assert [row["server_fqdn"] for row in found] == names


def test_the_report_tells_of_a_state_whether_in_compliance_or_not(state: Path) -> None:
    """What is current is out of date for nobody, and still asked for."""
    every = _report(state)
    for wanted in ("current", "outdated", "unsupported"):
        found = json.loads(run("report", "--state", state, "--json", "--assessment", wanted))
        assert {row["server_fqdn"] for row in found} == {
            name for name, row in every.items() if row["state"] == wanted
        }
    assert "No such server" in run("report", "--state", state, "--assessment", "unknown")


@pytest.mark.parametrize("shape", ["json", "csv", "html", "parquet"])
def test_the_report_is_written_to_a_file_as_it_is_printed(shape: str, state: Path, tmp_path: Path) -> None:
    """Byte for byte."""
    out = tmp_path / "report"
    options = ["report", "--state", str(state), "--format", shape]
    printed = CliRunner().invoke(main, options, catch_exceptions=False)
    written = CliRunner().invoke(main, [*options, "-o", str(out)], catch_exceptions=False)

    assert (printed.exit_code, written.exit_code, written.stdout_bytes) == (0, 0, b"")
    assert out.read_bytes() == printed.stdout_bytes
    assert len(out.read_bytes()) > 1000


def test_the_report_as_parquet_has_the_rows_of_the_others(state: Path) -> None:
    """With numbers, times and lists as such."""
    parquet = pytest.importorskip("pyarrow.parquet")
    options = ["report", "--state", str(state), "--format", "parquet"]
    table = parquet.read_table(io.BytesIO(CliRunner().invoke(main, options).stdout_bytes)).to_pylist()
    rows = json.loads(run("report", "--state", state, "--json"))

    assert [row["server_fqdn"] for row in table] == [row["server_fqdn"] for row in rows]
    assert [row["stage"] for row in table] == [row["stage"] for row in rows]
    assert all(isinstance(row["missing_updates"], list) and row["last_seen"].tzinfo for row in table)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ("--format", "json", "-o", "/none/such"),
            "/none/such: cannot be written: No such file or directory",
        ),
        (("-o", "report.txt"), "a table is for people; name another --format for report.txt"),
    ],
)
def test_a_report_that_cannot_be_written_says_so_in_a_line(
    options: tuple[str, ...], said: str, state: Path
) -> None:
    """Bad use."""
    result = CliRunner().invoke(main, ["report", "--state", str(state), *options])

    assert (result.exit_code, result.stderr.strip()) == (2, f"wehr: {said}")


def test_parquet_is_not_written_to_a_terminal(state: Path) -> None:
    """One line, and not a byte of it."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "wehr", "report", "--state", str(state), "--format", "parquet"]
    ended = subprocess.run(command, stdout=theirs, stderr=subprocess.PIPE, check=False, timeout=60)
    os.close(theirs)
    os.set_blocking(ours, False)

    assert (ended.returncode, ended.stderr.count(b"\n")) == (2, 1)
    assert b"write it to a file with -o FILE" in ended.stderr
    with contextlib.suppress(OSError):  # at the end, on Linux
        assert os.read(ours, 100) == b""
    os.close(ours)
