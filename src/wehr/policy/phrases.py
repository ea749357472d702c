"""Texts for people that are made where something is decided, and can be said in other languages."""

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Final, Self

Value = str | int | date
"""What stands in a text: a name as it is, a `Phrase`, a number, a day, or a moment (UTC)."""
_NONE: Final[Mapping[str, Value]] = {}


class Phrase(str):
    """An English text that knows what it was made of.

    To whoever does not ask it is the text, and nothing else. Who speaks another language translates ``text``,
    says each of ``values`` in it, and puts them in their places.

    Args:
        text: English, with places such as ``%(since)s`` if there are values.
        values: what stands in the places.
    """

    __slots__ = ("text", "values")

    text: str
    values: Mapping[str, Value]

    def __new__(cls, text: str, values: Mapping[str, Value] = _NONE) -> Self:
        """The text with the values in their places."""
        said = {name: _plain(value) for name, value in values.items()}
        found = super().__new__(cls, text % said if said else text)
        found.text, found.values = text, values
        return found


def joined(separator: str, parts: Iterable[Value], end: str = "") -> Phrase:
    """Parts in a row; neither ``separator`` nor ``end`` has words that would be translated."""
    values = {str(number): part for number, part in enumerate(parts)}
    return Phrase(separator.join(f"%({name})s" for name in values) + end, values)


def encoded(value: object) -> str:
    """A phrase as JSON has it: for msgspec (``enc_hook``), which takes no kind of text but ``str`` itself."""
    if isinstance(value, Phrase):
        return str(value)
    raise NotImplementedError


def _plain(value: Value) -> str:
    return f"{value:%Y-%m-%d %H:%M} UTC" if isinstance(value, datetime) else str(value)
