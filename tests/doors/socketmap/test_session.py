"""Postfix's socketmap protocol: what is answered, however it is cut, and what ends the connection."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recording_gate import RecordingGate

from wehr.doors.socketmap import SocketmapServer, SocketmapSession
from wehr.doors.socketmap.session import MAX_REQUEST, MEMCACHE, SOCKETMAP, Form, netstring
from wehr.doors.wire import ProtocolError


def echo(key: bytes, form: Form = SOCKETMAP) -> bytes:
    """The key, in the form of a reply."""
    return form.found(key, key)


def test_a_look_up_is_answered() -> None:
    """As Postfix 3.7 sends it, for IPv4 and IPv6."""
    session = SocketmapSession(echo)
    assert session.receive(b"17:clients 127.0.0.1,") == b"12:OK 127.0.0.1,"
    assert session.receive(b"20:clients 2001:db8::25,20:clients 2001:db8::26,") == (
        b"15:OK 2001:db8::25,15:OK 2001:db8::26,"
    )
    assert session.pending == 0
    assert not session.in_message


def test_memcached_s_get_is_answered() -> None:
    """As Postfix 3.7 sends it."""
    session = SocketmapSession(lambda key, form: echo(key, form) if key != b"192.0.2.1" else form.missing)
    assert session.receive(b"get 127.0.0.1\r\n") == b"VALUE 127.0.0.1 0 9\r\n127.0.0.1\r\nEND\r\n"
    assert session.receive(b"get 192.0.2.1\r\nget ::1\r\n") == b"END\r\nVALUE ::1 0 3\r\n::1\r\nEND\r\n"
    assert session.pending == 0


KEYS = st.binary(max_size=40)
LINES = st.from_regex(rb"[!-~]{1,40}", fullmatch=True)
REQUESTS = KEYS.map(lambda key: (netstring(b"clients " + key), echo(key))) | LINES.map(
    lambda key: (b"get " + key + b"\r\n", echo(key, MEMCACHE))
)
"""And their replies."""


@given(st.lists(REQUESTS, max_size=5), st.data())
def test_however_the_bytes_are_cut_the_answers_are_the_same(
    asked: list[tuple[bytes, bytes]], data: st.DataObject
) -> None:
    """A request may come in any pieces, several in one."""
    stream = b"".join(request for request, _ in asked)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    session = SocketmapSession(echo)
    answers = b""
    for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        answers += session.receive(stream[start:stop])
    assert answers == b"".join(reply for _, reply in asked)


@pytest.mark.parametrize(
    "junk",
    [
        b":",
        b"x",
        b"12x4:",
        b"00012:",
        b"1001:clients",
        b"3:a b;",
        b"2:ab,",
        b"-1:a b,",
        b"GET / HTTP/1.1",
        b"gets",
        b"get \r\n",
        b"get a b\r\n",
        b"get " + b"x" * 996,
    ],
)
def test_what_is_no_look_up_ends_the_connection(junk: bytes) -> None:
    """At once, and for good."""
    session = SocketmapSession(echo)
    with pytest.raises(ProtocolError):
        session.receive(junk)
    assert session.closed


@given(st.binary(max_size=3000) | st.binary(max_size=3000).map(lambda junk: b"get " + junk))
def test_whatever_comes_little_is_held_back(junk: bytes) -> None:
    """No more than one request, and nothing else is thrown."""
    session = SocketmapSession(echo)
    try:
        for place in range(0, len(junk), 7):
            session.receive(junk[place : place + 7])
            assert session.pending <= MAX_REQUEST + 6
    except ProtocolError:
        assert session.closed


def test_the_gate_s_word_goes_on_the_wire() -> None:
    """What takes the place of smtpd_milters, or NOTFOUND; also where the gate fails."""
    gate = RecordingGate()
    server = SocketmapServer(gate)
    session = server.new_session()
    assert session.receive(netstring(b"m ::ffff:192.0.2.1")) == (b"9:NOTFOUND ,")
    assert gate.asked[0][0].client_ip == "192.0.2.1"
    gate.answer = "DISABLE"
    assert session.receive(netstring(b"m 192.0.2.1")) == b"10:OK DISABLE,"
    gate.answer = OSError("made up")
    assert session.receive(netstring(b"m 192.0.2.1")) == b"9:NOTFOUND ,"
    gate.answer = None
    assert session.receive(netstring(b"m nonsense")) == b"9:NOTFOUND ,"
    counters = server.counters
    assert (counters.messages, counters.refused_4xx, counters.refused_5xx, counters.gate_errors) == (
        4,
        0,
        0,
        1,
    )
