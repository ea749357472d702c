"""A user who is only a number, as containers have them: no name, no home."""

import os
import pwd
from pathlib import Path

import pytest
from click.testing import CliRunner

from wehr.cli import main
from wehr.ledger import open_store


@pytest.fixture(autouse=True)
def _nameless(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in ("HOME", "LOGNAME", "USER", "LNAME", "USERNAME", "SUDO_USER"):
        monkeypatch.delenv(name, raising=False)
    for name in ("STATE_DIRECTORY", "XDG_STATE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)


def test_what_is_kept_at_home_must_be_named() -> None:
    """One line says with what."""
    said = "wehr: who runs this has no home; name the state folder with --state\n"
    done = CliRunner().invoke(main, ["pause", "list"])

    assert (done.exit_code, done.stderr) == (2, said)


def test_a_deed_is_the_numbers(tmp_path: Path) -> None:
    """In the audit it stands under the number."""
    open_store(f"sqlite:///{tmp_path}/wehr.sqlite").close()

    pause = ("pause", "add", "--state", str(tmp_path), "--days", "1", "--why", "move")
    done = CliRunner().invoke(main, pause)

    assert done.exit_code == 0, done.output
    with open_store(f"sqlite:///{tmp_path}/wehr.sqlite") as store:
        assert [it.by for it in store.pauses()] == [f"uid {os.getuid()}"]
