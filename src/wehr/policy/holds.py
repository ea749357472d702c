"""Holds: who is left alone for now, by pauses and exemptions together."""

from msgspec import Struct

from wehr.policy.pauses import QUOTA, Pause, stops
from wehr.policy.policy import Policy
from wehr.policy.scope import Exemption, exemption_stops
from wehr.policy.types import ServerKey, Stop


class Holds(Struct, frozen=True):
    """All pauses and exemptions, past, present and to come."""

    pauses: tuple[Pause, ...] = ()
    exemptions: tuple[Exemption, ...] = ()
    quota: int = QUOTA
    """Days of pause for each tenant and calendar year."""

    @classmethod
    def of(cls, policy: Policy, pauses: tuple[Pause, ...], exemptions: tuple[Exemption, ...]) -> "Holds":
        """Those that were asked for at run time, and those of the configuration."""
        return cls(pauses, (*policy.exemptions, *exemptions), policy.pause_days)

    def stops(self, server: ServerKey, client_ip: str = "", client_name: str = "") -> tuple[Stop, ...]:
        """The stops of one server's clock; they excuse messages of the client that is named."""
        found: tuple[Stop, ...] = ()
        if self.pauses:
            found += stops(self.pauses, server, self.quota)
        if self.exemptions:
            found += exemption_stops(self.exemptions, server, client_ip, client_name)
        return found
