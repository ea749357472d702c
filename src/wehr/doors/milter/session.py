"""The filter's side of one milter connection, without sockets: bytes in, bytes out.

What may come when. A connection starts with a negotiation; then the mail system tells of one client at a
time (CONNECT, HELO), and for each of its messages of sender, recipients, headers and body. Each command but
ABORT, QUIT and the macros that may precede any of them is answered, unless the answer was negotiated away.

Rule 1: what affects the order of things is in ``_NEXT`` and nowhere else.
Rule 2: the order is checked as far as we depend on it, no further. HELO and MAIL start afresh from anywhere
after CONNECT, as in libmilter: Postfix sends an ABORT after every message, Sendmail not even after RSET. What
has no meaning without what comes before it (a header without a recipient) ends the connection.
Rule 3: the verdict is given once a message, at the end of its headers, where the evidence is. A mail system
that goes on after it (Stalwart takes ACCEPT for CONTINUE) is told the same again.
Rule 4: whatever is kept of a message or a client is bounded, and what exceeds it is dropped in silence.
"""

from collections.abc import Callable, Mapping
from enum import IntEnum
from functools import lru_cache

from wehr.doors.milter import codec
from wehr.doors.milter.codec import HEADER, MACRO, Offer
from wehr.doors.wire import MAX_DOMAINS, MAX_FIELD, MAX_FIELDS, MAX_TRACE, ProtocolError, text
from wehr.evidence.address import canonical
from wehr.evidence.types import Session

MAX_MESSAGE = 32 << 20
"""Bytes that a message may bring before the end of its headers: by then it is an attempt to keep us busy."""

WANTED_STEPS = (
    codec.NO_BODY | codec.NO_UNKNOWN | codec.NO_DATA
    | codec.QUIET_CONNECT | codec.QUIET_HELO | codec.QUIET_MAIL | codec.QUIET_RCPT | codec.QUIET_DATA
    | codec.QUIET_UNKNOWN | codec.QUIET_HEADER | codec.QUIET_BODY
)  # fmt: skip
"""Everything that saves a round trip, but for the end of the headers, where we answer."""

WANTED_MACROS = (
    (codec.CONNECT, "j _ v {daemon_name}"),
    (codec.HELO, "{verify} {cn_subject} {cert_subject}"),
    (codec.MAIL, "i {auth_type} {auth_authen}"),
)
"""Asked for as Sendmail does not tell by itself whether it verified a certificate, and to be sent less."""

ACCEPTED = codec.frame(codec.ACCEPT)
_CONTINUE = codec.frame(codec.CONTINUE)

Decide = Callable[[Session, "list[bytes]", str], bytes]
"""From session, trace (bodies of the Received fields, top first) and queue id to the frame that answers."""


class Phase(IntEnum):
    """What has been told so far."""

    START = 0
    NEGOTIATED = 1
    CLIENT = 2
    SENDER = 3
    RECIPIENT = 4
    HEADERS = 5
    DECIDED = 6
    CLOSED = 7


_HEADERS = Phase.HEADERS

_ALWAYS: Mapping[int, Phase] = {codec.QUIT_NEW: Phase.NEGOTIATED, codec.QUIT: Phase.CLOSED}
_FRESH = {**_ALWAYS, codec.HELO: Phase.CLIENT, codec.MAIL: Phase.SENDER, codec.ABORT: Phase.CLIENT}
_CONTENT = {
    HEADER: Phase.HEADERS,
    codec.END_OF_HEADERS: Phase.DECIDED,
    codec.BODY: Phase.HEADERS,
    codec.END_OF_MESSAGE: Phase.CLIENT,
}

_NEXT: Mapping[Phase, Mapping[int, Phase]] = {
    Phase.START: {codec.NEGOTIATE: Phase.NEGOTIATED, codec.QUIT: Phase.CLOSED},
    Phase.NEGOTIATED: {**_ALWAYS, codec.CONNECT: Phase.CLIENT, codec.ABORT: Phase.NEGOTIATED},
    Phase.CLIENT: {**_FRESH, codec.UNKNOWN: Phase.CLIENT},
    Phase.SENDER: {**_FRESH, codec.UNKNOWN: Phase.SENDER, codec.RCPT: Phase.RECIPIENT},
    Phase.RECIPIENT: {
        **_FRESH, **_CONTENT,
        codec.UNKNOWN: Phase.RECIPIENT, codec.RCPT: Phase.RECIPIENT, codec.DATA: Phase.RECIPIENT,
    },
    Phase.HEADERS: {**_FRESH, **_CONTENT},
    Phase.DECIDED: {**_FRESH, codec.BODY: Phase.DECIDED, codec.END_OF_MESSAGE: Phase.CLIENT},
    Phase.CLOSED: {},
}  # fmt: skip

