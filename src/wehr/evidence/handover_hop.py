"""The door's question: who hands this message over, and which build does it run?

The client stamped a hop when it took the message in: the topmost one that neither the receiver nor a relay it
trusts has stamped. What that hop says, it says of the client; everything deeper is hearsay about others.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

from msgspec import Struct

from wehr.evidence.address import (
    canonical,
    client_network,
    names_a_host,
    registered_domain,
    same_host,
)
from wehr.evidence.build import Build
from wehr.evidence.display import display_line, printable
from wehr.evidence.headers import MAX_FIELDS
from wehr.evidence.own import Own, step_over
from wehr.evidence.received import MAX_FIELD, by_address, stamp_of, stamped_name, unfold
from wehr.evidence.recognise import recognise
from wehr.evidence.recognisers import Stamp
from wehr.evidence.types import Confidence, Handover, Relation, Session, Sighting

_NOBODY = Own()


class _Stamped(Struct, frozen=True, gc=False):
    """A hop read as far as this question needs it: who stamped it, not who was at the other end."""

    line: bytes
    stamp: Stamp
    software: str
    version: bytes
    build: Build | None


def handover(trace: Sequence[bytes], session: Session, own: Own = _NOBODY) -> Handover:
    """Tell who handed a message over, by its ``Received`` fields and what is known of the client.

    An on-premises Exchange that stamped the handover hop is direct; one that stands deeper is behind a relay,
    whatever the relay is. Without one, the software of the handover hop is named, if it is recognised.

    Args:
        trace: the bodies of the ``Received`` fields, top first, as a milter sees them.
        session: the client, as the mail system has verified it.
        own: the receiver's own names, networks and trusted relays.

    Never raises, whatever the fields hold; no more than `MAX_FIELDS` of them are looked at.
    """
    start, peer = (0, session)
    if own.names or own.relays:
        start, peer = step_over(trace[:MAX_FIELDS], session, own)
    hops = trace[start:MAX_FIELDS]
    for depth, field in enumerate(hops):
        if _CANDIDATE(field, 0, MAX_FIELD):
            found = _exchange(field)
            if found is not None:
                found = _lifted(found, hops[depth + 1 :])
                return _handover(found, start + depth, depth == 0, peer)
    if hops:
        found = _read(hops[0])
        if found.software != "unknown":
            return _handover(found, start, True, peer)
    return Handover(client_ip=peer.client_ip, client_name=peer.client_name)


def sighting(found: Handover, session: Session, at: float) -> Sighting | None:
    """The sighting that a handover amounts to, at a time in UTC seconds; None where no server was told."""
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
        client_name=printable(found.client_name),
        version=printable(found.version),
        line=found.line,
    )


def _handover(found: _Stamped, index: int, direct: bool, peer: Session) -> Handover:
    name = by_name(found.stamp.by)
    return Handover(
        Relation.DIRECT if direct else Relation.BEHIND_RELAY,
        index,
        found.software,
        found.version.decode("latin-1"),
        found.build,
        name,
        _confidence(name, found.stamp, peer) if direct else Confidence.NONE,
        display_line(found.line),
        peer.client_ip,
        peer.client_name,
    )


def _read(field: bytes) -> _Stamped:
    line = unfold(field)
    stamp = stamp_of(line)
    return _Stamped(line, stamp, *recognise(stamp))


# What a hop says that an Exchange has stamped. Most hops say none of it and are passed over unread.
_CANDIDATE = re.compile(
    rb"with\s+(?:Microsoft|mapi|Internet\s+Mail|SMTP\s+\(Microsoft|ShadowRedundancy|MailboxResubmission)"
).search
# So are those with the number of Exchange Online, of which a message through it has five.
_ONLINE = re.compile(rb"id\s+15\.2\d\.").search
_ID = re.compile(rb"\bid\s+(\d{1,9}(?:\.\d{1,9}){3})(?![.\d])").findall


def _exchange(field: bytes) -> _Stamped | None:
    """The hop, if an on-premises Exchange stamped it."""
    if _ONLINE(field, 0, MAX_FIELD):
        return None
    found = _read(field)
    return found if found.software == "exchange" else None


def _lifted(found: _Stamped, deeper: Sequence[bytes]) -> _Stamped:
    """A hop with the highest build that its host stamped in this message.

    One server prints different numbers as transport, store driver and front end: each is a lower bound.
    """
    marks: tuple[bytes, ...] = ()
    for field in deeper:
        if not _CANDIDATE(field, 0, MAX_FIELD):
            continue
        marks = marks or _marks(found.stamp)
        text = field[:MAX_FIELD].lower()
        if not any(mark in text for mark in marks):
            continue
        if found.build is not None and _tells_no_more(text, found.build):
            continue
        other = _exchange(field)
        if (
            other is not None
            and other.build is not None
            and (found.build is None or other.build > found.build)
            and _one_host(found.stamp, other.stamp)
        ):
            found = _Stamped(found.line, found.stamp, found.software, other.version, other.build)
    return found


def _tells_no_more(text: bytes, build: Build) -> bool:
    """Whether a hop's number is no higher, as nearly always: then it need not be read."""
    ids = _ID(text)
    return bool(ids) and max(tuple(map(int, number.split(b"."))) for number in ids) <= build


def _marks(stamp: Stamp) -> tuple[bytes, ...]:
    """What another hop of the same host must hold: its short name, or its address."""
    short = by_name(stamp.by).partition(".")[0]
    return tuple(mark.encode() for mark in (short, by_address(stamp)) if mark)


def _one_host(stamp: Stamp, other: Stamp) -> bool:
    """Whether two hops of one message were stamped by one host: by name, short name or address.

    Two registered domains that differ contradict the rest; loopback and link-local addresses say nothing.
    """
    name, other_name = by_name(stamp.by), by_name(other.by)
    if name and name == other_name:
        return True
    domain, other_domain = registered_domain(name), registered_domain(other_name)
    if domain and other_domain and domain != other_domain:
        return False
    if name and name.partition(".")[0] == other_name.partition(".")[0]:
        return True
    ip = by_address(stamp)
    return names_a_host(ip) and ip == by_address(other)


def _confidence(name: str, stamp: Stamp, peer: Session) -> Confidence:
    """Whether the stamped name is borne out by anything that the client showed."""
    if (
        same_host(name, peer.client_name)
        or same_host(name, peer.helo)
        or (peer.tls_name and same_host(name, peer.tls_name))
    ):
        return Confidence.CONFIRMED
    ip = by_address(stamp)
    return (
        Confidence.CONFIRMED if names_a_host(ip) and ip == canonical(peer.client_ip) else Confidence.PLAUSIBLE
    )


@lru_cache(maxsize=8192)
def by_name(by: bytes) -> str:
    """The name by which a stamping server is known: lower-case printable ASCII, at most 255 characters."""
    return printable(stamped_name(by).lower().rstrip(".")[:255])
