"""A whole trace, for `wehr inspect` and the survey: every hop, and in stored mail the receiver's own side."""

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from wehr.evidence.address import canonical, is_public, registered_domain
from wehr.evidence.handover_hop import handover
from wehr.evidence.own import Own
from wehr.evidence.received import parse_hop
from wehr.evidence.recognise import is_cloud
from wehr.evidence.types import Handover, Hop, Session

_NOBODY, _NOTHING = Own(), Session()
_FETCHED = ("lmtp", "imap", "pop3")


class Inspection(Struct, frozen=True):
    """Every hop of a trace, top first, and who handed the message over.

    ``receiver`` is the hop in which the receiving system took a stored message from outside; None where none
    did, or where the trace begins at the handover hop. ``handover.index`` counts from the top in any case.
    """

    hops: tuple[Hop, ...]
    receiver: int | None
    handover: Handover


def inspect(
    headers: Sequence[bytes],
    *,
    session: Session = _NOTHING,
    stored: bool = True,
    own: Own = _NOBODY,
) -> Inspection:
    """Read a whole trace.

    Args:
        headers: the bodies of the ``Received`` fields, top first.
        session: what is known of the client besides the trace; it outweighs what the receiver's hop says.
        stored: the receiver's own hops stand on top, and are learned; else the top hop is the handover hop.
        own: the receiver's own side, as far as it is known.
    """
    hops = tuple(parse_hop(field) for field in headers)
    if not stored:
        return Inspection(hops, None, handover(headers, session, own))
    receiver = receiver_of(hops, session.client_ip)
    if receiver is None:
        return Inspection(hops, None, Handover(client_ip=session.client_ip, client_name=session.client_name))
    peer = hops[receiver]
    session = replace(
        session,
        client_ip=session.client_ip or peer.from_ip,
        client_name=session.client_name or peer.from_name,
        helo=session.helo or peer.helo,
    )
    found = handover(headers[receiver + 1 :], session, own)
    if found.index is not None:
        found = replace(found, index=found.index + receiver + 1)
    return Inspection(hops, receiver, found)


def receiver_of(hops: Sequence[Hop], client_ip: str = "") -> int | None:
    """The hop in which the system that stored a message took it from outside.

    The topmost whose peer has ``client_ip``, if that is known; else the topmost whose peer is on the Internet
    and belongs to another organisation than the server that stamped it. Everything above (local delivery, a
    filter on localhost, the way from a border server to the mailbox, fetching by POP) is the receiver's own.
    """
    for index, hop in enumerate(hops):
        if hop.from_ip == client_ip if client_ip else _from_outside(hop):
            return index
    return None


def _from_outside(hop: Hop) -> bool:
    if not is_public(hop.from_ip) or hop.protocol.lower().startswith(_FETCHED):
        return False
    # One tenant's mail to another leaves Exchange Online, and comes in again, by these hosts.
    if hop.helo.lower().endswith(".outbound.protection.outlook.com"):
        return True
    # A name that the server looked up itself says more than the client's word.
    return _organisation(hop.by) not in ("", _organisation(hop.from_name) or _organisation(hop.helo))


def _organisation(name: str) -> str:
    """The registered domain, or what stands for it in an internal name; all of Exchange Online is one."""
    name = name.lower().rstrip(".")
    if is_cloud(name.encode("latin-1", "replace")):
        return "exchange-online"
    if "." not in name or canonical(name):
        return ""
    return registered_domain(name) or ".".join(name.rsplit(".", 2)[-2:])