_UNANSWERED = frozenset((codec.ABORT, codec.QUIT, codec.QUIT_NEW))

_TELLING = frozenset((codec.CONNECT, codec.HELO, codec.MAIL, codec.END_OF_HEADERS, codec.END_OF_MESSAGE))
"""Commands whose macros tell something; macros precede every header too."""


class MilterSession:
    """One connection of a mail system: messages and (with QUIT_NC) clients, one after another."""

    __slots__ = (
        "_authenticated", "_client_ip", "_client_name", "_decide", "_domains", "_frames", "_helo",
        "_listener", "_macros", "_postfix", "_queue_id", "_room", "_silent", "_size", "_tls_name", "_trace",
        "_verdict", "phase",
    )  # fmt: skip
    _verdict: bytes

    def __init__(self, decide: Decide) -> None:
        self.phase = Phase.START
        self._decide = decide
        self._frames = codec.Frames()
        self._silent = _UNANSWERED
        self._macros = b""
        self._size = 0
        self._forget_client()
        self._forget_message()

    @property
    def in_message(self) -> bool:
        """Whether a message has begun and is not decided."""
        return Phase.SENDER <= self.phase <= Phase.HEADERS

    @property
    def closed(self) -> bool:
        """Whether the mail system has quit, or was not one."""
        return self.phase == Phase.CLOSED

    @property
    def pending(self) -> int:
        """Bytes held back until their frame is complete, and of the trace until the message is decided."""
        return self._frames.pending + min(MAX_TRACE - self._room, MAX_TRACE)

    def receive(self, data: bytes) -> bytes:
        """Take what arrived, return what to answer (often nothing).

        Raises:
            ProtocolError: the connection is to be closed; the phase is ``CLOSED``.
        """
        self._size += len(data)
        answers = b""
        telling = _TELLING
        try:
            for command, buffer, start, stop in self._frames.feed(data):
                if command == MACRO:
                    if start < stop and buffer[start] in telling:
                        self._macros = buffer[start:stop]
                elif command == HEADER and self.phase == _HEADERS:
                    if buffer[start : start + 9].lower() == b"received\0":
                        self._keep(buffer[start + 9 : min(stop, start + 9 + MAX_FIELD)])
                    if HEADER not in self._silent:
                        answers += _CONTINUE
                else:
                    answers += self._take(command, buffer[start:stop])
        except ProtocolError:
            self.phase = Phase.CLOSED
            raise
        if self._size > MAX_MESSAGE:
            self.phase = Phase.CLOSED
            raise ProtocolError("a message without end")
        return answers

    def _take(self, command: int, payload: bytes) -> bytes:
        """Move on to the next phase; return the answer."""
        phase = _NEXT[self.phase].get(command)
        if phase is None:
            raise ProtocolError(f"command {chr(command)!r} out of order, after {self.phase.name.lower()}")
        self.phase = phase
        match command:
            case codec.HEADER:
                if payload[:9].lower() == b"received\0":
                    self._keep(payload[9 : 9 + MAX_FIELD])
            case codec.RCPT:
                self._learn_recipient(codec.decode_strings(payload)[0])
            case codec.END_OF_HEADERS | codec.END_OF_MESSAGE:
                return self._decided(command)
            case codec.MAIL:
                self._forget_message()
                self._learn_sender(self._macros_of(codec.MAIL))
            case codec.ABORT | codec.QUIT | codec.QUIT_NEW:
                self._forget_message()
            case codec.HELO:
                self._forget_message()
                self._learn_helo(codec.decode_strings(payload)[0], self._macros_of(codec.HELO))
            case codec.BODY:
                self._size = 0
            case codec.CONNECT:
                self._learn_client(*codec.decode_connect(payload), self._macros_of(codec.CONNECT))
            case codec.NEGOTIATE:
                self._silent, agreed = _agreement(codec.decode_offer(payload))
                return agreed
        return b"" if command in self._silent else _CONTINUE

    def _decided(self, command: int) -> bytes:
        """Ask for the verdict, if that was not done at the end of the headers."""
        queue_id = self._macros_of(command).get(b"i")
        if queue_id:
            self._queue_id = text(queue_id)
        verdict = self._verdict
        if not verdict:
            verdict = ACCEPTED
            if len(self._domains) <= MAX_DOMAINS:
                verdict = self._decide(self._session(), self._trace, self._queue_id)
        self._forget_message()
        if command == codec.END_OF_HEADERS:
            self._verdict = verdict
        return verdict

    def _session(self) -> Session:
        return Session(
            self._client_ip,
            self._client_name,
            self._helo,
            self._authenticated,
            self._tls_name,
            self._listener,
            tuple(self._domains),
        )

    def _macros_of(self, command: int) -> Mapping[bytes, bytes]:
        """The macros that came right before this command."""
        macros = self._macros
        if not macros or macros[0] != command:
            return {}
        self._macros = b""
        return codec.decode_macros(macros[1:])

    def _forget_client(self) -> None:
        self._client_ip = self._client_name = self._helo = self._tls_name = self._listener = ""
        self._postfix = False

    def _forget_message(self) -> None:
        self._authenticated = False
        self._queue_id = ""
        self._domains: dict[str, None] = {}
        self._trace: list[bytes] = []
        self._room = MAX_TRACE
        self._verdict = b""
        self._size = 0

    def _learn_client(self, name: bytes, address: bytes, macros: Mapping[bytes, bytes]) -> None:
        """CONNECT: the name counts only where the mail system says that it leads back to the address.

        Postfix and Sendmail tell so in the macro ``_``, ``name [address]`` with ``(may be forged)`` where it
        does not; Stalwart, which passes any PTR or even HELO name, does not send it.
        """
        self._forget_client()
        peer = macros.get(b"_", b"").lower()
        self._client_ip = canonical(text(address))
        if not name.startswith(b"[") and name.lower() in peer and b"(may be forged)" not in peer:
            self._client_name = text(name)
        self._listener = text(macros.get(b"{daemon_name}", b""))
        self._postfix = macros.get(b"v", b"").startswith(b"Postfix")

    def _learn_helo(self, helo: bytes, macros: Mapping[bytes, bytes]) -> None:
        """HELO, again after STARTTLS: a certificate's name counts only if the mail system verified it.

        Sendmail names any certificate, and says in ``{verify}`` what it is worth. Postfix names only one that
        it trusts (smtpd_milter.c, IF_TRUSTED).
        """
        self._helo = text(helo)
        verified, subject = macros.get(b"{verify}") == b"OK", b"{cn_subject}"
        if self._postfix and b"{verify}" not in macros:
            verified, subject = True, b"{cert_subject}"
        self._tls_name = text(macros.get(subject, b"")) if verified else ""

    def _learn_sender(self, macros: Mapping[bytes, bytes]) -> None:
        """MAIL: nothing is kept of the sender itself."""
        self._authenticated = bool(macros.get(b"{auth_authen}") or macros.get(b"{auth_type}"))
        self._queue_id = text(macros.get(b"i", b""))

    def _learn_recipient(self, path: bytes) -> None:
        """RCPT: nothing is kept but the domain."""
        _, at, domain = path.rpartition(b"@")
        if at and len(self._domains) <= MAX_DOMAINS:
            self._domains[text(domain).rstrip("> ").lower()] = None

    def _keep(self, field: bytes) -> None:
        """One Received field's body."""
        self._room -= len(field)
        if self._room >= 0 and len(self._trace) < MAX_FIELDS:
            self._trace.append(field.removesuffix(b"\0"))


@lru_cache(maxsize=16)
def _agreement(offer: Offer) -> tuple[frozenset[int], bytes]:
    """Which commands are not to be answered, and the answer to an offer: what we wish for of it.

    Raises:
        ProtocolError: a version that nobody speaks.
    """
    if offer.version < 2:
        raise ProtocolError(f"milter protocol version {offer.version}")
    steps = offer.steps & WANTED_STEPS
    actions = offer.actions & codec.CAN_SET_MACROS
    silent = _UNANSWERED.union(command for command, flag in codec.QUIET.items() if steps & flag)
    macros = WANTED_MACROS if actions else ()
    return silent, codec.encode_offer(Offer(min(offer.version, 6), actions, steps, macros))
