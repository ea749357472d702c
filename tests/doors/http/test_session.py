"""HTTP itself: what comes in whole, in parts, too long, or is no HTTP at all."""

from itertools import pairwise
from typing import Any

import pytest
from http_asking import answers, post
from hypothesis import example, given
from hypothesis import strategies as st
from recording_gate import RecordingGate

from wehr.doors.http import HttpServer
from wehr.doors.http.session import MAX_AT_ONCE, MAX_UPLOAD, HttpSession
from wehr.doors.types import Event
from wehr.doors.wire import ProtocolError

ASKED = post("/v1/decide", {"client_ip": "203.0.113.10"})
OTHERS = [
    post("/v1/mta-hooks", {"context": {}}),
    post("/v1/decide", b"no JSON"),
    b"GET /v1/nothing HTTP/1.1\r\nHost: wehr\r\n\r\n",
]


def _session(gate: RecordingGate | None = None, **options: Any) -> HttpSession:
    return HttpServer(gate or RecordingGate(), **options).new_session()


def _ask(data: bytes, **options: Any) -> tuple[list[Any], HttpSession]:
    session = _session(**options)
    return answers(session.receive(data)), session


def test_one_connection_carries_many_requests() -> None:
    """Each is answered, and the connection stays."""
    gate = RecordingGate()
    session = _session(gate)
    codes = [answers(session.receive(ASKED))[0].status for _ in range(3)]

    assert codes == [200] * 3
    assert not session.closed
    assert len(gate.asked) == 3


def test_pipelined_requests_are_answered_in_their_order() -> None:
    """All at once, good ones and bad ones."""
    found, session = _ask(b"".join([ASKED, *OTHERS, ASKED]))

    assert [it.status for it in found] == [200, 200, 400, 404, 200]
    assert not session.closed


@pytest.mark.parametrize("size", [1, 7, 100])
def test_a_request_in_parts_is_one_request(size: int) -> None:
    """Nothing is answered before its end; meanwhile it counts as under way."""
    session = _session()
    parts = [ASKED[place : place + size] for place in range(0, len(ASKED), size)]
    early = [session.receive(part) for part in parts[:-1]]

    assert not any(early)
    assert session.in_message
    assert session.pending
    assert answers(session.receive(parts[-1]))[0].status == 200
    assert not session.in_message
    assert not session.pending


def test_a_chunked_body_is_a_body() -> None:
    """As streaming clients send it."""
    head = b"POST /v1/decide HTTP/1.1\r\nHost: wehr\r\nTransfer-Encoding: chunked\r\n\r\n"
    found, _ = _ask(head + b"1\r\n{\r\n1\r\n}\r\n0\r\n\r\n")

    assert [it.status for it in found] == [200]


def test_who_waits_to_be_told_to_go_on_is_told() -> None:
    """``Expect: 100-continue``, which curl sends with a long body."""
    session = _session()
    told = session.receive(post("/v1/decide", b"", Expect="100-continue", Content_Length="2"))

    assert told.startswith(b"HTTP/1.1 100 ")
    assert answers(session.receive(b"{}"))[0].status == 200


@pytest.mark.parametrize("extra", [{"Connection": "close"}, {}])
def test_a_connection_ends_where_its_peer_wants(extra: dict[str, str]) -> None:
    """With ``Connection: close``, and with HTTP/1.0."""
    asked = post("/v1/decide", {}, **extra)
    found, session = _ask(asked if extra else asked.replace(b"HTTP/1.1", b"HTTP/1.0"))

    assert found[0].status == 200
    assert session.closed


def test_too_many_requests_at_once_are_cut_off() -> None:
    """They would keep everybody else waiting; as many as allowed are answered."""
    nothing = b"GET / HTTP/1.1\r\nHost: wehr\r\n\r\n"
    found, _ = _ask(nothing * MAX_AT_ONCE)
    session = _session()

    assert len(found) == MAX_AT_ONCE
    with pytest.raises(ProtocolError):
        session.receive(nothing * (MAX_AT_ONCE + 1))
    assert session.closed


def test_the_paths_may_come_with_a_host_or_a_query() -> None:
    """RFC 9112 section 3.2.2 has servers take the absolute form."""
    found, _ = _ask(post("http://wehr:8896/v1/decide", {}) + post("/v1/decide?x=1", {}))

    assert [it.status for it in found] == [200, 200]


def test_the_description_can_be_asked_for_without_its_body() -> None:
    """HEAD."""
    session = _session()
    (found,) = answers(session.receive(b"HEAD /v1/openapi.json HTTP/1.1\r\nHost: wehr\r\n\r\n"), "HEAD")

    assert (found.status, found.body) == (200, b"")
    assert session.closed
    assert int(found.headers["Content-Length"]) > 1000


