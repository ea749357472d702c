"""Writing to the administrators of a server, as the pages see it: who does it is above this room."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Protocol

from msgspec import Struct

from wehr.ledger import ServerRow, Store
from wehr.ledger.listing import Line
from wehr.ledger.report import Basis
from wehr.policy.phrases import Phrase, Value
from wehr.web.languages import N_


class LetterText(Struct, frozen=True):
    """What is written, in one language."""

    language: str
    subject: str
    text: str


class Letter(Struct, frozen=True):
    """A notice that is due now."""

    reason: str
    """One of `REASONS`."""
    organisation: str
    """Whose servers it is about."""
    to: tuple[str, ...]
    servers: tuple[str, ...]
    """Their names."""
    texts: tuple[LetterText, ...]


class CannotWrite(ValueError):
    """Nobody can be written to; ``bar`` is one of `BARS`, ``values`` are what its text has places for."""

    def __init__(self, bar: str, values: Mapping[str, Value] | None = None) -> None:
        self.phrase = Phrase(BARS[bar], values or {})
        super().__init__(self.phrase)


class Letters(Protocol):
    """Called in threads, for it reads files and waits for the store."""

    def fellows(self, row: ServerRow, lines: Iterable[Line]) -> list[str]:
        """The references of the servers that one message would be about: this one's, and its organisation's.

        Raises:
            CannotWrite: nobody is to be written to about any.
        """
        ...

    def look(self, store: Store, rows: Sequence[ServerRow], basis: Basis, ref: str) -> Letter:
        """What would be written about a server now, given all servers of its organisation.

        Raises:
            CannotWrite: nothing can be.
        """
        ...

    def write(
        self, store: Store, rows: Sequence[ServerRow], basis: Basis, ref: str, *, why: str, by: str
    ) -> Letter:
        """Put it into the outbox, from where it is sent; never the same twice.

        Raises:
            CannotWrite: nothing can be.
        """
        ...


REASONS: Final[Mapping[str, str]] = {
    "detected": N_("It tells that a server is out of date."),
    "week-before": N_("It tells that mail will be delayed within a week."),
    "throttled": N_("It tells that mail is delayed."),
    "blocked": N_("It tells that some of the mail is refused."),
    "shut-out": N_("It tells that all of the mail is refused."),
    "floor": N_("It tells of the day from which a build is not accepted any more."),
    "exploited": N_("It tells of holes that are known to be exploited."),
    "cured": N_("It tells that the servers are up to date again."),
}
"""What a notice tells, by its reason."""

BARS: Final[Mapping[str, str]] = {
    "off": N_("Notices are not set up: the configuration names nobody who sends them, or no tenant."),
    "tenant": N_("The configuration does not let the administrators of this tenant's servers be written to."),
    "doubt": N_("Nobody is told what may not be true: %(why)s."),
    "template": N_("A template of the notices is wrong: %(why)s"),
    "stopped": N_("Notices have been stopped since %(at)s by %(by)s: %(why)s"),
    "unseen": N_("It shows no build, stands behind a relay, or has not been seen lately."),
    "unconfirmed": N_(
        "Nothing that the mail system has verified bears out its name: whoever forges a name must not have "
        "others written to."
    ),
    "alone": N_("It is exempt, or shows an old and a new build: such servers are not written about."),
    "nothing": N_("There is nothing to tell its administrators."),
    "written": N_("They were written to on %(at)s already (%(to)s), and nothing has changed since."),
    "waiting": N_("A message to them waits to be sent already (%(to)s)."),
    "unsettled": N_(
        "A message to them (%(to)s) was not taken, or nobody knows whether it was: see number %(id)s of the "
        "command wehr notices list."
    ),
    "nobody": N_("No address of its administrators is known: name one in notices.contacts."),
    "opted-out": N_("The configuration says that its administrators are not to be written to."),
    "returned": N_("Mail to all of its addresses has come back, so they are not written to any more."),
}
"""Why nobody is written to. A closed set."""
