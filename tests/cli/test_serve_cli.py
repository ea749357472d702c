"""``wehr serve``: what it prints, and how it ends when it cannot start."""

import os
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from ports import free_port
from running import process

SERVE = [sys.executable, "-m", "wehr", "serve", "--web", ""]


def _fails(*arguments: str) -> str:
    """Run it; it must end with 2, and with one line."""
    run = subprocess.run([*SERVE, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 2, run
    assert run.stderr.count("\n") == 1, run.stderr
    return run.stderr


def _says(*arguments: str) -> list[str]:
    """What it prints up to "Ready."; ended by SIGTERM, it must end with 0."""
    run = subprocess.Popen([*SERVE, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert run.stdout is not None
    lines = []
    for line in run.stdout:
        lines.append(line.rstrip("\n"))
        if line.startswith("Ready"):
            break
    run.send_signal(signal.SIGTERM)
    out, err = run.communicate(timeout=30)
    assert run.returncode == 0, out + err
    return lines


def _milters(address: str) -> str:
    """The line for main.cf."""
    return (
        f"smtpd_milters = {{ {address}, default_action=accept, "
        "connect_timeout=3s, command_timeout=3s, content_timeout=10s }"
    )


def test_it_prints_the_line_for_postfix_and_ends_in_order(tmp_path: Path) -> None:
    """The lines can be pasted as they are; SIGTERM ends with 0 and removes the socket."""
    port = free_port()
    lines = _says("--state", str(tmp_path), "--listen", f"127.0.0.1:{port}")

    assert [line for line in lines if line.startswith(("smtpd_milters", "or,"))] == [
        _milters(f"inet:127.0.0.1:{port}"),
        "or, for a Postfix that is not chrooted (Debian's is), a little quicker:",
        _milters(f"unix:{tmp_path / 'milter.sock'}"),
    ]
    assert any(f"wehr report --state {tmp_path}' lists" in line for line in lines)
    assert not (tmp_path / "milter.sock").exists()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_of_several_addresses_one_is_printed_that_postfix_can_connect_to(
    tmp_path: Path, workers: str
) -> None:
    """The one that ``wehr setup`` would write, loopback for a wildcard; the socket alone is quicker."""
    port = free_port()
    addresses = ("--listen", f"0.0.0.0:{port}", "--listen", f"127.0.0.2:{free_port()}", "--socket", "")
    lines = _says("--state", str(tmp_path), *addresses, "--workers", workers)

    assert [line for line in lines if line.startswith(("smtpd_milters", "or,"))] == [
        _milters(f"inet:127.0.0.1:{port}")
    ]


def test_without_the_milter_there_is_no_line_for_postfix(tmp_path: Path) -> None:
    """As where Exim asks."""
    file = tmp_path / "wehr.toml"
    file.write_text(f"milter.listen = []\nline.listen = ['127.0.0.1:{free_port()}']\n")
    lines = _says("--config", str(file), "--state", str(tmp_path), "--socket", "")

    assert not any("Postfix" in line or line.startswith("smtpd_milters") for line in lines)


def test_the_command_it_names_goes_by_the_same_files(tmp_path: Path) -> None:
    """It can be pasted, from wherever and whatever the folder is called."""
    folder = tmp_path / "a b"
    folder.mkdir()
    (folder / "wehr.toml").write_text("milter.listen = ['127.0.0.1:0']\n")
    named = ("--config", str(folder / "wehr.toml"), "--state", str(folder / "state"))
    lines = _says(*named)

    command = next(line for line in lines if line.endswith("lists the out-of-date servers seen."))
    command = command.removeprefix("Then '").removesuffix("' lists the out-of-date servers seen.")
    assert shlex.split(command)[1:] == ["report", *named]


def test_a_taken_port_is_one_clear_line(tmp_path: Path) -> None:
    """It names the address and the remedy."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"

        said = _fails("--state", str(tmp_path), "--listen", address)

    assert said == (
        f"wehr: {address} is taken by another program; "
        "stop it, or choose another address with milter.listen or --listen\n"
    )


def test_a_second_start_on_the_same_state_is_refused(tmp_path: Path) -> None:
    """The first goes on."""
    with process(tmp_path) as first:
        said = _fails("--state", str(tmp_path / "state"), "--listen", f"127.0.0.1:{free_port()}")

        assert "in use by another Wehr" in said
        assert first.popen.poll() is None


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_an_unwritable_state_folder_is_one_clear_line(tmp_path: Path) -> None:
    """It names the folder and the remedy."""
    tmp_path.chmod(0o500)

    assert "cannot be written: Permission denied; mend its permissions" in _fails(
        "--state", str(tmp_path / "x")
    )


def test_a_state_folder_that_is_a_file_is_one_clear_line(tmp_path: Path) -> None:
    """The same, for everybody."""
    (tmp_path / "file").write_text("")

    assert "cannot be written: Not a directory" in _fails("--state", str(tmp_path / "file" / "x"))


def test_a_bad_configuration_is_one_clear_line(tmp_path: Path) -> None:
    """It names file, line, key, what was found and what is allowed."""
    file = tmp_path / "wehr.toml"
    file.write_text("[policy]\nmode = 'strict'\n")

    said = _fails("--config", str(file), "--state", str(tmp_path / "state"))

    assert said.startswith(f"wehr: {file}:2: policy.mode: found 'strict'")
    assert said.endswith("allowed: off, report, simulate, enforce\n")


def test_an_unreadable_store_is_reported_and_never_overwritten(tmp_path: Path) -> None:
    """What stood there stands there still."""
    (tmp_path / "wehr.sqlite").write_bytes(b"not a database, but somebody's\n" * 50)

    said = _fails("--state", str(tmp_path), "--listen", f"127.0.0.1:{free_port()}")

    assert "wehr.sqlite" in said
    assert "it has not been touched; restore a backup" in said
    assert (tmp_path / "wehr.sqlite").read_bytes() == b"not a database, but somebody's\n" * 50


def test_an_unknown_socket_group_is_one_clear_line(tmp_path: Path) -> None:
    """A group that does not exist must not leave a socket of the wrong group behind."""
    file = tmp_path / "wehr.toml"
    file.write_text("[milter]\nlisten = []\nsocket_group = 'no-such-group'\n")

    said = _fails("--config", str(file), "--state", str(tmp_path / "state"))

    assert said.startswith("wehr: milter.socket_group: there is no group 'no-such-group'; ")
    assert not (tmp_path / "state" / "milter.sock").exists()
