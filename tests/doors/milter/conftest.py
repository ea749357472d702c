"""What the tests of the milter door share."""

import pytest
from recording_gate import RecordingGate


@pytest.fixture
def gate() -> RecordingGate:
    """A gate that accepts, unless told otherwise."""
    return RecordingGate()
