"""One connection of HTTP/1.1, without sockets: bytes in, bytes out; h11 knows the protocol.

Requests are answered one after another, pipelined or not. Of a body no more than ``max_body`` bytes are kept;
the rest is thrown away as it comes, so that its sender gets to read the answer.
"""

import re
from collections.abc import Callable
from http import HTTPStatus

import h11

from wehr.doors.http.exchange import Refused, Request, Response
from wehr.doors.wire import ProtocolError

MAX_HEAD = 16 << 10
"""Bytes of a request line with its header, and of a chunk's head; h11 looks when it has them not complete."""
_PART = 4 << 10
"""Bytes that h11 is given at a time, so that none of those gets much longer."""
MAX_AT_ONCE = 100
"""Requests sent without waiting for an answer; more of them would keep everybody else waiting."""
MAX_UPLOAD = 256 << 20
"""Bytes of a body, kept or not: by then it is an attempt to keep us busy."""

_AMBIGUOUS = frozenset((b"content-length", b"transfer-encoding"))
"""With both of them, somebody on the way may have seen another end of the body (RFC 9112 section 6.1)."""
# RFC 9112 section 3.2.2: a server takes absolute-form too.
_ORIGIN = re.compile(rb"https?://[^/?]*", re.IGNORECASE)

Respond = Callable[[Request], Response]
Refuse = Callable[[Refused], Response]


class HttpSession:
    """One connection: requests, one after another."""

    __slots__ = ("_body", "_http", "_max_body", "_refuse", "_request", "_respond", "_size", "closed")

    def __init__(self, respond: Respond, refuse: Refuse, max_body: int) -> None:
        self.closed = False
        self._respond = respond
        self._refuse = refuse
        self._max_body = max_body
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        self._request: h11.Request | None = None
        self._body = bytearray()
        self._size = 0

    @property
    def in_message(self) -> bool:
        """Whether a request has begun."""
        return self._request is not None or bool(self._http.trailing_data[0])

    @property
    def pending(self) -> int:
        """Bytes of the body held back; above zero while a request is not complete."""
        return len(self._body) + self.in_message

    def receive(self, data: bytes) -> bytes:
        """Take what arrived, return what to answer.

        Raises:
            ProtocolError: the connection is to be closed.
        """
        answers: list[bytes] = []
        for start in range(0, len(data), _PART):
            self._http.receive_data(data[start : start + _PART])
            while not self.closed and (answer := self._next()) is not None:
                if answer:
                    answers.append(answer)
                if len(answers) > MAX_AT_ONCE:
                    self.closed = True
                    raise ProtocolError("too many requests at once")
            if self.closed:
                break
        return b"".join(answers)

    def _next(self) -> bytes | None:
        """The answer to what comes next in what has arrived; None if more must come first."""
        try:
            event = self._http.next_event()
        except h11.RemoteProtocolError as error:
            # 501 for an encoding that we lack is the client's affair as well.
            return self._complaint(
                error.error_status_hint if error.error_status_hint < 500 else 400, str(error)
            )
        if event is not h11.NEED_DATA:
            return self._take(event)
        if self._http.they_are_waiting_for_100_continue:
            return self._http.send(h11.InformationalResponse(status_code=100, headers=[]))
        return None

    def _take(self, event: h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]) -> bytes:
        match event:
            case h11.Request():
                self._request = event
                if _AMBIGUOUS.issubset(name for name, _ in event.headers):
                    return self._complaint(400, "both Content-Length and Transfer-Encoding")
            case h11.Data(data=data):
                self._keep(data)
            case h11.EndOfMessage():
                return self._answer()
            case _:
                self.closed = True
        return b""

    def _keep(self, data: bytes | bytearray) -> None:
        self._size += len(data)
        if self._size > MAX_UPLOAD:
            self.closed = True
            raise ProtocolError("a body without end")
        room = self._max_body - len(self._body)
        if room > 0:
            self._body += data[:room]

    def _answer(self) -> bytes:
        """A request is complete."""
        asked = self._request
        assert asked is not None  # noqa: S101 - h11 sees to it
        headers = dict(asked.headers)
        path = _ORIGIN.sub(b"", asked.target).partition(b"?")[0]
        request = Request(
            asked.method.decode("ascii", "replace"),
            path.decode("ascii", "replace"),
            headers.get(b"content-type", b"").decode("latin-1"),
            headers.get(b"authorization", b"").decode("latin-1"),
            bytes(self._body),
            self._size > len(self._body),
        )
        self._request = None
        self._body.clear()
        self._size = 0
        return self._send(self._respond(request), with_body=request.method != "HEAD")

    def _send(self, response: Response, *, with_body: bool = True) -> bytes:
        http = self._http
        head = h11.Response(
            status_code=response.status,
            reason=HTTPStatus(response.status).phrase,
            headers=[
                ("Content-Type", response.content_type),
                ("Content-Length", str(len(response.body))),
                *response.headers,
            ],
        )
        events: list[h11.Event] = [head, h11.EndOfMessage()]
        if with_body:
            events.insert(1, h11.Data(response.body))
        sent = b"".join(http.send(event) or b"" for event in events)
        if http.our_state is h11.DONE and http.their_state is h11.DONE:
            http.start_next_cycle()
        else:
            self.closed = True
        return sent

    def _complaint(self, status: int, why: str) -> bytes:
        """Who does not speak HTTP is told so, and that is the end."""
        self.closed = True
        response = self._refuse(Refused(status, why))
        if self._http.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            return b""
        return self._send(response, with_body=self._request is None or self._request.method != b"HEAD")
