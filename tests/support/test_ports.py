"""What the tests listen on."""

from ports import free_port


def test_no_port_is_given_twice() -> None:
    """Not even while nobody listens on the first."""
    assert len({free_port() for _ in range(500)}) == 500
