"""The log: one event a line, coloured on a terminal, JSON elsewhere, on standard error."""

import logging
import sys
from collections.abc import Callable

import msgspec
import structlog

from wehr.service.clock import Clock
from wehr.service.config import Log


def configure(settings: Log) -> None:
    """Set the log up for this process."""
    pretty = settings.format == "console" or (settings.format == "auto" and sys.stderr.isatty())
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if pretty else structlog.processors.JSONRenderer(serializer=_encode)
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(settings.level.upper())),
        # A line is one write, its end included: workers share a standard error, and print() makes it two.
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
    )


def _encode(event: object, **_: object) -> str:
    return msgspec.json.encode(event, enc_hook=str).decode()


class RateLimited:
    """Lets an event of a kind through at most once a minute, and says how many were held back.

    A peer that sends rubbish, or a store that is away, must not fill the log.
    """

    def __init__(self, clock: Clock, log: Callable[..., object], interval: float = 60.0) -> None:
        self._clock = clock
        self._log = log
        self._interval = interval
        self._kinds: dict[str, tuple[float, int]] = {}

    def __call__(self, event: str, **facts: object) -> None:
        """Log the event, or count it. Events are a closed set of our own texts, so the table stays small."""
        now = self._clock()
        last, held = self._kinds.get(event, (float("-inf"), 0))
        # A clock that was set back must not silence the log.
        if 0 <= now - last < self._interval:
            self._kinds[event] = (last, held + 1)
            return
        self._kinds[event] = (now, 0)
        if held:
            facts["held_back"] = held
        self._log(event, **facts)