@pytest.mark.parametrize(
    ("request_line", "status", "header"),
    [
        ("GET /v1/decide", 405, ("Allow", "POST")),
        ("DELETE /v1/openapi.json", 405, ("Allow", "GET, HEAD")),
        ("POST /v1/nothing", 404, None),
        ("CONNECT wehr:25", 404, None),
    ],
)
def test_what_is_not_there_is_told(request_line: str, status: int, header: tuple[str, str] | None) -> None:
    """As problem details of one shape (RFC 9457), and the connection stays."""
    data = f"{request_line} HTTP/1.1\r\nHost: wehr\r\n\r\n".encode()
    (found,), session = _ask(data)

    assert found.status == found.json["status"] == status
    assert found.headers["Content-Type"] == "application/problem+json"
    assert set(found.json) == {"type", "title", "status", "detail"}
    assert header is None or found.headers[header[0]] == header[1]
    assert not session.closed


def test_a_body_of_another_type_is_refused() -> None:
    """A form that a browser may send to any address is none of ours; no type at all is taken for JSON."""
    typed = post("/v1/decide", {}, Content_Type="application/x-www-form-urlencoded")
    found, _ = _ask(typed + post("/v1/decide", {}).replace(b"Content-Type: application/json\r\n", b""))

    assert [it.status for it in found] == [415, 200]


def test_a_body_that_is_too_long_is_told_so_at_its_end() -> None:
    """No more than allowed is kept of it, and the connection stays usable."""
    session = _session(max_body=1000)
    head, _, _ = post("/v1/decide", b"", Content_Length="100000").partition(b"\r\n\r\n")
    session.receive(head + b"\r\n\r\n")
    for _ in range(99):
        assert session.receive(b" " * 1000) == b""
        assert len(session._body) <= 1000

    assert answers(session.receive(b" " * 1000))[0].status == 413
    assert answers(session.receive(ASKED))[0].status == 200


def test_a_body_without_end_is_cut_off() -> None:
    """Whoever sends it cannot keep us busy for ever."""
    session = _session(max_body=1000)
    head, _, _ = post("/v1/decide", b"", Content_Length=str(10**12)).partition(b"\r\n\r\n")
    session.receive(head + b"\r\n\r\n")
    part = bytes(8 << 20)
    for _ in range(MAX_UPLOAD // len(part)):
        session.receive(part)
    with pytest.raises(ProtocolError):
        session.receive(part)
    assert session.closed


@pytest.mark.parametrize(
    "data",
    [
        b"MAIL FROM:<a@example.org>\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(50),
        b"POST /v1/decide HTTP/1.1\r\n\r\n",
        b"POST /v1/decide HTTP/1.1\r\nHost: wehr\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/decide HTTP/1.1\r\nHost: wehr\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"POST /v1/decide HTTP/1.1\r\nHost: wehr\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"GET /" + b"a" * 20_000,
        b"GET / HTTP/1.1\r\nHost: wehr\r\n" + b"X: y\r\n" * 5_000 + b"\r\n",
    ],
)
def test_what_is_no_http_is_told_and_cut_off(data: bytes) -> None:
    """SMTP, TLS, a missing host, a wrong length, a header without end: a 4xx, counted, and closed."""
    said: list[tuple[Event, str]] = []
    server = HttpServer(RecordingGate(), on_event=lambda event, text: said.append((event, text)))
    session = server.new_session()
    found = answers(session.receive(data))

    assert [400 <= it.status < 500 for it in found] == [True]
    assert session.closed
    assert server.counters.protocol_errors == 1
    assert [event for event, _ in said] == [Event.PROTOCOL_ERROR]


def test_a_body_with_two_lengths_ends_the_connection() -> None:
    """Somebody on the way may have seen another end of it: what follows is nobody's request."""
    two = b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    gate = RecordingGate()
    session = _session(gate)
    found = answers(session.receive(b"POST /v1/decide HTTP/1.1\r\nHost: wehr\r\n" + two + ASKED))

    assert [it.status for it in found] == [400]
    assert session.closed
    assert not gate.asked


def test_a_complaint_about_a_head_request_has_no_body() -> None:
    """It would be taken for the next answer."""
    session = _session()
    head = b"HEAD /v1/decide HTTP/1.1\r\nHost: wehr\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = session.receive(head + b"no chunk\r\n")

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.endswith(b"\r\n\r\n")
    assert session.closed


@given(st.binary(max_size=200), st.integers(0, 400))
@example(b"", 0)
def test_bytes_of_any_kind_do_no_harm(noise: bytes, place: int) -> None:
    """In front of a request, inside it, behind it: well-formed answers, never a 5xx, nothing raised."""
    session = _session()
    data = (ASKED + ASKED)[:place] + noise + (ASKED + ASKED)[place:]
    found = answers(session.receive(data))

    assert all(it.status < 500 for it in found)


@given(
    st.lists(st.sampled_from([ASKED, *OTHERS]), min_size=1, max_size=6),
    st.lists(st.integers(0, 2000), max_size=8),
)
def test_it_does_not_matter_how_the_bytes_are_cut(requests: list[bytes], cuts: list[int]) -> None:
    """The same requests, the same answers."""
    data = b"".join(requests)
    whole = _session().receive(data)
    session = _session()
    places = sorted({0, len(data), *(min(cut, len(data)) for cut in cuts)})
    parts = b"".join(session.receive(data[start:stop]) for start, stop in pairwise(places))

    assert parts == whole
