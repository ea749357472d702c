"""The line protocol, without sockets: bytes in, bytes out.

A question is ``name=value`` lines with an empty line behind, its answer ``action=accept`` or ``action=`` and
the SMTP line to refuse with, with an empty line behind. docs/line.md tells what may be in a question. Unknown
names are passed over, so that a newer recipe works with an older Wehr.
"""

import re
from collections.abc import Callable, Iterable
from itertools import islice

from msgspec import Struct

from wehr.doors.attributes import Attributes, AttributeSession, answer, client_name
from wehr.doors.wire import MAX_DOMAINS, ProtocolError, bounded, text
from wehr.evidence.address import canonical
from wehr.evidence.types import Session

ACCEPTED = answer(b"accept")

_ESCAPED = re.compile(rb"\\(?:([0-7]{3})|(.))", re.DOTALL)
_PLAIN = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"\\": b"\\"}
_NEXT_FIELD = re.compile(rb"\r?\n(?![ \t])")
# RFC 5321 section 4.1.2: a quoted local part may hold commas.
_ADDRESS = re.compile(rb'(?>(?:"(?>(?:[^"\\]|\\.)*)(?:"|\\?\Z)|[^",])+)', re.DOTALL)
_YES = frozenset((b"1", b"yes", b"true"))


class Question(Struct, frozen=True):
    """What a mail system asks about one message; ``early`` where it has no headers yet (at MAIL or RCPT).

    ``queue_id`` is its name for the message, or for the transaction if there is no message yet.
    """

    session: Session
    trace: tuple[bytes, ...] = ()
    queue_id: str = ""
    early: bool = False


Decide = Callable[[Question], bytes]
"""From a question to the bytes that answer it."""


class LineSession(AttributeSession):
    """One connection: questions, one after another."""

    __slots__ = ("_decide",)

    def __init__(self, decide: Decide) -> None:
        super().__init__()
        self._decide = decide

    def _take(self, attributes: Attributes) -> bytes:
        question = read(attributes)
        many = len(question.session.recipients) > MAX_DOMAINS  # nobody could say whose it is
        return ACCEPTED if many else self._decide(question)


def read(attributes: Attributes) -> Question:
    """The question that the attributes make.

    Raises:
        ProtocolError: ``request`` does not come first, or asks for what nobody knows.
    """
    if not attributes or attributes[0] not in {(b"request", b"message"), (b"request", b"client")}:
        raise ProtocolError("not a question of the line protocol")
    values = dict(attributes)
    session = Session(
        canonical(text(values.get(b"client_address", b""))),
        client_name(values.get(b"client_name", b"")),
        text(values.get(b"helo_name", b"")),
        values.get(b"authenticated", b"").lower() in _YES,
        text(values.get(b"tls_name", b"")),
        text(values.get(b"listener", b"")),
        tuple(_domains(value for name, value in attributes if name == b"recipient")),
    )
    queue_id = text(values.get(b"queue_id", b""))
    if attributes[0][1] == b"client":
        return Question(session, queue_id=queue_id, early=True)
    trace = _trace([value for name, value in attributes if name == b"received"], _own(values))
    return Question(session, trace, queue_id)


def _own(values: dict[bytes, bytes]) -> int:
    """How many fields on top the mail system has added itself before it asks."""
    number = values.get(b"own_received", b"0")
    return int(number) if number.isdigit() and len(number) < 4 else 0


def _trace(values: list[bytes], own: int) -> tuple[bytes, ...]:
    """The fields behind one's own, top first, as many as can be kept; no holes."""
    fields = (field for value in values for field in _NEXT_FIELD.split(_unescaped(value)))
    return bounded(islice(fields, own, None))


def _unescaped(value: bytes) -> bytes:
    r"""``\n``, ``\t``, ``\r``, ``\\`` and ``\ooo`` (octal) as the bytes they stand for; Exim writes them."""
    if b"\\" not in value:
        return value

    def plain(match: re.Match[bytes]) -> bytes:
        if match[1]:
            return bytes((int(match[1], 8) & 0xFF,))
        return _PLAIN.get(match[2], match[0])

    return _ESCAPED.sub(plain, value)


def _domains(values: Iterable[bytes]) -> Iterable[str]:
    """The recipients' domains, each once; nothing is kept of the local parts."""
    found: dict[str, None] = {}
    for value in values:
        for address in _ADDRESS.findall(value):
            _, at, domain = address.rpartition(b"@")
            if at and len(found) <= MAX_DOMAINS:
                found[text(domain).strip("<> \t").lower()] = None
    return found
