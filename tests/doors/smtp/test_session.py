"""What passes between a client and the next hop, over real sockets: everything, but for what Wehr refuses."""

import gc
import itertools
import socket
import weakref
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from running import until
from smtp_stand import EHLO, TRACE, Stand, stand

from wehr.doors.smtp import Proxy, Tell, Timeouts
from wehr.doors.types import Event, Limits

LATER = "450 4.7.230 Connecting server is throttled; retry after 14:25 UTC."
NEVER = "550 5.7.230 Connecting server is blocked for 60 mins/hr."
TEXT = TRACE + b"Subject: hello\r\n\r\nHello\r\n..dotted\r\n"


@pytest.fixture(name="scene")
def _scene() -> Iterator[Stand]:
    with stand() as scene:
        yield scene


def test_a_message_passes_and_so_do_the_answers(scene: Stand) -> None:
    """Unchanged, dots and all; 250 is the next hop's; the gate is asked once, with what is known."""
    client = scene.connect("127.9.0.1")
    client.begin(b"b@example.org", b"c@Example.NET")
    assert client.say(b"DATA").startswith(b"354 ")
    assert client.say(TEXT + b".") == b"250 2.0.0 Queued as 4Xyz\r\n"
    assert client.say(b"QUIT") == b"221 2.0.0 Bye\r\n"
    assert client.reply() == b""

    assert scene.hop.messages == [TEXT + b".\r\n"]
    session, trace, name = scene.gate.asked[0]
    assert (session.client_ip, session.client_name) == ("127.9.0.1", "mail.example.com")
    assert (session.helo, session.authenticated) == ("client.example.com", False)
    assert (session.recipients, session.listener) == (("example.org", "example.net"), str(scene.port))
    assert [field.strip() for field in trace] == [TRACE[10:].strip()]
    assert name
    assert len(scene.gate.asked) == 1
    assert not scene.said


def test_a_recipient_may_be_refused_before_the_header() -> None:
    """In the gate's words, and the next hop is not told of it; each step has the message's own name."""
    with stand(early=True) as scene:
        client = scene.connect()
        client.begin(b"b@example.org", b"c@example.net")
        scene.gate.answer = NEVER
        assert client.say(b"RCPT TO:<d@example.com>") == NEVER.encode() + b"\r\n"
        assert not any(b"d@example.com" in line for line in scene.hop.told)
        scene.gate.answer = None
        client.say(b"DATA")
        assert client.say(TEXT + b".").startswith(b"250 ")
        *early, (session, _, name) = scene.gate.asked
        assert [(it.recipients, step) for it, _, step in early] == [
            ((domain,), f"early {name}") for domain in ("example.org", "example.net", "example.com")
        ]
        assert session.recipients == ("example.org", "example.net")

        client.send(b"MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.org>\r\n")
        assert [client.reply()[:3] for _ in range(2)] == [b"250", b"250"]
        assert scene.gate.asked[-1][2] not in {f"early {name}", name}


def test_an_error_of_ours_lets_the_recipient_pass() -> None:
    """As it lets a message pass."""
    with stand(early=True) as scene:
        scene.gate.answer = OSError("made up")
        client = scene.connect()
        client.begin()
        assert scene.server.counters.gate_errors == 1


@pytest.mark.parametrize("answer", [LATER, NEVER])
def test_a_refused_message_never_reaches_the_next_hop(scene: Stand, answer: str) -> None:
    """Not even DATA does; the client sees the refusal word for word, and the session goes on."""
    client = scene.connect()
    client.begin()
    scene.gate.answer = answer
    client.say(b"DATA")
    assert client.say(TEXT + b".") == answer.encode() + b"\r\n"
    assert scene.hop.told[-1] == b"RSET"
    assert not any(line.startswith(b"DATA") for line in scene.hop.told)

    scene.gate.answer = None
    client.envelope()
    client.say(b"DATA")
    assert client.say(TEXT + b".").startswith(b"250 ")
    assert scene.hop.messages == [TEXT + b".\r\n"]
    counters = scene.server.counters
    assert (counters.messages, counters.refused_4xx + counters.refused_5xx) == (2, 1)


