"""Where a message ends, however it is cut up; nothing that one side might take for an end passes."""

import itertools
import re

from hypothesis import example, given
from hypothesis import strategies as st

from wehr.doors.smtp.framing import Chunk, Content, Head

PIECES = st.lists(
    st.sampled_from(
        [b"\r\n", b"\r", b"\n", b".", b"..", b"x", b"\0", b" ", b"\r\n.\r\n", b"\n.\n", b"MAIL FROM:<>"]
    )
)
STREAMS = PIECES.map(b"".join)
CUTS = st.lists(st.integers(0, 60))


def fed(stream: bytes, cuts: list[int]) -> tuple[bytes, Content]:
    """What passes of a stream that comes in so many pieces, and what is known at its end."""
    content, out = Content(), b""
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    for start, stop in itertools.pairwise(edges):
        out += content.feed(stream[start:stop])
        if content.ended:
            content.rest += stream[stop:]
            break
    return out, content


def lone_dots(stream: bytes) -> list[bytes]:
    """Every lone dot with the line ends around it, by any reading of them; as slowly as can be.

    To who keeps lines as C strings, a NUL ends one.
    """
    text = b"\r\n" + stream
    found = []
    for place in range(len(text)):
        for before in (b"\r\n", b"\r", b"\n"):
            if before == b"\n" and text[place - 1 : place] == b"\r":
                continue
            for after in (b"\r\n", b"\r", b"\n", b"\0"):
                whole = before + b"." + after
                if text.startswith(whole, place):
                    if after == b"\r" and text[place + len(whole) : place + len(whole) + 1] in (b"\n", b""):
                        continue
                    found.append(whole)
    return found


@given(STREAMS, CUTS, CUTS)
@example(b".\r\n", [], [1, 2])
@example(b"\n.\r\n.\r\n", [], [1, 2, 3])
@example(b"a\r\n.\r\rb\r\n.\r\n", [], [5, 6])
def test_it_does_not_matter_how_a_message_is_cut_up(
    stream: bytes, cuts: list[int], others: list[int]
) -> None:
    """Any pieces: the same passes, the same end, the same rest."""
    out, content = fed(stream, cuts)
    again, other = fed(stream, others)
    assert (content.ended, content.rest) == (other.ended, other.rest)
    assert (content.forged, out) == (other.forged, again)


@given(STREAMS, CUTS)
def test_a_message_ends_at_a_dot_between_two_crlf_and_nowhere_else(stream: bytes, cuts: list[int]) -> None:
    """What follows is the rest; without such a dot there is no end."""
    out, content = fed(stream, cuts)
    place = (b"\r\n" + stream).find(b"\r\n.\r\n")
    assert content.ended == (place >= 0)
    if content.ended:
        assert content.rest == stream[place + 3 :]
        if not content.forged:
            assert out == stream[:place]
    assert stream.startswith(out)


@given(STREAMS, CUTS)
@example(b"a\r\n.\0\r\nMAIL FROM:<>", [4])
def test_what_passes_holds_no_end_by_anybodys_reading(stream: bytes, cuts: list[int]) -> None:
    """Nothing smuggled: neither in what is sent on, nor together with the dot that we put behind it."""
    out, content = fed(stream, cuts)
    first = next(iter(lone_dots(stream)), b"")
    assert content.forged == (first not in (b"", b"\r\n.\r\n"))
    sent = b"\r\n" + out + (b".\r\n" if content.ended and not content.forged else b"")
    ends = [match.end() for match in re.finditer(rb"(?:\r\n|[\r\n])\.(?:\r\n|[\r\n\0])", sent)]
    assert ends == ([len(sent)] if content.ended and not content.forged else [])


@given(st.binary(max_size=2000), CUTS)
def test_any_bytes_at_all_pass_unchanged(text: bytes, cuts: list[int]) -> None:
    """As a client stuffs them: not one is changed, whatever they are."""
    stuffed = re.sub(rb"(^|[\r\n])\.", rb"\1..", text)
    out, content = fed(stuffed + b"\r\n.\r\n", cuts)
    assert content.ended
    assert not content.forged
    assert out == stuffed + b"\r\n"


def test_a_dot_and_crlf_is_an_empty_message() -> None:
    """The CRLF of the DATA command is the one before it."""
    out, content = fed(b".\r\nQUIT\r\n", [])
    assert (out, content.ended, content.forged, content.rest) == (b"", True, False, b"QUIT\r\n")


@given(STREAMS, CUTS)
def test_a_header_ends_at_the_first_blank_line_under_any_reading(stream: bytes, cuts: list[int]) -> None:
    """However it comes in."""
    head = Head(1000)
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    for start, stop in itertools.pairwise(edges):
        head.feed(stream[start:stop])
    assert head.complete == bool(re.search(rb"\n\r?\n", b"\n" + stream))
    assert bytes(head.text) == stream


def test_a_header_without_end_is_complete_at_the_limit() -> None:
    """Nobody keeps us busy with one."""
    head = Head(10)
    head.feed(b"x" * 9)
    assert (head.complete, head.room) == (False, 1)
    head.feed(b"x")
    assert (head.complete, head.room) == (True, 0)


def test_a_chunk_says_how_much_follows() -> None:
    """RFC 3030; what is not so written says nothing."""
    assert Chunk.of(b"BDAT 12\r\n") == Chunk(12, last=False)
    assert Chunk.of(b"bdat 0 last\r\n") == Chunk(0, last=True)
    for line in (
        b"BDAT\r\n",
        b"BDAT x\r\n",
        b"BDAT -1\r\n",
        b"BDAT 1 LASTLY\r\n",
        b"BDAT " + b"9" * 19 + b"\r\n",
        b"BDAT 2147483647\r\n",  # which is more with a field of ours in front
    ):
        assert Chunk.of(line) is None
