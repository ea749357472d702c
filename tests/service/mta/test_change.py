"""A change of configuration: shown, made with a backup, or put back as if nothing had been."""

import os
from pathlib import Path

import pytest

from wehr.service.mta import CannotChange, Change, Plan, apply, diff
from wehr.service.mta.programs import Ran, run, where

NOW = 1_791_000_000.0
STAMP = "20261003T040000Z"
GOOD = Ran(0, "", "")
BAD = Ran(1, "", "line 3: what is this?\n")


def _plan(*changes: Change, checked: Ran = GOOD) -> Plan:
    return Plan(changes, lambda: checked, ("true",))


def test_a_file_is_replaced_with_its_mode_and_a_backup(tmp_path: Path) -> None:
    """Bytes that are no UTF-8 stay what they are."""
    file = tmp_path / "main.cf"
    file.write_bytes(b"a = \xff\r\n")
    file.chmod(0o640)
    before = file.read_bytes().decode("utf-8", "surrogateescape")

    (written,) = apply(_plan(Change(file, before, before + "b = 1\n")), NOW)

    assert file.read_bytes() == b"a = \xff\r\nb = 1\n"
    assert file.stat().st_mode & 0o777 == 0o640
    assert written.backup == tmp_path / f"main.cf.wehr-{STAMP}"
    assert written.backup.read_bytes() == b"a = \xff\r\n"
    assert written.backup.stat().st_mode & 0o777 == 0o640
    assert sorted(it.name for it in tmp_path.iterdir()) == ["main.cf", f"main.cf.wehr-{STAMP}"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_the_owner_stays(tmp_path: Path) -> None:
    """Of the file, and of its backup."""
    file = tmp_path / "main.cf"
    file.write_text("a")
    os.chown(file, 1234, 4321)
    (written,) = apply(_plan(Change(file, "a", "b")), NOW)
    assert written.backup
    assert {(it.stat().st_uid, it.stat().st_gid) for it in (file, written.backup)} == {(1234, 4321)}


def test_a_link_goes_on_pointing(tmp_path: Path) -> None:
    """What it points to is replaced."""
    (tmp_path / "real").mkdir()
    target = tmp_path / "real" / "main.cf"
    target.write_text("a")
    link = tmp_path / "main.cf"
    link.symlink_to(target)

    apply(_plan(Change(link, "a", "b")), NOW)

    assert link.is_symlink()
    assert target.read_text() == "b"


def test_a_second_change_in_the_same_second_has_its_own_backup(tmp_path: Path) -> None:
    """No backup is ever overwritten."""
    file = tmp_path / "main.cf"
    file.write_text("a")
    (first,) = apply(_plan(Change(file, "a", "b")), NOW)
    (second,) = apply(_plan(Change(file, "b", "c")), NOW)
    assert first.backup
    assert second.backup
    assert (first.backup.read_text(), second.backup.read_text()) == ("a", "b")


def test_a_link_in_the_place_of_the_backup_is_not_followed(tmp_path: Path) -> None:
    """Who may write into the folder could have root write anywhere."""
    file, victim = tmp_path / "main.cf", tmp_path / "victim"
    file.write_text("a")
    (tmp_path / f"main.cf.wehr-{STAMP}").symlink_to(victim)
    (written,) = apply(_plan(Change(file, "a", "b")), NOW)
    assert not victim.exists()
    assert written.backup == tmp_path / f"main.cf.wehr-{STAMP}-2"
    assert written.backup.read_text() == "a"


def test_the_backup_is_the_very_file(tmp_path: Path) -> None:
    """Not a copy, that others could read before it has the mode, and that lacks what no copy keeps."""
    file = tmp_path / "main.cf"
    file.write_text("a")
    before = file.stat()
    (written,) = apply(_plan(Change(file, "a", "b")), NOW)
    assert written.backup
    assert os.path.samestat(written.backup.stat(), before)


def test_a_change_that_cannot_be_written_leaves_no_backup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk: everything is as it was."""
    file = tmp_path / "main.cf"
    file.write_text("a")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device", str(file))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CannotChange, match="No space left on device; nothing is changed"):
        apply(_plan(Change(file, "a", "b")), NOW)
    assert [it.name for it in tmp_path.iterdir()] == ["main.cf"]


def test_what_the_mail_system_does_not_take_is_put_back(tmp_path: Path) -> None:
    """Changed files, new files, backups, modes and times: as before. The checker's words are handed on."""
    file, new = tmp_path / "main.cf", tmp_path / "new"
    file.write_text("a")
    os.utime(file, (1, 1))
    inode = file.stat()

    with pytest.raises(CannotChange, match="nothing is changed: line 3: what is this\\?"):
        apply(_plan(Change(file, "a", "b"), Change(new, None, "x"), checked=BAD), NOW)

    assert [it.name for it in tmp_path.iterdir()] == ["main.cf"]
    assert file.read_text() == "a"
    assert file.stat().st_mtime == inode.st_mtime
    assert file.stat().st_mode == inode.st_mode


@pytest.mark.parametrize("second", [Change(Path("/nonexistent/file"), None, "x"), None])
def test_a_failure_half_way_puts_the_first_back(tmp_path: Path, second: Change | None) -> None:
    """A folder that is not there; a file that somebody changed meanwhile."""
    file, other = tmp_path / "main.cf", tmp_path / "master.cf"
    file.write_text("a")
    other.write_text("somebody's")

    with pytest.raises(CannotChange):
        apply(_plan(Change(file, "a", "b"), second or Change(other, "mine", "x")), NOW)

    assert sorted(it.name for it in tmp_path.iterdir()) == ["main.cf", "master.cf"]
    assert (file.read_text(), other.read_text()) == ("a", "somebody's")


def test_a_file_that_appeared_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    """It is somebody's."""
    file = tmp_path / "new"
    file.write_text("somebody's")
    with pytest.raises(CannotChange, match="exists meanwhile"):
        apply(_plan(Change(file, None, "x")), NOW)
    assert file.read_text() == "somebody's"


def test_a_change_is_shown_as_patch_reads_it() -> None:
    """A new file comes from nowhere; a last line without an end is told apart."""
    assert diff(Change(Path("/etc/x"), "a\nb", "a\nc\n")) == (
        "--- /etc/x\n+++ /etc/x\n@@ -1,2 +1,2 @@\n a\n-b\n\\ No newline at end of file\n+c\n"
    )
    assert diff(Change(Path("/etc/x"), None, "a\n")).startswith("--- /dev/null\n+++ /etc/x\n")


def test_a_program_that_is_not_there_is_no_error() -> None:
    """It ends with 127 and a word."""
    assert run(["/nonexistent/program"]).code == 127
    assert run(["sh", "-c", "echo out; echo err >&2; exit 3"]) == Ran(3, "out\n", "err\n")
    assert where("no-such-program", "sh")
    assert where("no-such-program") is None