def test_it_is_decided_when_the_header_is_complete(scene: Stand) -> None:
    """Not before, and not later."""
    client = scene.connect()
    client.begin()
    client.say(b"DATA")
    client.send(TRACE + b"Subject: hello\r\n")
    (connection,) = scene.server.open
    message = connection._session._message  # type: ignore[attr-defined]
    until(lambda: message._head.text)
    assert not scene.gate.asked
    assert scene.hop.told[-1] == b"RCPT TO:<b@example.org>"
    client.send(b"\r\nH")
    until(lambda: scene.hop.told[-1] == b"DATA")
    assert scene.gate.asked
    client.send(b"\r\n.\r\n")
    assert client.reply().startswith(b"250 ")


def test_an_error_of_ours_lets_the_message_pass(scene: Stand) -> None:
    """It is counted and told."""
    scene.gate.answer = OSError("made up")
    client = scene.connect()
    client.begin()
    client.say(b"DATA")
    assert client.say(TEXT + b".").startswith(b"250 ")
    assert scene.server.counters.gate_errors == 1
    assert [event for event, _ in scene.said] == [Event.GATE_ERROR]


def test_pipelined_commands_go_on_together(scene: Stand) -> None:
    """The next hop gets a group at once, and DATA after it; replies come in order, the next envelope too."""
    client = scene.connect()
    client.reply()
    client.say(b"EHLO client.example.com")
    scene.gate.answer = LATER
    envelope = b"MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n"
    client.send(envelope)
    assert [client.reply()[:3] for _ in range(3)] == [b"250", b"250", b"354"]
    scene.gate.answer = None
    client.send(TEXT + b".\r\nRSET\r\n" + envelope)
    assert [client.reply()[:3] for _ in range(5)] == [b"250", b"250", b"250", b"250", b"354"]
    client.send(TEXT + b".\r\nQUIT\r\n")
    assert [client.reply()[:3] for _ in range(2)] == [b"250", b"221"]
    assert len(scene.hop.messages) == 2


def test_without_a_recipient_there_is_no_message(scene: Stand) -> None:
    """Neither before MAIL, nor where the next hop has refused every recipient, in words that pass."""
    client = scene.connect()
    client.reply()
    client.say(b"EHLO client.example.com")
    assert client.say(b"DATA").startswith(b"554 ")
    refused = b"550-5.1.1 No\r\n550 5.1.1 such user\r\n"
    scene.hop.replies["RCPT"] = refused
    client.send(b"MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n")
    assert [client.reply() for _ in range(3)][1] == refused
    assert not scene.gate.asked


@pytest.mark.parametrize("verb", ["EHLO", "MAIL", "RCPT", "END", "VRFY", "RSET", "NOOP"])
def test_what_the_next_hop_refuses_is_refused_in_its_words(scene: Stand, verb: str) -> None:
    """Several lines, odd texts, bytes beyond ASCII."""
    words = b"452-4.2.2 One\r\n452 4.2.2 \xc3\xbc % two \r\n"
    client = scene.connect()
    client.begin()
    scene.hop.replies[verb] = words
    if verb == "END":
        client.say(b"DATA")
        assert client.say(TEXT + b".") == words
    else:
        assert client.say(verb.encode() + b" x") == words


def test_what_the_next_hop_answers_to_data_is_the_answer_to_the_message(scene: Stand) -> None:
    """And the transaction is over on both sides."""
    client = scene.connect()
    client.begin()
    scene.hop.replies["DATA"] = b"451 4.3.0 Not now\r\n"
    assert client.say(b"DATA").startswith(b"354 ")
    assert client.say(TEXT + b".") == b"451 4.3.0 Not now\r\n"
    assert scene.hop.told[-1] == b"RSET"
    client.envelope()


