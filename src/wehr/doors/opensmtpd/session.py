"""OpenSMTPD's filter protocol 0.6, without pipes: a line in, bytes to write or a question out.

Source: smtpd-filters(7), and ``usr.sbin/smtpd/lka_filter.c`` of OpenSMTPD 6.8. A filter that dies, or answers
nonsense, takes smtpd with it. So nothing here raises, and each line that waits for an answer gets one.
"""

from msgspec import Struct

from wehr.doors.line.client import encode
from wehr.doors.wire import MAX_DOMAINS, MAX_FIELD, MAX_FIELDS, MAX_TRACE, text
from wehr.evidence.address import canonical
from wehr.evidence.types import Session

REGISTER = b"".join(
    b"register|%s\n" % what
    for what in (
        b"report|smtp-in|link-connect",
        b"report|smtp-in|link-identify",
        b"report|smtp-in|link-auth",
        b"report|smtp-in|link-disconnect",
        b"report|smtp-in|tx-begin",
        b"report|smtp-in|tx-rcpt",
        b"filter|smtp-in|data-line",
        b"filter|smtp-in|commit",
        b"ready",
    )
)


class Asking(Struct, frozen=True):
    """What is to be asked over the line door before smtpd gets its answer."""

    answers: bytes
    """The beginning of the answer, which names session and token."""
    question: bytes

    def answer(self, line: str | None) -> bytes:
        """What to write, given the SMTP line to refuse with, or None to accept."""
        return self.answers + (b"proceed\n" if line is None else b"reject|%s\n" % line.encode("ascii"))


class _Link:
    """What is known of one SMTP session and its message."""

    __slots__ = (
        "authenticated",
        "domains",
        "fields",
        "helo",
        "in_headers",
        "ip",
        "listener",
        "name",
        "queue_id",
        "room",
    )

    def __init__(self) -> None:
        self.ip = self.name = self.helo = self.listener = ""
        self.authenticated = False
        self.begin("")

    def begin(self, queue_id: str) -> None:
        """Another message."""
        self.queue_id = queue_id
        self.domains: dict[str, None] = {}
        self.fields: list[bytearray | None] = []  # None: a field that is not kept
        self.in_headers = True
        self.room = MAX_TRACE

    def take(self, line: bytes) -> None:
        """A line of the message, of which only the Received fields are kept."""
        if not self.in_headers:
            return
        if not line or line == b".":
            self.in_headers = False
        elif line[:1] in {b" ", b"\t"}:
            if self.fields and (field := self.fields[-1]) is not None:
                self._keep(field, b"\n" + line)
        elif line[:9].lower() == b"received:" and len(self.fields) <= 2 * MAX_FIELDS:
            field = bytearray()
            self.fields.append(field)
            self._keep(field, line[9:].lstrip())
        elif self.fields and self.fields[-1] is not None:
            self.fields.append(None)

    def _keep(self, field: bytearray, text: bytes) -> None:
        kept = text[: min(self.room, MAX_FIELD - len(field))]
        self.room -= len(kept)
        field += kept


class FilterSession:
    """All that a filter process knows: the SMTP sessions that are open."""

    def __init__(self) -> None:
        self._links: dict[bytes, _Link] = {}

    def receive(self, line: bytes) -> bytes | Asking:
        """Take a line without its end; what to write at once, or what to ask first. Never raises."""
        part = line.split(b"|", 5)
        if line == b"config|ready":
            return REGISTER
        if len(part) < 6 or part[3] != b"smtp-in":
            return b""
        kind, _, _, _, event, rest = part
        if kind == b"report":
            self._report(event, rest.split(b"|"))
        elif kind == b"filter":
            return self._filter(event, *rest.split(b"|", 2))
        return b""

    def _filter(self, event: bytes, link: bytes, token: bytes = b"", text: bytes = b"") -> bytes | Asking:
        known = self._links.get(link)
        if event == b"data-line":
            if known:
                known.take(text)
            return b"filter-dataline|%s|%s|%s\n" % (link, token, text)
        answers = b"filter-result|%s|%s|" % (link, token)
        if event != b"commit" or known is None or len(known.domains) > MAX_DOMAINS:
            return answers + b"proceed\n"
        session = Session(
            known.ip,
            known.name,
            known.helo,
            known.authenticated,
            listener=known.listener,
            recipients=tuple(known.domains),
        )
        trace = [bytes(field) for field in known.fields if field is not None]
        # smtpd puts its own field on top before it shows the message.
        question = encode(session, trace, known.queue_id, own_received=1)
        known.begin("")
        return Asking(answers, question)

    def _report(self, event: bytes, rest: list[bytes]) -> None:
        name, *values = rest
        if event == b"link-disconnect":
            self._links.pop(name, None)
            return
        link = self._links.get(name)
        if link is None:
            link = self._links[name] = _Link()
        match event, values:
            case b"link-connect", [*rdns, verified, source, listener]:
                link.ip = canonical(text(source.rpartition(b":")[0]))
                port = listener.rpartition(b":")[2]
                link.listener = text(port) if port.isdigit() else ""
                link.name = text(b"|".join(rdns)) if verified == b"pass" else ""
            case b"link-identify", [_, *identity]:
                link.helo = text(b"|".join(identity))
            case b"link-auth", [first, *others]:
                # Which of name and result comes first changed between versions.
                link.authenticated = b"pass" in {first, *others}
            case b"tx-begin", [queue_id, *_]:
                link.begin(text(queue_id))
            case b"tx-rcpt", [_, b"ok", *address]:
                _, at, domain = b"|".join(address).rpartition(b"@")
                if at and len(link.domains) <= MAX_DOMAINS:
                    link.domains[text(domain).lower()] = None
