"""``wehr catalogue``: what it prints, and its exit codes."""

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import feeds
import pytest
from click.testing import CliRunner, Result

from wehr.cli import main

SE = "Microsoft Exchange Server Subscription Edition RTM"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No state or configuration of the machine's takes part."""
    for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME", "STATE_DIRECTORY"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str, **more: Any) -> Result:
    """Run one command."""
    return CliRunner().invoke(main, ["catalogue", *arguments], **more)


def run_json(*arguments: str) -> Any:
    """Run one command that must succeed, and read its JSON."""
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def test_assess_prints_the_documented_keys() -> None:
    """The shape that other programs build on."""
    found = run_json("assess", "15.01.2507.060", "--at", "2025-11-01")
    assert list(found)[:11] == [
        "product",
        "branch",
        "update",
        "build",
        "released",
        "state",
        "branch_supported",
        "support_ends",
        "missing_updates",
        "vulnerabilities",
        "recommended_builds",
    ]
    assert (found["product"], found["branch"], found["update"]) == ("Exchange Server 2016", "CU23", "Sep25HU")
    assert (found["build"], found["released"], found["state"]) == (
        "15.1.2507.60",
        "2025-09-08",
        "unsupported",
    )
    assert (found["branch_supported"], found["support_ends"]) == (False, "2025-10-14")
    assert found["missing_updates"] == [
        {
            "name": "Oct25SU",
            "build": "15.1.2507.61",
            "released": "2025-10-14",
            "kb": "KB5066369",
            "esu": False,
            "certain": True,
        }
    ]
    assert found["vulnerabilities"][0] == {
        "cve": "CVE-2025-53782",
        "fixed_in": "15.1.2507.61",
        "fixed_released": "2025-10-14",
        "exploited": False,
        "exploited_since": None,
        "ransomware": False,
        "certain": True,
    }
    assert found["recommended_builds"] == ["15.2.2562.29"]
    assert found["notes"] == ["in-between"]
    assert (found["at"], found["catalogue_date"]) == ("2025-11-01", "2026-10-08")


def test_assess_prints_for_people() -> None:
    """State, sources, what is missing and what is exploited."""
    result = run("assess", "15.1.2242.4", "--at", "2022-01-01")
    assert result.exit_code == 0
    for text in (
        "15.1.2242.4 is Exchange Server 2016 CU20: UNSUPPORTED on 2022-01-01.",
        "Exchange Server build numbers and release dates",
        "Apr21SU",
        "cannot tell",
        "CVE-2021-34473",
        "2021-11-03",
    ):
        assert text in result.output


