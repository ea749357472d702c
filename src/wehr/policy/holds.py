"""Holds: who is left alone for now, by pauses and exemptions together."""

from functools import cached_property

from msgspec import Struct

from wehr.evidence.address import client_network
from wehr.policy.index import Index
from wehr.policy.pauses import QUOTA, Pause, granted
from wehr.policy.policy import Policy
from wehr.policy.scope import Exemption, exemption_stops
from wehr.policy.types import Reason, ServerKey, Stop


class Holds(Struct, frozen=True, dict=True):
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
            whole = self._paused.get((server.tenant, None), [])
            one = self._paused.get((server.tenant, server), [])
            found += tuple(stop for _, stop in sorted(whole + one))  # no two have the same place
        if self.exemptions:
            near = self._exempt.find(server.network.partition("/")[0], server.name, client_name)
            found += exemption_stops(near, server, client_ip, client_name)
        return found

    # Made at the first question: no message is held against all that others were ever granted.

    @cached_property
    def _paused(self) -> dict[tuple[str, ServerKey | None], list[tuple[int, Stop]]]:
        """What each tenant's pauses come to, with their places, by the server that they are for."""
        found: dict[tuple[str, ServerKey | None], list[tuple[int, Stop]]] = {}
        for tenant in {pause.tenant for pause in self.pauses}:
            for place, (pause, start, end) in enumerate(granted(self.pauses, tenant, self.quota)):
                stop = Stop(start, end, Reason.PAUSED)
                found.setdefault((tenant, pause.server), []).append((place, stop))
        return found

    @cached_property
    def _exempt(self) -> Index[Exemption]:
        return Index((item, *_near(item)) for item in self.exemptions)


def _near(item: Exemption) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names or networks by which an exemption is found: what one of its conditions asks for."""
    if item.server:
        return (item.server,), ()
    if item.network:  # one inside a server's network concerns that server as well
        return (), (item.network, client_network(item.network.partition("/")[0]))
    domain = item.domain.strip(".")
    return (domain, f".{domain}"), ()
