"""``wehr --help``, and what all commands have in common."""

import subprocess
import sys

from click.testing import CliRunner

from wehr.cli import main


def test_the_list_of_commands_loads_none_of_them() -> None:
    """It is there at once: nothing of what the commands need is imported for it."""
    code = (
        "import sys; sys.argv = ['wehr', '--help']\n"
        "try:\n  from wehr.cli import main; main()\n"
        "finally:\n  print([name for name in ('sqlalchemy', 'wehr.catalogue') if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout

    assert "List the out-of-date servers." in shown
    assert shown.splitlines()[-1] == "[]"


def test_a_command_that_is_not_there_ends_with_two() -> None:
    """No traceback."""
    result = CliRunner().invoke(main, ["nothing"])

    assert result.exit_code == 2
    assert "No such command 'nothing'" in result.stderr


def test_a_full_disk_is_one_line() -> None:
    """As is whatever else keeps a command from writing what it found."""
    with open("/dev/full", "w") as full:  # noqa: PTH123
        result = subprocess.run(
            [sys.executable, "-m", "wehr", "catalogue", "list"],
            check=False,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )

    assert result.returncode == 2
    assert result.stderr == "wehr: [Errno 28] No space left on device\n"
