"""The courier: takes what is due from the outbox to where it goes, and notes how that ended."""

import secrets
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final

from msgspec import Struct

from wehr.ledger.outbox import POSTED, Item, Kind, Outbox, State
from wehr.notices import chat, submission, webhook
from wehr.notices.settings import Notices
from wehr.notices.submission import Ending
from wehr.notices.types import Undelivered

LEASE: Final = 900.0
"""Seconds for which a claim holds: longer than the longest wait for an answer."""
_FIRST_WAIT: Final = 60.0
_LONGEST_WAIT: Final = 4 * 3600.0
_POSTED_DAYS: Final = 7
_DAY: Final = 86_400.0
_STATES: Final = {
    Ending.LATER: State.WAITING,
    Ending.NEVER: State.REFUSED,
    Ending.DOUBTFUL: State.DOUBTFUL,
    Ending.PASSED: State.WAITING,
}


class Errand(Struct, frozen=True):
    """How one row ended. ``said`` is the other side's word, ``refused`` are recipients that do not exist."""

    item: Item
    state: State
    said: str
    refused: dict[str, str] = {}
    passed: bool = False
    """Nothing was tried."""


class Courier:
    """Delivers for one node. Its methods wait for the network: they run in a thread or loop of their own.

    Args:
        outbox: where from.
        settings: where to.
        folder: what relative paths are inside of.
        node: its name.
        clock: UTC seconds since 1970.
        lease: seconds for which a claim holds.
        context: what to trust in TLS; the system's certificates without it.
        unnoted: errands whose ends are not in the store yet, to be kept by the caller.
    """

    def __init__(
        self,
        outbox: Outbox,
        settings: Notices,
        folder: Path,
        *,
        node: str,
        clock: Callable[[], float],
        lease: float = LEASE,
        context: ssl.SSLContext | None = None,
        unnoted: list[Errand] | None = None,
    ) -> None:
        self._outbox = outbox
        self._settings = settings
        self._folder = folder
        self._node = node
        self._clock = clock
        self._lease = lease
        self._context = context
        self._unnoted = [] if unnoted is None else unnoted

    async def deliver_next(self) -> Errand | None:
        """Deliver the next row that is due; None if there is none.

        Raises:
            LedgerError: the store cannot be used; nothing is lost.
        """
        self._note_all()
        holder = f"{self._node} {secrets.token_hex(8)}"
        item = self._outbox.claim(holder, self._clock(), lease=self._lease, most=self._settings.per_hour)
        if item is None:
            return None
        return self._note(self._posted(item)) if item.kind in POSTED else await self._send(item)

    async def _send(self, item: Item) -> Errand:
        settings = self._settings
        stopped = self._outbox.stopped_contacts() if item.kind is Kind.NOTICE else {}
        recipients = [address for address in item.recipients if address.lower() not in stopped]
        if not recipients:
            return self._note(Errand(item, State.REFUSED, "mail to all its recipients has come back before"))
        ended: list[Errand] = []

        def noted(taken: submission.Taken) -> None:
            ended.append(self._note(Errand(item, State.SENT, taken.answer, taken.refused)))

        try:
            await submission.submit(
                settings.submission,
                self._password(),
                sender=settings.bounces,
                recipients=recipients,
                message=item.body,
                committed=lambda: self._outbox.hand_over(item, self._clock()),
                noted=noted,
                context=self._context,
            )
        except submission.NotTaken as error:
            state = _STATES[error.ending]
            if state is State.DOUBTFUL and item.kind is not Kind.NOTICE:
                state = State.WAITING  # one's own administrators are better told twice than not at all
            passed = error.ending is Ending.PASSED
            return self._note(Errand(item, state, str(error), error.refused, passed))
        except OSError as error:
            why = f"{settings.submission.password_file}: {error.strerror}"
            return self._note(Errand(item, State.WAITING, why))
        return ended[0]

    def _note(self, errand: Errand) -> Errand:
        self._unnoted.append(errand)
        self._note_all()
        return errand

    def _note_all(self) -> None:
        """Note how errands ended; what a store that is away could not take is kept for the next time."""
        while self._unnoted:
            errand, now = self._unnoted[0], self._clock()
            item = errand.item
            # What was only passed on, or stopped, has not failed.
            due = now if errand.passed else now + wait(item.attempts)
            self._outbox.finish(item, errand.state, now, said=errand.said, due=due)
            if item.kind in POSTED and errand.state is State.WAITING:
                self._outbox.postpone(item.kind, item.organisation, now, due)
            for address, why in errand.refused.items() if item.kind is Kind.NOTICE else ():
                self._outbox.stop_contact(address, now, why)
            self._unnoted.pop(0)

    def _password(self) -> str:
        file = self._settings.submission.password_file
        return (self._folder / file).read_text("utf-8").strip() if file else ""

    def _posted(self, item: Item) -> Errand:
        now = self._clock()
        try:
            said = self._chatted(item) if item.kind is Kind.CHAT else self._hooked(item, now)
        except (Undelivered, OSError, ValueError) as error:
            # After a week there is nobody there any more.
            over = now - item.created > _POSTED_DAYS * _DAY
            return Errand(item, State.REFUSED if over else State.WAITING, str(error)[:300])
        return (
            Errand(item, State.SENT, said) if said else Errand(item, State.WITHDRAWN, "no longer configured")
        )

    def _hooked(self, item: Item, now: float) -> str:
        target = next((it for it in self._settings.webhooks if it.url == item.organisation), None)
        if target is None:
            return ""
        secret = webhook.read_secret((self._folder / target.secret_file).read_text("utf-8"))
        return webhook.post(target, secret, item.body, now, self._context)

    def _chatted(self, item: Item) -> str:
        if all(it.url_file != item.organisation for it in self._settings.chats):
            return ""
        return chat.say(chat.read_url(self._folder / item.organisation), item.body)


def wait(attempts: int) -> float:
    """Seconds until the next attempt: a minute, then twice as long each time, up to four hours."""
    return min(_LONGEST_WAIT, _FIRST_WAIT * 2.0 ** min(20, max(0, attempts - 1)))
