"""The limit of open files: raised at the start, and named where it is too low for what is configured."""

import subprocess
import sys

import pytest

PROGRAM = """
import resource
from wehr.service.config import parse
from wehr.service.descriptors import allow_connections
allow_connections(parse('''{config}''', "test"))
print(resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(
    ("config", "warned"),
    [
        ("milter.max_connections = 500", False),
        ("milter.max_connections = 900", True),
        ('milter.max_connections = 500\nline.max_connections = 500\nline.socket = "line.sock"', True),
        ("milter.max_connections = 500\nline.max_connections = 5000", False),  # it is closed
    ],
)
def test_the_limit_is_raised_and_one_line_says_if_it_is_too_low(config: str, warned: bool) -> None:
    """A process that may have 1,000 files open, 100 of them at first."""
    program = PROGRAM.format(config=config)
    found = subprocess.run(
        ["sh", "-c", 'ulimit -Sn 100; ulimit -Hn 1000; exec "$@"', "sh", sys.executable, "-c", program],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout
    assert "(1000, 1000)" in found
    assert ("raise its limit of open files" in found) is warned
