"""A real PostgreSQL of the tests' own: a throw-away cluster on a loopback port, without fsync."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from ports import free_port

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "60",
    "shared_buffers": "64MB",
}


@dataclass(frozen=True)
class Cluster:
    """A running server; ``bin`` holds its programs."""

    bin: Path
    folder: Path
    port: int

    def url(self, database: str) -> str:
        """The URL of one of its databases."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def run(self, statement: str, database: str = "postgres") -> None:
        """Run one statement."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            connection.execute(statement.encode())

    def create(self, database: str) -> str:
        """Make a database; gives its URL."""
        self.run(f'CREATE DATABASE "{database}"')
        return self.url(database)

    def drop(self, database: str) -> None:
        """Remove a database, whoever uses it."""
        self.run(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = " ".join(f"-c {key}={value}" for key, value in _SETTINGS.items())
        options += f" -c port={self.port} -c unix_socket_directories={self.folder}"
        self._control("start", "-w", "-l", str(self.folder / "log"), "-o", options)

    def stop(self) -> None:
        """Stop it, whoever uses it."""
        self._control("stop", "-m", "immediate")

    def backends(self, application: str = "wehr") -> list[int]:
        """The server's processes that serve an application; none while it recovers from a crash."""
        query = "SELECT pid FROM pg_stat_activity WHERE application_name = %s"
        try:
            with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
                return [row[0] for row in connection.execute(query, (application,))]
        except psycopg.OperationalError:
            return []

    def _control(self, *arguments: str) -> None:
        command = [str(self.bin / "pg_ctl"), "-D", str(self.folder / "data"), *arguments]
        subprocess.run(_as_postgres(command), check=True, stdout=subprocess.DEVNULL, timeout=60, cwd="/")


def find() -> Path | None:
    """The folder of the newest server's programs here, or of those that $WEHR_TEST_POSTGRES names."""
    if named := os.environ.get("WEHR_TEST_POSTGRES"):
        return Path(named)
    found = [
        *Path("/usr/lib/postgresql").glob("*/bin/initdb"),
        *(Path(name) for name in (shutil.which("initdb"),) if name),
    ]
    newest = max(found, key=lambda path: int(path.parts[-3]) if path.parts[-3].isdigit() else 0, default=None)
    return None if newest is None else newest.parent


def _as_postgres(command: list[str]) -> list[str]:
    """The server refuses to run as root."""
    user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if _ROOT else []
    return [*user, *command]


_ROOT = os.geteuid() == 0


@contextlib.contextmanager
def running() -> Iterator[Cluster]:
    """Start a cluster and remove it at the end; the test is skipped where there is no server."""
    programs = find()
    if programs is None:
        pytest.skip("PostgreSQL is not installed")
    with tempfile.TemporaryDirectory(prefix="wehr-pg-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        if _ROOT:
            shutil.chown(folder, "postgres")
        data = str(folder / "data")
        make = [str(programs / "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8"]
        make += ["--locale=C", "--no-sync"]
        subprocess.run(_as_postgres(make), check=True, stdout=subprocess.DEVNULL, timeout=120, cwd="/")
        cluster = Cluster(programs, folder, free_port())
        cluster.start()
        try:
            yield cluster
        finally:
            cluster.stop()
