"""The door's question: who hands this message over, and which build does it run?

The client stamped a hop when it took the message in: the topmost one that neither the receiver nor a relay it
trusts has stamped. What that hop says, it says of the client; everything deeper is hearsay about others.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from wehr.evidence.address import (
    canonical,
    client_network,
    is_loopback,
    names_a_host,
    registered_domain,
    same_host,
)
from wehr.evidence.display import display_line
from wehr.evidence.own import Own, OwnSide, compile_names, compile_own
from wehr.evidence.received import MAX_FIELD, hop_of, parse_hop, stamp_of, unfold
from wehr.evidence.types import Confidence, Handover, Hop, Relation, Session, Sighting

MAX_HOPS = 64
"""Hops that are looked at. RFC 5321 section 6.3 rejects more than 100 as a loop; real mail has about 6."""

_NOBODY = Own()

# A hop without one of these words was not stamped by Exchange (single words, for fields are folded at blanks).
_MARKERS = (b"icrosoft", b"mapi", b"Internet", b"ShadowRedundancy", b"MailboxResubmission")


def handover(
    trace: Sequence[bytes],
    session: Session,
    own: Own = _NOBODY,
    connector_names: tuple[str, ...] = (),
) -> Handover:
    """Tell who handed a message over, from its ``Received`` fields and what the mail system knows of the client.

    Args:
        trace: the bodies of the ``Received`` fields, top first, as a milter sees them.
        session: the client, as the mail system has verified it.
        own: the receiver's own names, networks and trusted relays.
        connector_names: names that the operator's connector gives the client; they confirm a stamped name.

    Never raises, whatever the fields hold.
    """
    start, peer = (0, session) if own is _NOBODY else _step_over(trace, session, compile_own(own))
    if start >= min(len(trace), MAX_HOPS):
        return Handover(client_ip=peer.client_ip, client_name=peer.client_name)
    line = unfold(trace[start])
    top = hop_of(stamp_of(line))
    index, relation, hop = start, Relation.DIRECT, top
    if top.software != "exchange":
        behind = _behind(trace, start + 1)
        if behind is not None:
            index, hop, line = behind
            relation = Relation.BEHIND_RELAY
        elif top.software == "unknown":
            return Handover(client_ip=peer.client_ip, client_name=peer.client_name)
    if hop.software == "exchange":
        hop = _lifted(trace, index, hop)
    return Handover(
        relation=relation,
        index=index,
        software=hop.software,
        version=hop.version,
        build=hop.build,
        name=stamped_name(hop),
        confidence=_confidence(hop, peer, connector_names)
        if relation is Relation.DIRECT
        else Confidence.NONE,
        line=display_line(line),
        client_ip=peer.client_ip,
        client_name=peer.client_name,
    )


def sighting(found: Handover, session: Session, at: float) -> Sighting | None:
    """The sighting that a handover amounts to, at a time in UTC seconds; None where it says nothing of a server."""
    ip = found.client_ip or session.client_ip
    if found.relation is Relation.NONE or not ip:
        return None
    return Sighting(
        at=at,
        name=found.name or ip,
        network=client_network(ip),
        software=found.software,
        build=found.build,
        relation=found.relation,
        confidence=found.confidence,
        client_ip=ip,
        client_name=found.client_name,
        version=found.version,
        line=found.line,
    )


def stamped_name(hop: Hop) -> str:
    """The name by which a hop's server is known: lower-case printable ASCII, at most 255 characters."""
    return "".join(c if "!" <= c <= "~" else "?" for c in hop.by.lower().rstrip(".")[:255])


def _step_over(trace: Sequence[bytes], session: Session, side: OwnSide) -> tuple[int, Session]:
    """Past the hops of the receiver itself and of the relays it trusts: the next hop, and the peer that it speaks for.

    A from-clause is believed only as far as a chain of known hosts reaches from the client: whoever forges a hop
    of ours on top of a message may be stepped over, but shifts the blame to no other address.
    """
    peer = session
    known = not session.client_ip or _is_relay(side, session.client_ip, session.client_name)
    # Without a client (a stored message), the first hop still has to be one of ours.
    inside = known and bool(session.client_ip)
    index = 0
    while index < len(trace) and index < MAX_HOPS:
        hop = parse_hop(trace[index])
        name = hop.by.lower()
        if not (inside or name in side.names or name in side.relay_names or hop.by_ip in side.relay_networks):
            break
        index += 1
        if known and hop.from_ip and hop.from_ip != peer.client_ip:
            peer = Session(client_ip=hop.from_ip, client_name=hop.from_name, helo=hop.helo)
        inside = known and (
            is_loopback(hop.from_ip)
            or hop.from_ip in side.networks
            or _is_relay(side, hop.from_ip, hop.from_name)
            or (not hop.from_ip and hop.submission)
        )
    return index, peer


def _is_relay(side: OwnSide, ip: str, name: str) -> bool:
    return ip in side.relay_networks or name.lower() in side.relay_names


def _may_be_exchange(field: bytes) -> bool:
    # " 15.20." is Exchange Online's number: passed over unread, for a message through it has five such hops.
    return any(marker in field for marker in _MARKERS) and b" 15.20." not in field


def _behind(trace: Sequence[bytes], start: int) -> tuple[int, Hop, bytes] | None:
    """The topmost on-premises Exchange below the handover hop."""
    for index in range(start, min(len(trace), MAX_HOPS)):
        if _may_be_exchange(trace[index][:MAX_FIELD]):
            line = unfold(trace[index])
            hop = hop_of(stamp_of(line))
            if hop.software == "exchange":
                return index, hop, line
    return None


def _lifted(trace: Sequence[bytes], index: int, hop: Hop) -> Hop:
    """The hop with the highest build that the same host stamped in this message.

    One server prints different numbers as transport, store driver and front end: each is a lower bound.
    """
    short = hop.by.lower().partition(".")[0].encode("latin-1")
    for deeper in range(index + 1, min(len(trace), MAX_HOPS)):
        field = trace[deeper][:MAX_FIELD]
        if not _may_be_exchange(field):
            continue
        if (short and short in field.lower()) or (hop.by_ip and hop.by_ip.encode() in field):
            other = parse_hop(field)
            if (
                other.software == "exchange"
                and other.build is not None
                and (hop.build is None or other.build > hop.build)
                and _one_host(hop, other)
            ):
                hop = replace(hop, build=other.build, version=other.version)
    return hop


def _one_host(hop: Hop, other: Hop) -> bool:
    """Whether two hops of one message were stamped by one host: by name, short name or address.

    Two registered domains that differ contradict the rest; loopback and link-local addresses say nothing.
    """
    one, two = hop.by.lower(), other.by.lower()
    if one and one == two:
        return True
    domain, domain2 = registered_domain(one), registered_domain(two)
    if domain and domain2 and domain != domain2:
        return False
    if one and one.partition(".")[0] == two.partition(".")[0]:
        return True
    return bool(hop.by_ip) and hop.by_ip == other.by_ip and names_a_host(hop.by_ip)


def _confidence(hop: Hop, peer: Session, connector_names: tuple[str, ...]) -> Confidence:
    """Whether the stamped name is borne out by anything that the client showed or the operator said."""
    name = hop.by
    if (
        same_host(name, peer.client_name)
        or same_host(name, peer.helo)
        or (peer.tls_name and same_host(name, peer.tls_name))
        or (hop.by_ip and hop.by_ip == canonical(peer.client_ip) and names_a_host(hop.by_ip))
        or (connector_names and name.lower() in compile_names(connector_names))
    ):
        return Confidence.CONFIRMED
    return Confidence.PLAUSIBLE