@pytest.mark.parametrize(
    ("product", "build", "found"),
    [
        ("exchange", "15.2.2562.53", "Exchange Server SE"),
        ("Exchange Server 2016", "15.1.2507.61", "Exchange Server 2016"),
        ("microsoft exchange 2019", "15.2.1748.39", "Exchange Server 2019"),
        ("2013", "15.0.1497.48", "Exchange Server 2013"),
        ("SE", "15.2.2562.53", "Exchange Server SE"),
        ("Exim", "4.99.5", "Exim"),
        ("exim", "4.90_1", "Exim"),
        ("exim", "4.96.2-12-g29d01ae2a", "Exim"),
        ("sendmail", "8.18.1", "Sendmail"),
    ],
)
def test_a_product_may_be_named_in_several_ways(product: str, build: str, found: str) -> None:
    """A family, a full name, or what people say."""
    assert run_json("assess", build, "--product", product)["product"] == found


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["assess", "abc"], "not a build number: 'abc'"),
        (["assess", "15.1.2507.61", "--product", "nosuch"], "unknown product 'nosuch'"),
        (["assess", "15.1.2507.61", "--product", "2019"], "is a build of Exchange Server 2016"),
        (["assess", "15.1.2507.61", "--at", "soon"], "'soon' is not a day"),
        (["list", "--overlay", "nosuch"], "'nosuch' does not exist"),
        (["lint", "nosuch"], "nosuch: no catalogue files"),
        (["import", "nosuch.json"], "nosuch.json: No such file"),
        (["import", "http://example.org/x.json"], "only https URLs are fetched"),
        (["diff", "a", "b", "c"], "at most two folders"),
    ],
)
def test_bad_use_ends_with_2_and_one_clear_line(arguments: list[str], told: str) -> None:
    """Never a traceback."""
    result = run(*arguments, env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert told in result.output
    assert "Traceback" not in result.output


def test_list_shows_products_builds_and_holes() -> None:
    """Three lists, as tables and as JSON."""
    assert "Exchange Server SE" in run("list", env={"COLUMNS": "200"}).output
    assert len(run_json("list")) == 18
    rows = run_json("list", "--product", "2019")
    assert {row["product"] for row in rows} == {"Exchange Server 2019"}
    assert [row["build"] for row in rows if row["update"] == "Oct25SU"] == ["15.2.1544.36", "15.2.1748.39"]
    assert rows[0]["sources"]
    holes = run_json("list", "--vulnerabilities", "--product", "exchange")
    assert len(holes) == 145
    assert "CVE-2024-21410" in {row["cve"] for row in holes}
    assert "Mar21SU" in run("list", "--product", "2019").output


def test_lint_answers_1_if_something_is_wrong(tmp_path: Path) -> None:
    """And 0 for what is shipped."""
    assert run("lint").exit_code == 0
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("schema = 1\n[status]\n'1.2' = 'odd'\n")
    result = run("lint", "--overlay", str(wrong), "--json")
    assert result.exit_code == 1
    assert [one["subject"] for one in json.loads(result.output)] == ["1.2"]


def test_status_checks_the_age() -> None:
    """Stale after 60 days; exit code 1 only where a check was asked for."""
    assert run("status", "--at", "2026-12-07", "--check").exit_code == 0
    assert run("status", "--at", "2026-12-08").exit_code == 0
    result = run("status", "--at", "2026-12-08", "--check")
    assert result.exit_code == 1
    assert "STALE" in result.output
    found = run_json("status", "--at", "2026-12-08")
    assert (found["date"], found["age_days"], found["stale"]) == ("2026-10-08", 61, True)
    assert {one["product"]: one["newest"] for one in found["products"]}[
        "Exchange Server SE"
    ] == "15.2.2562.53"


def test_import_asks_writes_and_is_idempotent(tmp_path: Path) -> None:
    """No for an answer writes nothing; yes writes one file; again there is nothing to do."""
    (tmp_path / "record.json").write_bytes(feeds.cve("CVE-2026-99001", (SE, "15.02.2562.060")))
    folder = tmp_path / "laid" / "over"
    arguments = ("import", "record.json", "--overlay", str(folder))
    for answer in ("n\n", ""):
        asked = run(*arguments, input=answer)
        assert asked.exit_code == 0
        assert "Nothing written." in asked.output
        assert not folder.exists()
    assert run_json(*arguments)["written"] == [], "a program must say --yes"
    done = run(*arguments, input="y\n")
    assert done.exit_code == 0, done.output
    (file,) = folder.iterdir()
    text = file.read_text()
    assert 'document = "CVE-2026-99001"' in text
    assert "sha256 = " in text
    assert run_json(*arguments, "--yes") == {"changes": [], "complaints": [], "written": []}
    assert run_json("assess", "15.2.2562.53", "--overlay", str(folder))["state"] == "outdated"
    assert run_json("status", "--overlay", str(folder))["imported"][0]["document"] == "CVE-2026-99001"
    changed = run_json("diff", "--overlay", str(folder))
    assert {"CVE-2026-99001", "Exchange Server SE RTM 15.2.2562.60"} == {one["subject"] for one in changed}


def test_import_goes_to_the_configured_folder(home: Path) -> None:
    """Where the service reads it, too."""
    (home / "record.json").write_bytes(feeds.cve("CVE-2026-99001", (SE, "15.02.2562.060")))
    (written,) = run_json("import", "record.json", "--yes")["written"]
    assert Path(written).parent == home / "STATE_DIRECTORY" / "catalogue"
    assert run_json("assess", "15.2.2562.53")["state"] == "outdated"


def test_every_command_judges_by_what_the_service_has_imported(home: Path) -> None:
    """The overlays are those of the state folder and configuration that are named, for all commands alike."""
    state = str(home / "var")
    (home / "record.json").write_bytes(feeds.cve("CVE-2026-99001", (SE, "15.02.2562.060")))
    (written,) = run_json("import", "record.json", "--yes", "--state", state)["written"]
    assert Path(written).parent == home / "var" / "catalogue"
    assert run_json("assess", "15.2.2562.53")["state"] == "current"
    assert run_json("assess", "15.2.2562.53", "--state", state)["state"] == "outdated"
    assert len(run_json("status", "--state", state)["imported"]) == 1

    played = ("policy", "simulate", "15.2.2562.53", "--from", "2027-01-01", "--to", "2027-01-01", "--json")
    for more, compliant in (((), True), (("--state", state), False)):
        [span] = json.loads(CliRunner().invoke(main, [*played, *more]).stdout)["spans"]
        assert span["compliant"] is compliant

    stamp = "Received: from a (192.0.2.1) by a with Microsoft SMTP Server id 15.2.2562.53; x\n"
    (home / "m.eml").write_text(
        f"Received: from a.example (a.example [192.0.2.1]) by mx.example.org; x\n{stamp}"
    )
    shown = CliRunner().invoke(main, ["explain", "m.eml", "--state", state], env={"COLUMNS": "200"}).stdout
    assert "is outdated" in shown


def test_an_installation_without_overlays_reads_none(home: Path) -> None:
    """Whatever else lies in the state folder; and an import must be told where to."""
    (home / "wehr.toml").write_text("catalogue.overlays = ''\n")
    (home / "var").mkdir()
    (home / "var" / "other.toml").write_text("not = 'a catalogue'\n")
    (home / "record.json").write_bytes(feeds.cve("CVE-2026-99001", (SE, "15.02.2562.060")))
    assert run("assess", "15.2.2562.53", "--state", "var").exit_code == 0
    assert CliRunner().invoke(main, ["config", "check", "--state", "var"]).exit_code == 0
    result = run("import", "record.json", "--yes", "--state", "var")
    assert result.exit_code == 2
    assert "name one with --overlay" in result.output


def test_import_reports_what_it_did_not_take(tmp_path: Path) -> None:
    """A record whose builds contradict the catalogue."""
    (tmp_path / "record.json").write_bytes(feeds.cve("CVE-2026-96940", (SE, "15.02.2562.049")))
    result = run("import", "record.json", env={"COLUMNS": "200"})
    assert result.exit_code == 0
    assert "Not taken as it stands" in result.output
    assert "the catalogue 15.2.2562.53" in result.output


def test_import_vouches_for_a_date(tmp_path: Path) -> None:
    """Then the catalogue is no longer stale."""
    (tmp_path / "record.json").write_bytes(feeds.cve("CVE-2026-99001", (SE, "15.02.2562.060")))
    today = datetime.now(UTC).date()
    run_json("import", "record.json", "--yes", "--complete-to", str(today))
    assert run_json("status")["date"] == str(today)


def test_nobody_vouches_for_a_day_to_come(tmp_path: Path) -> None:
    """A slip there would silence the warning of a stale catalogue for years."""
    (tmp_path / "record.json").write_bytes(feeds.cve("CVE-2026-99001", (SE, "15.02.2562.060")))
    result = run("import", "record.json", "--yes", "--complete-to", "2199-01-01")
    assert result.exit_code == 2
    assert "is still to come" in result.output


def test_import_leaves_no_half_written_file(tmp_path: Path) -> None:
    """A folder that cannot be made is told in one line."""
    (tmp_path / "record.json").write_bytes(feeds.cve("CVE-2026-99001", (SE, "15.02.2562.060")))
    (tmp_path / "file").write_text("")
    arguments = ("import", "record.json", "--yes", "--overlay", str(tmp_path / "file" / "x"))
    result = run(*arguments, env={"COLUMNS": "300"})
    assert result.exit_code == 2
    assert "name another folder with --overlay" in result.output


def test_today_is_the_default_day() -> None:
    """In UTC, worked out by the command alone."""
    assert date.fromisoformat(run_json("assess", "15.2.2562.53")["at"]) >= date(2026, 11, 21)
