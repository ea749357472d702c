"""``wehr doctor`` and ``wehr setup``: what they print, and how they end."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from ports import free_port
from running import process


def _wehr(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "wehr", *arguments], check=False, capture_output=True, text=True, timeout=60
    )


def _config(folder: Path, text: str) -> list[str]:
    file = folder / "wehr.toml"
    file.write_text(text)
    return ["--config", str(file), "--state", str(folder / "state")]


def _of_wehr(out: str) -> list[tuple[str, str]]:
    """Level and text of what is not about a mail system of this machine."""
    return [
        (it["level"], it["text"])
        for it in json.loads(out)["findings"]
        if it["about"].split()[0] in {"Wehr", "store", "catalogue", "clock", "milter", "line"}
    ]


def test_a_running_wehr_is_well(tmp_path: Path) -> None:
    """It runs, its mode is told, its store can be read, its door answers."""
    with process(tmp_path) as wehr:
        (tmp_path / "wehr.toml").write_text(
            f'milter.listen = ["127.0.0.1:{wehr.port}"]\nmilter.socket = ""\n'
        )
        run = _wehr("doctor", "--json", *_config(tmp_path, (tmp_path / "wehr.toml").read_text()))
        found = _of_wehr(run.stdout)

        assert {level for level, _ in found} <= {"ok", "info", "odd"}
        assert ("ok", f"runs as process {wehr.popen.pid} in {tmp_path / 'state'}") in found
        assert ("info", "mode report: refuses nobody") in found
        assert ("ok", "can be read; 0 servers") in found
        assert any(text.startswith("answers a probe as it should") for _, text in found)


def test_what_is_wrong_is_named_with_its_remedy(tmp_path: Path) -> None:
    """One line a finding, what mends it below, a count at the end, and exit code 1."""
    port = free_port()
    run = _wehr("doctor", *_config(tmp_path, f'milter.listen = ["127.0.0.1:{port}"]\nmilter.socket = ""\n'))

    assert run.returncode == 1
    lines = run.stdout.splitlines()
    place = lines.index(f"WRONG milter 127.0.0.1:{port}: nobody listens there")
    assert lines[place + 1] == "      -> start Wehr: wehr serve, or systemctl start wehr"
    assert lines[-1].endswith("wrong.")


def test_a_mail_system_that_is_named_and_is_not_there_is_wrong(tmp_path: Path) -> None:
    """Unlike one that is just not found."""
    run = _wehr("doctor", "--json", "--postfix", str(tmp_path), *_config(tmp_path, ""))
    last = json.loads(run.stdout)["findings"][-1]
    assert (run.returncode, last["level"], last["about"]) == (1, "wrong", "mail system")


def test_a_store_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """With what looks closer."""
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "wehr.sqlite").write_bytes(b"not a database, but somebody's\n" * 50)
    run = _wehr("doctor", "--json", *_config(tmp_path, ""))
    (store,) = (it for it in json.loads(run.stdout)["findings"] if it["about"] == "store")
    assert store["level"] == "wrong"
    assert store["remedy"] == "run: wehr store check"


def test_without_the_store_no_probe_is_sent(tmp_path: Path) -> None:
    """Wehr would not know it, and it would be delivered: so nothing even connects."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        via = f"127.0.0.1:{server.getsockname()[1]}"
        options = ("--json", "--send", "postmaster@example.org", "--via", via)
        run = _wehr("doctor", *options, *_config(tmp_path, ""))
        with pytest.raises(BlockingIOError):
            server.accept()

    last = json.loads(run.stdout)["findings"][-1]
    assert (run.returncode, last["level"], last["about"]) == (1, "wrong", f"probe via {via}")
    assert "the store cannot be read" in last["text"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["doctor", "--send", "nobody"], "'nobody' is not a mail address"),
        (["doctor", "--send", "a@b>\r\nRSET"], "is not a mail address"),
        (["doctor", "--send", "a@example.org", "--via", "25"], "is not HOST:PORT"),
        (["setup", "postfix", "--reload"], "--reload goes with --write"),
        (["setup", "postfix", "--config-dir", "/nonexistent"], "Postfix"),
        (["setup", "sendmail", "--config-dir", "/nonexistent"], "Sendmail"),
    ],
)
def test_bad_use_is_one_line(tmp_path: Path, arguments: list[str], said: str) -> None:
    """And exit code 2."""
    run = _wehr(*arguments, *_config(tmp_path, 'milter.listen = ["127.0.0.1:1"]\nmilter.socket = ""\n'))
    assert run.returncode == 2
    assert run.stderr.count("\n") == 1
    assert said in run.stderr


def test_a_bad_configuration_is_bad_use(tmp_path: Path) -> None:
    """As with every command."""
    for command in (["doctor"], ["setup", "postfix"]):
        run = _wehr(*command, *_config(tmp_path, "[policy]\nmode = 'strict'\n"))
        assert run.returncode == 2
        assert "policy.mode" in run.stderr
