"""The log: one line for each message that is refused, or would be."""

from datetime import UTC, datetime
from pathlib import Path

import messages
import pytest
from running import receiver
from structlog.testing import capture_logs

from wehr.doors.milter import MilterClient
from wehr.evidence import Session
from wehr.service.config import Log
from wehr.service.logs import configure

START = datetime(2026, 10, 12, 9, 0, tzinfo=UTC).timestamp()
CLIENT = Session(client_ip="203.0.113.10", helo="ex01.example.com", recipients=("example.org",))
HEADERS = [("Received", " " + messages.exchange("15.1.2507.16").partition(": ")[2].partition("\nFrom")[0])]


@pytest.mark.parametrize(
    ("mode", "event"), [("enforce", "message refused"), ("simulate", "message would be refused")]
)
def test_a_refusal_is_one_line_that_says_who_and_why(tmp_path: Path, mode: str, event: str) -> None:
    """Server, build, stage, reason, client and queue id; accepted mail is not logged."""
    configure(Log())  # other tests may have set another level
    with (
        capture_logs() as lines,
        receiver(tmp_path, START, mode=mode) as wehr,
        MilterClient(("127.0.0.1", wehr.port), CLIENT) as client,
    ):
        for day in (0, 25, 50, 75, 95):
            wehr.clock.now = START + day * 86_400
            client.deliver(HEADERS)

    last = [line for line in lines if line["event"].startswith("message")][-1]
    assert last["event"] == event
    assert (last["action"], last["reason"], last["stage"]) == ("block", "blocked", 8)
    assert (last["server"], last["client"], last["build"]) == (
        "ex01.example.com",
        "203.0.113.10",
        "15.1.2507.16",
    )
    assert last["queue_id"]


def test_report_only_is_quiet(tmp_path: Path) -> None:
    """What would be refused is in the report, not in the log."""
    configure(Log())
    with (
        capture_logs() as lines,
        receiver(tmp_path, START, mode="report") as wehr,
        MilterClient(("127.0.0.1", wehr.port), CLIENT) as client,
    ):
        for day in (0, 25, 50, 75, 95):
            wehr.clock.now = START + day * 86_400
            assert client.deliver(HEADERS) == "accept"

    assert [line for line in lines if line["event"].startswith("message")] == []
