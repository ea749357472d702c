"""The state folder: private, writable, one user at a time."""

import os
import subprocess
from pathlib import Path

import pytest

from wehr.service.state_folder import StartError, StateFolder, default_state, serving


def test_a_new_folder_can_be_passed_through_but_not_listed(tmp_path: Path) -> None:
    """Nobody else on the machine sees who sends what, but the mail system reaches the socket."""
    with StateFolder(tmp_path / "var" / "wehr") as state:
        assert state.path.stat().st_mode & 0o777 == 0o711
        assert all(file.stat().st_mode & 0o077 == 0 for file in state.path.iterdir())


def test_a_second_user_is_refused_until_the_first_has_closed(tmp_path: Path) -> None:
    """Two services on one embedded store would undo each other's work."""
    with StateFolder(tmp_path), pytest.raises(StartError, match="in use by another Wehr; stop that one"):
        StateFolder(tmp_path)
    StateFolder(tmp_path).close()


def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    """The message names the folder, the reason and the way out."""
    (tmp_path / "file").write_text("")

    with pytest.raises(StartError, match=r"cannot be written: Not a directory; mend .* or name another"):
        StateFolder(tmp_path / "file" / "state")


def test_systemd_and_xdg_name_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service gets its folder from systemd, a person has one under XDG_STATE_HOME."""
    monkeypatch.setenv("XDG_STATE_HOME", "/home/x/state")
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    assert default_state() == Path("/home/x/state/wehr")

    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/wehr:/var/lib/other")
    assert default_state() == Path("/var/lib/wehr")


@pytest.mark.parametrize("said", ["-1", "1", "0", "999999999", "", "x", "9" * 5000])
def test_what_the_lock_says_is_not_taken_for_granted(tmp_path: Path, said: str) -> None:
    """Root sends signals to who serves: not to every process (-1), nor to somebody else's."""
    with StateFolder(tmp_path):
        assert serving(tmp_path) == os.getpid()
        (tmp_path / "lock").write_text(said)
        assert serving(tmp_path) is None


def test_another_process_does_not_serve(tmp_path: Path) -> None:
    """One that has not the lock open: a number that was given to another one since, say."""
    with StateFolder(tmp_path), subprocess.Popen(["sleep", "60"]) as other:
        (tmp_path / "lock").write_text(str(other.pid))
        assert serving(tmp_path) is None
        other.kill()
