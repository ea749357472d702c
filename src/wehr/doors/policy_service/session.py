"""Postfix's policy delegation, without sockets: bytes in, bytes out (SMTPD_POLICY_README).

Postfix keeps the connection, asks one request after another, and waits for each answer. There are no headers
in a request, so the answer is ``DUNNO`` but for clients that are known well enough; see `wehr.doors.early`.
"""

from collections.abc import Callable

from wehr.doors.attributes import Attributes, AttributeSession, answer, client_name
from wehr.doors.wire import ProtocolError, text
from wehr.evidence.address import canonical
from wehr.evidence.types import Session

DUNNO = answer(b"DUNNO")

_ASKED_AT = frozenset((b"MAIL", b"RCPT"))

Decide = Callable[[Session, str], bytes]
"""From a session and the transaction's name to the bytes that answer it."""


class PolicySession(AttributeSession):
    """One connection of Postfix: requests, one after another."""

    __slots__ = ("_decide",)

    def __init__(self, decide: Decide) -> None:
        super().__init__()
        self._decide = decide

    def _take(self, attributes: Attributes) -> bytes:
        values = dict(attributes)
        if values.get(b"request") != b"smtpd_access_policy":
            raise ProtocolError("not a request of Postfix's policy delegation")
        if values.get(b"protocol_state") not in _ASKED_AT:
            return DUNNO
        _, _, domain = values.get(b"recipient", b"").rpartition(b"@")
        session = Session(
            canonical(text(values.get(b"client_address", b""))),
            client_name(values.get(b"client_name", b"")),
            text(values.get(b"helo_name", b"")),
            bool(values.get(b"sasl_username") or values.get(b"sasl_method")),
            # Set only if Postfix has verified the certificate.
            text(values.get(b"ccert_subject", b"")),
            recipients=(text(domain).lower(),) if domain else (),
        )
        return self._decide(session, text(values.get(b"instance", b"")))
