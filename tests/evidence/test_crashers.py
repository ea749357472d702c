"""Inputs that once broke something, or look as if they might: one file each, kept for good."""

from pathlib import Path

import pytest

from wehr.evidence import Session, handover, inspect, parse_hop, sighting, split_headers

CRASHERS = sorted(path for path in (Path(__file__).parent / "crashers").iterdir() if path.is_file())


@pytest.mark.parametrize("path", CRASHERS, ids=lambda path: path.name)
def test_no_crasher_crashes(path: Path) -> None:
    """Each input goes through every public function of the room without an exception."""
    data = path.read_bytes()
    parse_hop(data)
    trace = [data, *split_headers(data)]
    session = Session(client_ip="192.0.2.1", client_name="a.example.org", helo="[192.0.2.1]")
    inspect(trace)
    sighting(handover(trace, session), session, 0.0)
