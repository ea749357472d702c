"""TCP ports for the servers of the tests: none is given twice, in whatever process the tests run."""

import contextlib
import itertools
import os
import secrets
import socket
from collections.abc import Iterator

# Below those that the system takes for outgoing connections: Linux begins at 32,768.
_FIRST, _EACH, _SHARES = 10_000, 2_750, 8


def _own() -> Iterator[int]:
    """This process's share in turn, from anywhere: another run may be under way on this machine."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = _FIRST + worker % _SHARES * _EACH
    start = secrets.randbelow(_EACH)
    return itertools.cycle([*range(first + start, first + _EACH), *range(first, first + start)])


_PORTS = _own()


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port that nobody listens on now, and that was not given before: its server may not listen yet.

    ``RuntimeError`` if none is left.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for port in itertools.islice(_PORTS, _EACH):
        with contextlib.suppress(OSError), socket.socket(family) as probe:
            probe.bind((host, port))
            return port
    raise RuntimeError("no port is free")