@pytest.mark.parametrize("answer", [b"250 Fine\r\n", b"355 What\r\n"])
def test_an_odd_answer_to_data_is_not_taken_for_yes(scene: Stand, answer: bytes) -> None:
    """The client comes again."""
    client = scene.connect()
    client.begin()
    scene.hop.replies["DATA"] = answer
    client.say(b"DATA")
    assert client.say(TEXT + b".").startswith(b"451 ")


def test_smuggling_ends_nowhere(scene: Stand) -> None:
    """A lone dot between anything but two CRLF: one message, refused; nothing of it is completed."""
    for number, end in enumerate((b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\r.\r\n")):
        client = scene.connect()
        client.begin()
        client.say(b"DATA")
        client.send(TEXT + b"x" * 70_000 * (number % 2) + end + b"MAIL FROM:<evil@example.com>\r\n.\r\n")
        assert client.reply().startswith(b"554 5.6.0 ")
        assert client.reply() == b""
    assert scene.hop.messages == []
    assert {event for event, _ in scene.said} == {Event.PROTOCOL_ERROR}
    assert scene.server.counters.protocol_errors == number + 1
    assert not any(b"evil" in line for line in scene.hop.told)


@pytest.mark.parametrize("line", [b"NOOP\rRSET", b"NO\0OP"])
def test_a_command_line_holds_one_command(scene: Stand, line: bytes) -> None:
    """What a next hop might take for two does not reach it."""
    client = scene.connect()
    client.reply()
    before = len(scene.hop.told)
    assert client.say(line).startswith(b"500 ")
    assert len(scene.hop.told) == before


def test_a_bare_lf_ends_the_session(scene: Stand) -> None:
    """Nobody can tell any more what is one command; none of them reaches the next hop."""
    client = scene.connect()
    client.reply()
    before = len(scene.hop.told)
    assert client.say(b"NOOP\nMAIL FROM:<x>").startswith(b"521 ")
    assert client.reply() == b""
    assert len(scene.hop.told) == before
    assert [event for event, _ in scene.said] == [Event.PROTOCOL_ERROR]


@pytest.mark.parametrize("method", [b"POST", b"get", b"CONNECT", b"Put"])
def test_what_a_page_has_a_browser_send_is_no_mail(scene: Stand, method: bytes) -> None:
    """A form's content may read as SMTP; its first line ends the session."""
    client = scene.connect()
    client.reply()
    told = len(scene.hop.told)
    client.send(
        method + b" / HTTP/1.1\r\nHost: mx.example.org\r\n\r\nEHLO x\r\nMAIL FROM:<a@example.com>\r\n"
    )
    assert client.reply().startswith(b"521 ")
    assert client.reply() == b""
    assert scene.hop.told[told:] == []
    assert scene.said[0][1].endswith("it spoke HTTP")


def test_a_long_line_is_skipped(scene: Stand) -> None:
    """It is refused, the next is taken."""
    client = scene.connect()
    client.reply()
    assert client.say(b"NOOP " + b"x" * 200_000) == b"500 5.5.2 Line too long\r\n"
    assert client.say(b"NOOP").startswith(b"250 ")


def test_a_long_line_in_a_group_has_its_reply(scene: Stand) -> None:
    """No reply is missing, so that none is taken for another's."""
    client = scene.connect()
    client.reply()
    client.say(b"EHLO client.example.com")
    client.send(
        b"MAIL FROM:<a@example.com>\r\nRCPT TO:<%s>\r\nNOPE\r\nRCPT TO:<b@example.org>\r\n" % (b"x" * 13_000)
    )
    assert [client.reply()[:3] for _ in range(4)] == [b"250", b"500", b"502", b"250"]
    assert len(scene.hop.told) == 5


def test_a_client_cannot_speak_for_another(scene: Stand) -> None:
    """XCLIENT is ours to say; it is not even offered."""
    client = scene.connect()
    client.reply()
    assert b"XCLIENT" not in client.say(b"EHLO client.example.com")
    assert client.say(b"XCLIENT ADDR=192.0.2.1").startswith(b"502 ")
    assert sum(line.startswith(b"XCLIENT") for line in scene.hop.told) == 1


def test_chunks_pass(scene: Stand) -> None:
    """BDAT (RFC 3030), pipelined, the header in pieces, any bytes."""
    client = scene.connect()
    client.begin()
    first, second, third = TEXT[:40], TEXT[40:], b"\n.\n\0\r.\r\r\n.\r\n"
    chunks = (b"BDAT %d\r\n%s" % (len(it), it) for it in (first, second))
    client.send(b"".join(chunks) + b"BDAT %d LAST\r\n%s" % (len(third), third))
    assert [client.reply()[:4] for _ in range(3)] == [b"250 "] * 3
    assert scene.hop.messages == [first + second + third]
    assert len(scene.gate.asked) == 1
    assert len(scene.gate.asked[0][1]) == 1


@pytest.mark.parametrize("pieces", [1, 2, 5])
def test_chunks_of_a_refused_message_never_become_a_message(scene: Stand, pieces: int) -> None:
    """However its header is cut up: it gets no LAST chunk, the client sees the refusal."""
    scene.gate.answer = LATER
    client = scene.connect()
    client.begin()
    size = len(TEXT) // pieces + 1
    cut = [TEXT[place : place + size] for place in range(0, len(TEXT), size)]
    replies = []
    for number, piece in enumerate(cut, 1):
        last = b" LAST" if number == len(cut) else b""
        client.send(b"BDAT %d%s\r\n%s" % (len(piece), last, piece))
        replies.append(client.reply())
        scene.hop.replies["BDAT"] = (
            b"503 5.5.1 No transaction\r\n" if b"RSET" in scene.hop.told else b"250 Ok\r\n"
        )
        if not replies[-1].startswith(b"250"):
            break
    assert replies[-1] == LATER.encode() + b"\r\n"
    assert scene.hop.told[-1] == b"RSET"
    assert scene.hop.messages == []
    scene.gate.answer = None
    scene.hop.replies.pop("BDAT", None)
    client.envelope()
    client.send(b"BDAT %d LAST\r\n%s" % (len(TEXT), TEXT))
    assert client.reply().startswith(b"250 ")


@pytest.mark.parametrize("envelope", [True, False])
@pytest.mark.parametrize("greeting", [b"EHLO client.example.com", b"HELO client.example.com"])
def test_a_chunk_that_was_not_offered_is_no_commands_for_the_next_hop(
    scene: Stand, greeting: bytes, envelope: bool
) -> None:
    """One that knows no chunks would take what is in it for commands of ours, whom it trusts."""
    scene.hop.replies["EHLO"] = EHLO.replace(b"250-CHUNKING\r\n", b"")
    client = scene.connect()
    client.reply()
    client.say(greeting)
    if envelope:
        client.envelope()
    forged = b"XCLIENT ADDR=127.0.0.1\r\n"
    client.send(b"BDAT %d LAST\r\n%s" % (len(forged), forged))
    assert client.reply().startswith(b"502 ")
    assert client.reply() == b""
    assert not any(line.startswith(b"BDAT") for line in scene.hop.told)
    assert sum(line.startswith(b"XCLIENT") for line in scene.hop.told) == 1


def test_a_chunk_for_nobody_stays_here(scene: Stand) -> None:
    """Not every next hop would skip it; the session goes on behind it."""
    client = scene.connect()
    client.reply()
    client.say(b"EHLO client.example.com")
    client.send(b"BDAT 6 LAST\r\nRSET\r\nNOOP\r\n")
    assert client.reply().startswith(b"554 ")
    assert client.reply().startswith(b"250 ")
    assert scene.hop.told[-1] == b"NOOP"
    assert not any(line.startswith((b"BDAT", b"RSET")) for line in scene.hop.told)


@pytest.mark.parametrize("size", [b"many", b"4294967297"])
def test_a_chunk_of_no_size_ends_the_session(scene: Stand, size: bytes) -> None:
    """Nobody knows what of the rest is commands; nor does a next hop that counts with 32 bits."""
    client = scene.connect()
    client.begin()
    assert client.say(b"BDAT " + size).startswith(b"501 ")
    assert client.reply() == b""


def test_with_the_next_hop_away_the_client_comes_again() -> None:
    """421 in place of a greeting."""
    with stand() as scene:
        scene.hop.close()
        client = scene.connect()
        assert client.reply().startswith(b"421 4.4.1 proxy.example.org ")
        assert client.reply() == b""
        until(lambda: scene.said)
        assert [event for event, _ in scene.said] == [Event.NEXT_HOP]
        assert scene.server.counters.next_hop_errors == 1


@pytest.mark.parametrize("moment", ["RCPT", "DATA", "CONTENT", "EHLO", "END"])
def test_a_next_hop_that_dies_loses_no_message(scene: Stand, moment: str) -> None:
    """Whenever it does: the client gets a 421, and there is no half message."""
    client = scene.connect()
    client.begin()
    scene.hop.hang_up_in = moment
    if moment in ("RCPT", "EHLO"):
        assert client.say(moment.encode() + b" TO:<c@example.org>").startswith(b"421 ")
    else:
        client.say(b"DATA")
        client.send(TEXT)
        for _ in range(50):
            client.send(b"x" * 998 + b"\r\n")
        client.send(b".\r\n")
        assert client.reply().startswith(b"421 ")
    assert client.reply() == b""
    assert scene.hop.messages == []


def test_what_the_next_hop_says_before_it_goes_is_the_answer(scene: Stand) -> None:
    """A message that it finds too big in the middle: the client hears that, not that it may come again."""
    client = scene.connect()
    client.begin()
    client.say(b"DATA")
    client.send(TEXT)
    until(lambda: scene.hop.told[-1] == b"DATA")
    (connection,) = scene.server.open
    hop = connection._session._next  # type: ignore[attr-defined]
    until(lambda: hop.quiet)
    scene.hop.say(b"552 5.3.4 Too big\r\n")
    until(lambda: not hop.quiet)
    scene.hop.hang_up()
    client.send(b"x" * 998 + b"\r\n" + b"y" * 998 + b"\r\n.\r\n")
    assert client.reply() == b"552 5.3.4 Too big\r\n"
    assert scene.hop.messages == []


def test_data_does_not_follow_a_chunk(scene: Stand) -> None:
    """RFC 3030 section 3."""
    client = scene.connect()
    client.begin()
    client.send(b"BDAT %d\r\n%s" % (len(TEXT), TEXT))
    assert client.reply().startswith(b"250 ")
    assert client.say(b"DATA").startswith(b"503 ")


def test_what_the_next_hop_says_unasked_reaches_the_client(scene: Stand) -> None:
    """It shuts down while the client is silent."""
    client = scene.connect()
    client.begin()
    scene.hop.say(b"421 4.3.2 Shutting down\r\n")
    assert client.reply() == b"421 4.3.2 Shutting down\r\n"
    assert client.reply() == b""


def test_a_client_that_hangs_up_leaves_no_half_message(scene: Stand) -> None:
    """The next hop is cut off before the dot."""
    client = scene.connect()
    client.begin()
    client.say(b"DATA")
    client.send(TEXT + b"half a li")
    until(lambda: b"DATA" in scene.hop.told)
    client.close()
    until(lambda: scene.hop.cut_off)
    until(lambda: not scene.server.open)
    assert scene.hop.messages == []


@pytest.mark.parametrize("evicted", [False, True])
def test_nothing_is_kept_of_a_message_that_was_cut_off(scene: Stand, evicted: bool) -> None:
    """Not until the collector comes: it may hold 128 KiB."""
    client = scene.connect()
    client.begin()
    client.say(b"DATA")
    client.send(TRACE)
    (connection,) = scene.server.open
    message = weakref.ref(connection._session._message)  # type: ignore[attr-defined]
    until(lambda: message()._head.text)
    gc.disable()
    try:
        if evicted:
            scene.loop.call_soon_threadsafe(connection.hang_up)
        else:
            client.close()
        until(lambda: message() is None)
    finally:
        gc.enable()
    until(lambda: not scene.server.open)


@pytest.mark.parametrize("where", ["GREETING", "XCLIENT"])
def test_a_next_hop_that_turns_the_client_away_is_heard(scene: Stand, where: str) -> None:
    """Its greeting is the client's, and it hears nothing more: it would take the client for us."""
    scene.hop.replies[where] = b"554 5.7.1 Blocked by us\r\n"
    client = scene.connect()
    assert client.reply() == b"554 5.7.1 Blocked by us\r\n"
    told = len(scene.hop.told)
    assert client.say(b"EHLO client.example.com").startswith(b"503 ")
    client.send(b"MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n")
    assert [client.reply()[:4] for _ in range(3)] == [b"503 "] * 3
    assert client.say(b"QUIT").startswith(b"221 ")
    assert scene.hop.told[told:] == [b"QUIT"]


@pytest.mark.parametrize("reply", [b"501 5.5.4 Bad XCLIENT syntax\r\n", b"503 5.5.1 Bad sequence\r\n"])
def test_what_is_wrong_in_our_own_words_bounces_nobodys_mail(scene: Stand, reply: bytes) -> None:
    """It is not about the client, who comes again."""
    scene.hop.replies["XCLIENT"] = reply
    client = scene.connect()
    assert client.reply().startswith(b"421 ")
    until(lambda: scene.said)
    assert "XCLIENT" in scene.said[0][1]


def test_without_xclient_nothing_passes(scene: Stand) -> None:
    """The next hop would take every client for us, whom it may trust: better no mail than an open relay."""
    scene.hop.replies["EHLO"] = b"250-mx.example.org\r\n250 PIPELINING\r\n"
    client = scene.connect()
    assert client.reply().startswith(b"421 ")
    until(lambda: scene.said)
    assert "does not offer XCLIENT" in scene.said[0][1]


def test_a_silent_client_is_told_and_left() -> None:
    """After the time that RFC 5321 gives it, here a short one."""
    with stand(timeouts=Timeouts(command=0.1, content=0.1)) as scene:
        client = scene.connect()
        client.reply()
        assert client.reply().startswith(b"421 4.4.2 ")
        client = scene.connect()
        client.begin()
        client.say(b"DATA")
        client.send(TEXT)
        assert client.reply().startswith(b"421 4.4.2 ")
        until(lambda: scene.hop.cut_off)
        assert scene.hop.messages == []


def test_a_slow_next_hop_is_given_up() -> None:
    """Its word on a message does not come: the client comes again."""
    with stand(timeouts=Timeouts(end=0.1)) as scene:
        client = scene.connect()
        client.begin()
        client.say(b"DATA")
        scene.hop.slow.clear()
        client.send(TEXT + b".\r\n")
        assert client.reply().startswith(b"421 4.4.1 ")


def test_who_is_one_too_many_is_told_to_come_again() -> None:
    """With a 421."""
    with stand(Limits(connections=1)) as scene:
        first = scene.connect()
        first.reply()
        assert scene.connect().reply().startswith(b"421 4.3.2 ")
        assert first.say(b"NOOP").startswith(b"250 ")
        assert scene.server.counters.overloads == 1


def test_when_the_door_closes_clients_are_told(scene: Stand) -> None:
    """421; and a message under way is not completed."""
    idle, busy = scene.connect(), scene.connect()
    idle.reply()
    busy.begin()
    busy.say(b"DATA")
    busy.send(TEXT)
    until(lambda: scene.hop.told[-1] == b"DATA")
    scene.close_door()
    assert idle.reply().startswith(b"421 4.3.2 ")
    assert busy.reply() == b""
    assert scene.hop.messages == []


def test_a_long_message_waits_for_a_slow_next_hop(scene: Stand) -> None:
    """The client cannot send more than the buffers hold: no message is kept in memory."""
    client = scene.connect()
    client.begin()
    client.say(b"DATA")
    scene.hop.slow.clear()
    client.socket.settimeout(1)
    with pytest.raises(TimeoutError):
        client.send((b"x" * 998 + b"\r\n") * 32_000)
    (connection,) = scene.server.open
    assert len(connection._buffer) < 1 << 20  # type: ignore[attr-defined]
    scene.hop.slow.set()


def test_a_proxy_tells_by_xclient_unless_told_otherwise() -> None:
    """The one way by which the next hop decides as though there was no proxy."""
    assert Proxy(str, None, None).tell is Tell.XCLIENT  # type: ignore[arg-type]


@settings(max_examples=25)
@given(cuts=st.lists(st.integers(1, 600), max_size=8), refused=st.booleans())
def test_it_does_not_matter_how_a_conversation_is_cut_up(cuts: list[int], refused: bool) -> None:
    """Two messages in a row, the second with a forged end or not, in any pieces: the same answers."""
    middle = b"\n.\r\nMAIL FROM:<evil@example.com>\r\n" if refused else b"\r\n..\r\n"
    envelope = b"MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n"
    messages = [TEXT + b".\r\n", TEXT + middle + b"end\r\n.\r\n"]
    whole = envelope + messages[0] + envelope + messages[1] + b"QUIT\r\n"
    with stand() as scene:
        client = scene.connect()
        client.reply()
        client.say(b"EHLO client.example.com")
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start, stop in itertools.pairwise([0, *sorted(cuts), len(whole)]):
            client.send(whole[start:stop])
        codes = [client.reply()[:3] for _ in range(9)]
        last = [b"554", b""] if refused else [b"250", b"221"]
        assert codes == [b"250", b"250", b"354", b"250", b"250", b"250", b"354", *last]
        assert scene.hop.messages == messages[: 1 if refused else 2]
        assert not any(b"evil" in line for line in scene.hop.told)


def test_a_next_hop_that_dies_in_a_chunk_loses_no_message(scene: Stand) -> None:
    """The rest of the chunk is skipped, and the client comes again."""
    client = scene.connect()
    client.begin()
    scene.hop.hang_up_in = "BDAT"
    rest = b"x" * 3_000_000
    client.send(b"BDAT %d LAST\r\n" % (len(TEXT) + len(rest)) + TEXT + rest)
    assert client.reply().startswith(b"421 ")
    assert scene.hop.messages == []


def test_a_message_for_more_domains_than_can_be_kept_passes(scene: Stand) -> None:
    """Nobody could say whose it is."""
    scene.gate.answer = LATER
    client = scene.connect()
    client.begin(*(b"a@d%d.example" % number for number in range(1001)))
    client.say(b"DATA")
    assert client.say(TEXT + b".").startswith(b"250 ")
    assert not scene.gate.asked


def test_a_client_that_waits_for_a_slow_next_hop_is_not_idle() -> None:
    """The sweep of the other doors ends no session: each has its own times."""
    with stand(Limits(idle=1, sweep=0.01)) as scene:
        client = scene.connect()
        client.begin()
        for _ in range(200):
            scene.loop.call_soon_threadsafe(scene.server.sweep)
        assert client.say(b"NOOP").startswith(b"250 ")


def test_an_error_in_a_session_ends_that_session_alone(scene: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client comes again, and the administrator is told."""
    client, other = scene.connect(), scene.connect()
    client.begin()
    other.begin()
    with monkeypatch.context() as broken:
        broken.setattr("wehr.doors.smtp.session.commands.keywords", lambda _: 1 // 0)
        assert client.say(b"EHLO again").startswith(b"421 4.3.0 ")
    assert client.reply() == b""
    assert other.say(b"NOOP").startswith(b"250 ")
    until(lambda: scene.said)
    assert "ZeroDivisionError" in scene.said[0][1]
