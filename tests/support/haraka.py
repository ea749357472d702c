"""A real Haraka of the tests' own, with the very plugin that docs/recipes holds: it queues nothing."""

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import beside
import pytest
from ports import free_port

ROOT = Path(__file__).resolve().parent.parent.parent
RECIPE = ROOT / "docs" / "recipes" / "haraka" / "wehr.js"
FETCHED = ROOT / "build" / "npm" / "Haraka"
PROGRAM = FETCHED / "node_modules" / "Haraka" / "bin" / "haraka"

_NOWHERE = "exports.hook_queue = (next) => next(OK)\n"


@dataclass(frozen=True)
class Haraka:
    """A running instance."""

    folder: Path
    host: str
    port: int

    @property
    def log(self) -> str:
        """What it has said."""
        return (self.folder / "output").read_text(errors="replace")


@contextlib.contextmanager
def running(folder: Path, settings: str, *, host: str = "127.0.0.1") -> Iterator[Haraka]:
    """Start an instance in ``folder``; ``settings`` is the plugin's ``wehr.ini``."""
    if not (FETCHED / "complete").exists() or not shutil.which("node"):
        pytest.skip("Haraka is not fetched, or there is no node: make system")
    port = free_port(host)
    subprocess.run(["node", PROGRAM, "-i", folder], check=True, capture_output=True, timeout=60)
    config, plugins = folder / "config", folder / "plugins"
    shutil.copy(RECIPE, plugins)
    (plugins / "nowhere.js").write_text(_NOWHERE)
    for name, text in {
        "plugins": "rcpt_to.in_host_list\nwehr\nnowhere\n",
        "host_list": "example.org\n",
        "smtp.ini": f"listen={host}:{port}\n",
        "me": "mx.example.org\n",
        "wehr.ini": settings,
    }.items():
        (config / name).write_text(text)
    argv = ["node", str(PROGRAM), "-c", str(folder)]
    with beside.daemon(argv, folder, (host, port)):
        yield Haraka(folder, host, port)
