"""The configuration reference is what the program knows."""

from pathlib import Path

from wehr.service.config import Config, parse
from wehr.service.config_text import render

REFERENCE = Path(__file__).resolve().parent.parent.parent / "docs" / "wehr.toml"


def test_the_page_is_the_programs_own_reference() -> None:
    """After a change of a key: ``wehr config reference > docs/wehr.toml``."""
    assert REFERENCE.read_text("utf-8") == render(Config(), comments=True)


def test_the_reference_is_a_configuration_and_holds_the_defaults() -> None:
    """It can be copied and changed."""
    assert parse(REFERENCE.read_text("utf-8"), "wehr.toml") == Config()


def test_what_is_in_force_can_be_read_back() -> None:
    """``wehr config show`` prints a configuration that means the same."""
    config = parse(
        """
        host_name = "mx.example.org"
        [policy]
        mode = "enforce"
        clock_from = 2026-12-01
        ladders = { mine = [{ days = 10, throttle = 0, block = 0 }, { throttle = 5, block = 0 }] }
        [[policy.tenants]]
        name = "one"
        domains = ["example.org"]
        """,
        "wehr.toml",
    )

    assert parse(render(config), "shown") == config
