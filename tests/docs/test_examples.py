"""Every `console` block of the README and the docs is run, and prints what the page says it prints."""

import doctest
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"^\$ (wehr .*(?:\\\n.*)*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)


def _examples() -> list[object]:
    return [
        pytest.param(
            command.replace("\\\n", " "), expected, id=f"{page.stem}-{command.split(chr(10))[0][5:45]}"
        )
        for page in PAGES
        for block in _BLOCK.findall(page.read_text("utf-8"))
        for command, expected in _COMMAND.findall(block)
    ]


@pytest.mark.parametrize(("command", "expected"), _examples())
def test_an_example_prints_what_the_page_says(command: str, expected: str, tmp_path: Path) -> None:
    """``...`` stands for anything, and runs of blanks count as one."""
    argv = shlex.split(command)
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path), "COLUMNS": "120", "NO_COLOR": "1"}
    run = subprocess.run(
        [sys.executable, "-m", *argv],
        cwd=ROOT / "docs" / "examples" if (ROOT / "docs" / "examples").is_dir() else ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )

    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    assert run.returncode in (0, 1), run.stderr
    assert doctest.OutputChecker().check_output(expected, run.stdout, flags), run.stdout + run.stderr
