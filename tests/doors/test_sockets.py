"""Unix sockets: whose they are, who may connect, and what is in their way."""

import grp
import os
import socket
import stat
from pathlib import Path

import pytest

from wehr.doors.sockets import bind_unix


def test_a_unix_socket_has_its_mode_and_group(tmp_path: Path) -> None:
    """And may be connected to."""
    path = tmp_path / "wehr.sock"
    group = grp.getgrgid(os.getgid()).gr_name
    with bind_unix(path, 0o620, group) as listener, socket.socket(socket.AF_UNIX) as client:
        status = path.stat()
        assert stat.S_IMODE(status.st_mode) == 0o620
        assert status.st_gid == os.getgid()
        listener.listen()
        client.connect(str(path))


def test_a_dead_process_s_socket_is_replaced_and_a_live_one_s_is_not(tmp_path: Path) -> None:
    """Nobody has to clean up after a crash, and nobody's socket is stolen."""
    path = tmp_path / "wehr.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with bind_unix(path, 0o660, None) as live, socket.socket(socket.AF_UNIX) as client:
        live.listen()
        with pytest.raises(FileExistsError, match="in use"):
            bind_unix(path, 0o660, None)
        client.connect(str(path))


def test_a_file_in_the_way_is_left_alone(tmp_path: Path) -> None:
    """It is somebody's."""
    path = tmp_path / "wehr.sock"
    path.write_text("precious")

    with pytest.raises(FileExistsError, match="not a socket"):
        bind_unix(path, 0o660, None)
    assert path.read_text() == "precious"


def test_an_unknown_group_is_an_error_and_leaves_no_socket(tmp_path: Path) -> None:
    """Better no door than one that the mail system cannot open."""
    path = tmp_path / "wehr.sock"

    with pytest.raises(LookupError):
        bind_unix(path, 0o660, "no-such-group")
    assert not path.exists()
