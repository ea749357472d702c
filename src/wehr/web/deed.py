"""What a person is about to do: planned and said in words first, and done when that is confirmed."""

from collections.abc import Awaitable, Callable, Mapping
from hashlib import blake2b
from typing import Any, Final

from msgspec import Struct

from wehr.policy.phrases import Phrase, Value
from wehr.web.languages import N_
from wehr.web.letters import Letter
from wehr.web.visit import Visit

DONE_ALREADY: Final = N_("This has been done already.")


class Plan(Struct, frozen=True):
    """One deed, as it would be done now."""

    heading: str
    """Marked; on the button, too."""
    words: tuple[Phrase, ...]
    """What will happen."""
    do: Callable[..., Any]
    """Does it, called with an open store, and with ``why``, ``by`` and ``now`` by name.

    Raises `ValueError` for what has become impossible."""
    back: str
    """The path of the page that tells of what was done."""
    notes: tuple[Phrase, ...] = ()
    """What is good to know: it may change at any time, and the deed stays the same."""
    letter: Letter | None = None
    """What would be sent."""

    @property
    def seen(self) -> str:
        """Tells whether what is confirmed is what would be done now."""
        return blake2b("\n".join(self.words).encode("utf-8", "replace"), digest_size=12).hexdigest()


class Impossible(Exception):
    """It cannot be done, for a reason in words."""

    def __init__(self, text: str, values: Mapping[str, Value] | None = None, status: int = 400) -> None:
        self.phrase = Phrase(text, values or {})
        super().__init__(self.phrase)
        self.status = status


class Deed(Struct, frozen=True):
    """A kind of deed."""

    plan: Callable[[Visit, str], Awaitable[Plan]]
    """What would happen now, by what is asked after the question mark; ``once`` is to name what it makes.

    Raises `Impossible`, or `HTTPException` for what is not there for the visitor."""
    done: str
    """Said when it was done; marked."""
