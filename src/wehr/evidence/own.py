"""What the receiver knows to be its own: host names, networks, and the relays whose word it takes."""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import ip_network

from msgspec import Struct

from wehr.evidence.address import is_loopback
from wehr.evidence.lists import Names, Networks
from wehr.evidence.received import by_address, hop_of, stamp_of, stamped_name, unfold
from wehr.evidence.types import Session


class Own(Struct, frozen=True):
    """The receiver's own side, as configured.

    ``names`` are its host names (``.example.org`` stands for every name below it), ``networks`` its networks
    (CIDR or single addresses), ``relays`` names and networks of trusted relays: a backup MX, a hosted filter,
    a gateway. The hop that a trusted relay stamped is believed, and the one before it judged.

    Raises:
        ValueError: an entry of ``networks`` is no network, or one of ``relays`` neither that nor a name.
    """

    names: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    relays: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        Networks(self.networks)
        Networks([entry for entry in self.relays if "/" in entry])


class OwnSide:
    """`Own` made ready for look-up; a relay entry that is no network is a name."""

    def __init__(self, own: Own) -> None:
        networks = [entry for entry in own.relays if _is_network(entry)]
        self.names = Names(own.names)
        self.networks = Networks(own.networks)
        self.relay_names = Names([entry for entry in own.relays if entry not in networks])
        self.relay_networks = Networks(networks)

    def is_relay(self, ip: str, name: str) -> bool:
        """Whether a host, by its address or verified name, is a trusted relay."""
        return ip in self.relay_networks or name in self.relay_names


@lru_cache(maxsize=64)
def _compile(own: Own) -> OwnSide:
    return OwnSide(own)


def _is_network(entry: str) -> bool:
    try:
        ip_network(entry.strip(), strict=False)
    except ValueError:
        return False
    return True


def step_over(trace: Sequence[bytes], session: Session, own: Own) -> tuple[int, Session]:
    """Past the hops of the receiver and its trusted relays: the next one's index, and the peer it speaks for.

    A from-clause is believed only as far as a chain of known hosts reaches back from the client. So whoever
    forges a hop of ours on top of a message is stepped past it, but shifts the blame to no other address.
    """
    side, peer = _compile(own), session
    ip = session.client_ip
    inside = side.is_relay(ip, session.client_name)
    believed = inside or not ip or ip in side.networks or is_loopback(ip)
    for index, field in enumerate(trace):
        stamp = stamp_of(unfold(field))
        name = stamped_name(stamp.by)
        if not (inside or name in side.names or side.is_relay(by_address(stamp), name)):
            return index, peer
        if not believed:
            continue
        hop = hop_of(stamp)
        if hop.from_ip and hop.from_ip != peer.client_ip:
            peer = Session(client_ip=hop.from_ip, client_name=hop.from_name, helo=hop.helo)
        inside = (
            is_loopback(hop.from_ip)
            or hop.from_ip in side.networks
            or hop.from_name in side.names
            or side.is_relay(hop.from_ip, hop.from_name)
            or (not hop.from_ip and hop.submission)
        )
        believed = inside or not hop.from_ip
    return len(trace), peer
