"""Who the client is, as a load balancer in front says it: PROXY protocol 2 (haproxy, proxy-protocol.txt).

Only those that are named are listened to, and they must say it: whether there is a header is never guessed
(section 2), or any client could be whom it likes.
"""

from ipaddress import ip_address
from typing import Final

from wehr.doors.smtp.next_hop import PROXY_V2, Client
from wehr.doors.smtp.stream import Stream
from wehr.evidence.address import canonical

_MOST: Final = 2048
"""Bytes behind the first 16: both addresses, and what balancers tell besides, which is skipped."""
_LOCAL, _PROXY = 0x20, 0x21
_ADDRESS: Final = {0x11: 4, 0x21: 16}
"""Bytes of an address, for TCP over IPv4 and IPv6."""


class NotSaid(Exception):
    """The balancer does not say who the client is."""


async def announced(stream: Stream, balancer: Client) -> Client:
    """The client that a balancer's connection is for; the balancer itself, if it only looks whether we live.

    Raises:
        NotSaid: it does not begin with a header, or with one that tells no client over TCP.
        Gone: it has hung up.
    """
    head = await _exactly(stream, 16)
    size, wide = int.from_bytes(head[14:]), _ADDRESS.get(head[13], 0)
    if not head.startswith(PROXY_V2) or size > _MOST:
        raise NotSaid(f"no header of PROXY protocol 2: {head!r}")
    body = await _exactly(stream, size)
    if head[12] == _LOCAL:
        return balancer
    if head[12] != _PROXY or not wide or size < 2 * wide + 4:
        raise NotSaid(f"a header of PROXY protocol 2 without a client over TCP: {head!r}")
    address, here = (canonical(str(ip_address(body[at : at + wide]))) for at in (0, wide))
    port, here_port = (int.from_bytes(body[at : at + 2]) for at in (2 * wide, 2 * wide + 2))
    return Client(address, port, here, here_port)


async def _exactly(stream: Stream, count: int) -> bytes:
    data = b""
    while len(data) < count:
        data += await stream.some(count - len(data))
    return data
