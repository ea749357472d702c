"""The probe of ``wehr doctor``: a message that every door refuses, whatever the mode; so it ends nowhere.

What GTUBE is for spam filters and EICAR for virus scanners: who sees the reply knows that headers reach Wehr
and that its refusals reach the client. It counts only from one's own side, where nobody is judged otherwise.
"""

from collections.abc import Sequence
from typing import Final

from wehr.evidence import Session

HOST: Final = "doctor.wehr.invalid"
"""The host that the probe's topmost ``Received`` field is stamped by (RFC 2606: no host can be called so)."""
TRACE: Final = (
    f"from {HOST} (localhost [127.0.0.1]) by {HOST} with ESMTP id probe; Thu, 01 Jan 2026 00:00:00 +0000"
)
"""The body of that field."""
REPLY: Final = "550 5.7.230 The probe of wehr doctor has reached Wehr and ends here"
"""What the probe is answered."""

_TRACE: Final = TRACE.encode()
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1"})


def is_probe(trace: Sequence[bytes], session: Session, *, own: bool) -> bool:
    """Whether this message is the probe; ``own`` clients are those that are never judged."""
    if not trace or not (own or session.client_ip in _LOOPBACK):
        return False
    # All of the field: parts of one that a relay of one's own stamps are what strangers tell it.
    return b" ".join(trace[0].split()) == _TRACE
