"""The probe of ``wehr doctor``: a message that every door refuses, whatever the mode; so it ends nowhere.

What GTUBE is for spam filters and EICAR for virus scanners: who sees the reply knows that headers reach Wehr
and that its refusals reach the client. Unlike those it bears a token that only who has the fleet's secret can
make, and that is soon worth nothing: or a stranger could have his copy of it bounced by one of one's own
relays. And it counts only from one's own side, where nobody is judged otherwise.
"""

from collections.abc import Sequence
from hashlib import blake2b
from hmac import compare_digest
from typing import Final

from wehr.evidence import Session

HOST: Final = "doctor.wehr.invalid"
"""The host that the probe's topmost ``Received`` field is stamped by (RFC 2606: no host can be called so)."""
REPLY: Final = "550 5.7.230 The probe of wehr doctor has reached Wehr and ends here"
"""What the probe is answered."""

_HOUR: Final = 3600
_MARK: Final = HOST.encode()
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1"})


def trace(secret: bytes, now: float) -> str:
    """The body of that field: it counts in this hour, the one before and the next.

    Args:
        secret: the fleet's, 16 to 64 bytes.
        now: UTC seconds since 1970.
    """
    return _stamped(secret, int(now // _HOUR))


def is_probe(trace: Sequence[bytes], session: Session, *, own: bool, secret: bytes, now: float) -> bool:
    """Whether this message is the probe; ``own`` clients are those that are never judged."""
    if not trace or not (own or session.client_ip in _LOOPBACK) or _MARK not in trace[0]:
        return False
    # All of the field: parts of one that a relay of one's own stamps are what strangers tell it.
    stamp, hour = b" ".join(trace[0].split()), int(now // _HOUR)
    return any(compare_digest(stamp, _stamped(secret, it).encode()) for it in (hour, hour - 1, hour + 1))


def _stamped(secret: bytes, hour: int) -> str:
    token = blake2b(b"%d" % hour, digest_size=16, key=secret, person=b"wehr probe").hexdigest()
    client = f"from {HOST} (localhost [127.0.0.1])"
    return f"{client} by {HOST} with ESMTP id {token}; Thu, 01 Jan 2026 00:00:00 +0000"
