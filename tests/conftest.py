"""Fixtures that every room's tests share."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import postgres as servers
import pytest
import structlog
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent

# These machines are noisy, so no example is judged by the time it took.
settings.register_profile(
    "wehr",
    deadline=None,
    # CI is not to fail on what one run in a thousand finds; other runs look elsewhere each time.
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow],
)
# For a mutation run, in which every test is run very often: fewer examples, always the same.
settings.register_profile("mutants", parent=settings.get_profile("wehr"), max_examples=25, derandomize=True)
settings.load_profile(os.environ.get("WEHR_HYPOTHESIS", "wehr"))


@pytest.fixture(autouse=True)
def plain_logs() -> Iterator[None]:
    """What a test sets of the log, its level above all, ends with the test."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def reference() -> Path:
    """The folder of reference data (real headers, builds); tests that want it are skipped without it."""
    folder = Path(os.environ.get("WEHR_REFERENCE", ROOT.parent / "shared" / "reference"))
    if not folder.is_dir():
        pytest.skip(f"no reference data at {folder}")
    return folder


@pytest.fixture(scope="session")
def postgres() -> Iterator[servers.Cluster]:
    """A real PostgreSQL; tests that want it are skipped where none is installed."""
    with servers.running() as cluster:
        yield cluster


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A new folder that other users can reach: pytest's own are closed to a mail system's daemons."""
    folder = Path(tempfile.mkdtemp(prefix="wehr-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
