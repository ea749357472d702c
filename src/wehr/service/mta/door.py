"""The door that a mail system is to ask, and what is said while it is closed."""

from collections.abc import Sequence
from typing import Final

from wehr.service.mta.change import CannotChange
from wehr.service.mta.places import Place, preferred
from wehr.service.mta.types import Finding, Level

_OPEN: Final = {
    "milter": '[milter] listen = ["127.0.0.1:8893"]',
    "line": '[line] listen = ["127.0.0.1:8898"], then restart Wehr',
}


def place_of(door: str, doors: Sequence[Place]) -> Place:
    """Which of its places a mail system is to be given.

    Raises:
        CannotChange: there is none; the text says how to open it.
    """
    here = preferred(doors)
    if here is None:
        raise CannotChange(f"the {door} door is closed; in wehr.toml: {_OPEN[door]}")
    return here


def closed(door: str, about: str, *, asked: bool) -> Finding:
    """What is found where it has no place; ``asked``: the mail system asks all the same."""
    said = "asks Wehr, but" if asked else "is not wired to Wehr, and"
    level = Level.WRONG if asked else Level.INFO
    return Finding(level, about, f"{said} the {door} door is closed", f"wehr.toml: {_OPEN[door]}")
