"""That the catalogue is old: a service that serves says so, and one that cannot start has other worries."""

import asyncio
import socket
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pytest
from running import configuration, receiver
from structlog.testing import capture_logs

from wehr.catalogue import load
from wehr.service.clock import SetClock
from wehr.service.service import Service
from wehr.service.state_folder import StartError, StateFolder

DATE = datetime.combine(load().date, time(9), UTC)
AFTER = configuration(1, "report").catalogue.stale_after


@pytest.mark.parametrize(("days", "times"), [(AFTER, 0), (AFTER + 1, 2)])
def test_it_is_said_at_the_start_and_at_each_reload(tmp_path: Path, days: int, times: int) -> None:
    """From the day after those that are configured."""
    with (
        capture_logs() as lines,
        receiver(tmp_path, (DATE + timedelta(days)).timestamp(), "report") as wehr,
    ):
        wehr.reload(configuration(wehr.port, "simulate"))

    warned = [line["date"] for line in lines if line["log_level"] == "warning"]
    assert warned == [str(load().date)] * times


def test_a_start_that_fails_has_one_thing_to_say(tmp_path: Path) -> None:
    """Why it does."""

    async def start(port: int) -> None:
        with StateFolder(tmp_path) as folder:
            clock = SetClock((DATE + timedelta(AFTER + 1)).timestamp())
            await Service(configuration(port, "report"), folder, clock).start()

    with (
        capture_logs() as lines,
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(StartError, match="taken by another program"),
    ):
        asyncio.run(start(taken.getsockname()[1]))

    assert lines == []
