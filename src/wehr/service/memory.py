"""What a worker knows and judges by; how that keeps in step with the store, `wehr.service.node` knows."""

import asyncio
from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import Final

from wehr.ledger import Ledger, Limits, ServerState
from wehr.policy import ServerKey
from wehr.policy.laddering import Past
from wehr.policy.pauses import Pause
from wehr.policy.scope import Exemption
from wehr.service.config import Config

_SLICE: Final = 500
"""Servers learned of between two messages."""


class Doubt(Enum):
    """What nobody may be refused for, the gravest first."""

    STORE = auto()
    """Nothing is known."""
    RULES = auto()
    """It is not known whom to spare."""
    CLOCK = auto()
    """The time is wrong."""


class Memory:
    """The ledger of one worker, and what the whole fleet goes by.

    ``secret``, ``pauses``, ``exemptions`` and ``past`` are the fleet's. ``changed`` is called when one of
    them has become another one, or ``doubt`` has come or gone.
    """

    def __init__(self, config: Config, changed: Callable[[], None]) -> None:
        self.ledger = Ledger(limits_of(config), mixed_enforced=config.policy.mixed == "enforce")
        self.secret = b""
        self.pauses: tuple[Pause, ...] = ()
        self.exemptions: tuple[Exemption, ...] = ()
        self.past = Past()
        self._changed = changed
        self._doubts = dict.fromkeys(Doubt, "")

    @property
    def doubt(self) -> str:
        """Why nothing may be refused; "" if it may."""
        return next(filter(None, self._doubts.values()), "")

    def doubts(self, about: Doubt) -> str:
        """The same on one account."""
        return self._doubts[about]

    def set_doubt(self, about: Doubt, why: str) -> None:
        """Refuse nobody on this account; "" clears it."""
        was, self._doubts[about] = self.doubt, why
        if bool(was) != bool(self.doubt):
            self._changed()

    def configure(self, config: Config) -> None:
        """Go by another configuration."""
        self.ledger.configure(limits_of(config), mixed_enforced=config.policy.mixed == "enforce")

    def learn_secret(self, secret: bytes) -> None:
        """Use the fleet's secret. Who has it from the store knows all that the store does."""
        if secret != self.secret:
            self.secret = secret
            self._changed()
        self.set_doubt(Doubt.STORE, "")

    def learn_rules(
        self, pauses: tuple[Pause, ...], exemptions: tuple[Exemption, ...], past: Past | None
    ) -> None:
        """Go by these pauses and exemptions, which are all there are, and by these ladders, unless None."""
        self.pauses, self.exemptions = pauses, exemptions
        if past is not None:
            self.past = past
        self._changed()
        self.set_doubt(Doubt.RULES, "")

    async def learn_servers(self, servers: Sequence[tuple[ServerKey, ServerState]]) -> None:
        """Take in what others know of servers, in slices, so that messages are answered in between."""
        for first in range(0, len(servers), _SLICE):
            for key, state in servers[first : first + _SLICE]:
                self.ledger.merge(key, state)
            await asyncio.sleep(0)


def limits_of(config: Config) -> Limits:
    """What bounds the ledger, as it is configured."""
    return Limits(memory_days=config.policy.memory_days, forget_days=config.policy.forget_days)
