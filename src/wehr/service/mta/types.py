"""What is found out about a mail system, in one line each."""

from enum import StrEnum

from msgspec import Struct


class NotThere(Exception):
    """The mail system, or its configuration, is not on this machine; one line that says what was missed."""


class Unreadable(NotThere):
    """It is there, but cannot read its own configuration: it takes no mail, now or from its next start on."""


class Level(StrEnum):
    """What a finding asks for: nothing, nothing, a look, or a remedy."""

    OK = "ok"
    INFO = "info"
    ODD = "odd"
    """Works, but is not as it should be."""
    WRONG = "wrong"


class Finding(Struct, frozen=True):
    """One thing that was found out."""

    level: Level
    about: str
    """What it is about: ``Wehr``, ``milter``, ``Postfix (/etc/postfix)``."""
    text: str
    remedy: str = ""
    """The line that mends it, as it is to be typed or written, and where."""
