"""File descriptors: as many as the doors may need."""

import resource
from typing import Final

import structlog

from wehr.service.config import Config
from wehr.service.doors import DOORS

log = structlog.get_logger()

_BESIDES: Final = 200
"""Store, journal, log, pages, and what a library opens."""


def allow_connections(config: Config) -> None:
    """Raise this process's limit as far as it may be, and say so if that is less than the doors may need."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    tables = {name: getattr(config, name) for name in DOORS}
    # The SMTP proxy has a connection to the next hop for each of a client's.
    needed = _BESIDES + sum(
        it.max_connections * (2 if name == "smtp" else 1)
        for name, it in tables.items()
        if it.listen or getattr(it, "socket", "")
    )
    if hard != resource.RLIM_INFINITY and hard < needed:
        log.warning(
            "more connections are configured than this process may have open: raise its limit of open files "
            "(LimitNOFILE= in a systemd unit), or lower max_connections",
            allowed=hard,
            needed=needed,
        )
