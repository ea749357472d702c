"""Fixtures that every room's tests share."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent

# These machines are noisy, so no example is judged by the time it took.
settings.register_profile("wehr", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("wehr")


@pytest.fixture(scope="session")
def reference() -> Path:
    """The folder of reference data (real headers, builds); tests that want it are skipped without it."""
    folder = Path(os.environ.get("WEHR_REFERENCE", ROOT.parent / "shared" / "reference"))
    if not folder.is_dir():
        pytest.skip(f"no reference data at {folder}")
    return folder
