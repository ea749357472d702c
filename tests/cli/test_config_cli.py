"""``wehr config check``: right or wrong, and what is legal but odd."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from wehr.cli import main

PROXY = '[smtp]\nlisten = ["127.0.0.1:0"]\nnext_hop = "192.0.2.1:25"\n'
LOGIN = 'web.url = "https://wehr.test"\n[web.oidc]\nissuer = "https://id.test"\nclient_id = "wehr"\n'


def run(*arguments: str | Path) -> Result:
    """One command."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)


def write(folder: Path, text: str) -> Path:
    """A configuration file, by which the catalogue does not grow old: warnings of that are none of these."""
    file = folder / "wehr.toml"
    file.write_text(f"{text}\n[catalogue]\nstale_after = 3650\n")
    return file


@pytest.fixture(name="state", scope="module")
def _state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty days of servers, up to now."""
    folder = tmp_path_factory.mktemp("demo") / "state"
    assert run("demo", "--seconds", "0", "--days", "40", "--keep", folder).exit_code == 0
    return folder


def test_a_right_configuration_says_so(tmp_path: Path) -> None:
    """Nothing on standard error, exit code 0."""
    result = run("config", "check", "--config", write(tmp_path, ""), "--state", tmp_path)

    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.endswith("wehr.toml is right. Mode: report.\n")


def test_a_wrong_one_ends_with_two_and_names_the_place(tmp_path: Path) -> None:
    """File, line, key, what was found, what is allowed."""
    file = write(tmp_path, "[policy]\nmode = 'strict'\n")
    result = run("config", "check", "--config", file)

    assert result.exit_code == 2
    assert f"{file}:2: policy.mode: found 'strict'" in result.stderr
    assert "allowed: off, report" in result.stderr


def test_one_that_may_not_be_read_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when it belongs to root, and Wehr does not run as root: no box with the command's usage."""
    file = write(tmp_path, "")

    def closed(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.access", lambda *_, **__: False)
    monkeypatch.setattr(Path, "read_text", closed)
    result = run("config", "check", "--config", file)

    assert result.exit_code == 2
    assert result.stderr == f"wehr: {file}: cannot be read: Permission denied\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            PROXY + 'certificate = "/nonexistent.pem"',
            "smtp.certificate /nonexistent.pem cannot be used: No such file or directory",
        ),
        (
            PROXY + 'next_hop_tls = "verified"\nnext_hop_ca = "/nonexistent.pem"',
            "smtp.next_hop_ca /nonexistent.pem cannot be used: No such file or directory",
        ),
        (
            '[line]\nsocket = "line.sock"\nsocket_group = "no-such-group"',
            "line.socket_group: there is no group 'no-such-group'; name another, or make it",
        ),
        (
            LOGIN + 'client_secret_file = "/nonexistent"',
            "web.oidc.client_secret_file /nonexistent cannot be read: No such file or directory",
        ),
    ],
)
def test_what_the_service_would_not_start_with_is_no_right_configuration(
    tmp_path: Path, text: str, said: str
) -> None:
    """Files and groups that are not there, in the words that ``wehr serve`` has for it."""
    state = tmp_path / "state"
    file = write(tmp_path, text)
    named = ["--config", str(file), "--state", str(state)]
    addresses = ["--listen", "127.0.0.1:0", "--web", "127.0.0.1:0"]
    serve = [sys.executable, "-m", "wehr", "serve", *named, *addresses]

    checked = run("config", "check", *named)
    started = subprocess.run(serve, capture_output=True, text=True, timeout=60, check=False)

    assert (checked.exit_code, checked.stdout) == (started.returncode, started.stdout) == (2, "")
    assert [checked.stderr] == started.stderr.splitlines(keepends=True)[-1:] == [f"wehr: {said}\n"]


def test_a_file_that_only_this_user_may_not_read_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one Wehr runs as may be another, and may."""
    file = write(tmp_path, PROXY + 'certificate = "/etc/mx.pem"')

    def closed(*_: object) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", closed)
    result = run("config", "check", "--config", file, "--state", tmp_path)

    assert result.exit_code == 0
    assert result.stderr == (
        "warning: smtp.certificate /etc/mx.pem cannot be used: Permission denied; "
        "let the user that Wehr runs as read it\n"
    )


def test_what_a_closed_door_would_need_is_not_asked_for(tmp_path: Path) -> None:
    """Nor does the service ask."""
    text = 'smtp.certificate = "/nonexistent.pem"\nline.socket_group = "no-such-group"\n'
    result = run("config", "check", "--config", write(tmp_path, text), "--state", tmp_path)

    assert (result.exit_code, result.stderr) == (0, "")


def test_a_secret_that_is_not_there_is_warned_of(tmp_path: Path) -> None:
    """A relative path is inside the state folder."""
    submission = '{ host = "mail.example.org", user = "wehr", password_file = "password" }'
    file = write(tmp_path, f"[notices]\nsubmission = {submission}\n")
    arguments = ("config", "check", "--config", file, "--state", tmp_path)

    missing = run(*arguments)
    (tmp_path / "password").touch()

    said = f"notices.submission.password_file: {tmp_path / 'password'} is not there"
    assert missing.exit_code == 0
    assert said in missing.stderr
    assert said not in run(*arguments).stderr


def test_a_state_folder_that_is_closed_to_this_user_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Doctor tells what else it sees; a command that needs the store ends."""
    (tmp_path / "wehr.sqlite").touch()
    monkeypatch.setattr("os.access", lambda _, mode, **__: mode == os.F_OK)

    report = run("report", "--state", tmp_path)
    doctor = run("doctor", "--state", tmp_path)

    assert report.exit_code == 2
    assert report.stderr == (
        f"wehr: {tmp_path} is closed to this user; run it as root, or as the user that Wehr runs as\n"
    )
    assert "or this user cannot see it" in doctor.stdout


def test_what_is_odd_is_warned_of_and_the_exit_code_stays_zero(tmp_path: Path) -> None:
    """For people on standard error, for programs in the document."""
    file = write(tmp_path, "status_url = 'http://a.example'\n[policy]\nmode = 'enforce'\n")
    arguments = ("config", "check", "--config", file, "--state", tmp_path)

    result = run(*arguments)
    document = json.loads(run(*arguments, "--json").stdout)

    assert result.exit_code == 0
    assert f"warning: {file}:1: status_url: " in result.stderr
    assert "contact: " in result.stderr
    assert document["ok"] is True
    assert len(document["warnings"]) == result.stderr.count("warning: ") == 2


def test_servers_in_the_store_that_would_be_refused_at_once_are_counted(tmp_path: Path, state: Path) -> None:
    """Where they were only reported so far; the demonstration's were refused already."""
    import sqlite3

    file = write(tmp_path, "contact = 'a@example.org'\n[policy]\nmode = 'enforce'\n")
    arguments = ("config", "check", "--config", file, "--state", state)
    assert run(*arguments).stderr == ""

    with sqlite3.connect(state / "wehr.sqlite") as store:
        store.execute("update servers set enforced = 0")
    store.close()

    assert "policy.clock_from: " in run(*arguments).stderr
    file.write_text(file.read_text().replace("[policy]", "[policy]\nclock_from = 2026-01-01"))
    assert run(*arguments).stderr == ""
