"""The courier: takes what is due from the outbox to where it goes, and notes how that ended."""

import secrets
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final

from msgspec import Struct

from wehr.ledger.outbox import Item, Kind, Outbox, State
from wehr.notices import submission, webhook
from wehr.notices.settings import Notices, Webhook
from wehr.notices.submission import Ending

LEASE: Final = 900.0
"""Seconds for which a claim holds: longer than the longest wait for an answer."""
_FIRST_WAIT: Final = 60.0
_LONGEST_WAIT: Final = 4 * 3600.0
_WEBHOOK_DAYS: Final = 7
_DAY: Final = 86_400.0
_STATES: Final = {
    Ending.LATER: State.WAITING,
    Ending.NEVER: State.REFUSED,
    Ending.DOUBTFUL: State.DOUBTFUL,
    Ending.PASSED: State.WAITING,
}


class Errand(Struct, frozen=True):
    """How one row ended. ``said`` is the other side's word."""

    item: Item
    state: State
    said: str


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
    ) -> None:
        self._outbox = outbox
        self._settings = settings
        self._folder = folder
        self._node = node
        self._clock = clock
        self._lease = lease
        self._context = context

    async def deliver_next(self) -> Errand | None:
        """Deliver the next row that is due; None if there is none.

        Raises:
            LedgerError: the store cannot be used; nothing is lost.
        """
        holder = f"{self._node} {secrets.token_hex(8)}"
        item = self._outbox.claim(holder, self._clock(), lease=self._lease, most=self._settings.per_hour)
        if item is None:
            return None
        if item.kind is Kind.WEBHOOK:
            state, said = self._post(item)
        else:
            state, said = await self._send(item)
        now = self._clock()
        self._outbox.finish(item, state, now, said=said, due=now + wait(item.attempts))
        return Errand(item, state, said)

    async def _send(self, item: Item) -> tuple[State, str]:
        settings = self._settings
        stopped = self._outbox.stopped_contacts() if item.kind is Kind.NOTICE else {}
        recipients = [address for address in item.recipients if address.lower() not in stopped]
        if not recipients:
            return State.REFUSED, "mail to all its recipients has come back before"
        try:
            taken = await submission.submit(
                settings.submission,
                self._password(),
                sender=settings.bounces,
                recipients=recipients,
                message=item.body,
                committed=lambda: self._outbox.hand_over(item, self._clock()),
                context=self._context,
            )
            refused, state, said = taken.refused, State.SENT, taken.answer
        except submission.NotTaken as error:
            refused, state, said = error.refused, _STATES[error.ending], str(error)
        except OSError as error:
            return State.WAITING, f"{settings.submission.password_file}: {error.strerror}"
        if item.kind is not Kind.NOTICE:
            # One's own administrators are better told twice than not at all.
            return (State.WAITING if state is State.DOUBTFUL else state), said
        for address, why in refused.items():
            self._outbox.stop_contact(address, self._clock(), why)
        return state, said

    def _password(self) -> str:
        file = self._settings.submission.password_file
        return (self._folder / file).read_text("utf-8").strip() if file else ""

    def _post(self, item: Item) -> tuple[State, str]:
        now = self._clock()
        target = next((it for it in self._settings.webhooks if it.url == item.organisation), None)
        if target is None:
            return State.WITHDRAWN, "no longer configured"
        try:
            return State.SENT, webhook.post(target, self._secret(target), item.body, now, self._context)
        except (webhook.Undelivered, OSError, ValueError) as error:
            # After a week there is nobody there any more.
            over = now - item.created > _WEBHOOK_DAYS * _DAY
            return State.REFUSED if over else State.WAITING, str(error)[:300]

    def _secret(self, target: Webhook) -> bytes:
        return webhook.read_secret((self._folder / target.secret_file).read_text("utf-8"))


def wait(attempts: int) -> float:
    """Seconds until the next attempt: a minute, then twice as long each time, up to four hours."""
    return min(_LONGEST_WAIT, _FIRST_WAIT * 2.0 ** min(20, max(0, attempts - 1)))
