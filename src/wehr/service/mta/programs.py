"""Other people's programs, run without a shell, with an end to waiting for them."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct

_PATIENCE: Final = 30.0
_SBIN: Final = "/usr/sbin:/usr/local/sbin:/sbin:/usr/lib:/usr/libexec/sendmail"


class Ran(Struct, frozen=True):
    """How a program ended; 127 and a word if it could not be run, 124 if it did not end in time."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """What it complained of, in one line."""
        return " / ".join(line.strip() for line in (self.err + self.out).splitlines() if line.strip())[:500]


def where(*names: str) -> str | None:
    """The full path of the first of these programs that is here; administrators' folders count."""
    path = f"{os.environ.get('PATH', os.defpath)}:{_SBIN}"
    return next((found for name in names if (found := shutil.which(name, path=path))), None)


def run(argv: Sequence[str], folder: Path | None = None) -> Ran:
    """Run a program to its end, with nothing on its standard input."""
    try:
        done = subprocess.run(  # noqa: S603 - a program of a mail system, no shell
            argv,
            check=False,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=_PATIENCE,
            cwd=folder,
            encoding="utf-8",
            errors="surrogateescape",
            env={**os.environ, "LC_ALL": "C"},
        )
    except OSError as error:
        return Ran(127, "", f"{argv[0]}: {error.strerror}")
    except subprocess.TimeoutExpired:
        return Ran(124, "", f"{argv[0]}: no end after {_PATIENCE:g} s")
    return Ran(done.returncode, done.stdout, done.stderr)
