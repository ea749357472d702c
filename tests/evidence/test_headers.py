"""The Received fields of a raw header block."""

from hypothesis import given
from hypothesis import strategies as st

from wehr.evidence import split_headers
from wehr.evidence.headers import MAX_BLOCK, MAX_FIELDS

BLOCK = (
    b"Return-Path: <>\nReceived: one\n\tfolded\nSubject: Received: no\nX-Received: no\n"
    b"RECEIVED : two\nreceived:three"
)


def test_fields_come_top_first_with_their_folding() -> None:
    """Names in any case, blanks before the colon, folded lines; nothing that only looks alike."""
    assert split_headers(BLOCK) == [b" one\n\tfolded", b" two", b"three"]


def test_crlf_reads_like_lf() -> None:
    """The line ends do not matter, but for what is kept of the folding."""
    fields = split_headers(BLOCK.replace(b"\n", b"\r\n"))
    assert [b" ".join(field.split()) for field in fields] == [b"one folded", b"two", b"three"]


def test_the_body_is_not_looked_at() -> None:
    """A blank line ends the header, whichever line ends stand around it."""
    for end in (b"\n", b"\r\n"):
        assert split_headers(b"Received: a" + end + b"X: y" + end + end + b"Received: b") == [
            b" a" + end[:-1]
        ]
    assert split_headers(b"\nReceived: b") == []


def test_number_and_size_are_bounded() -> None:
    """Ten thousand fields or a huge block: only the first part is read."""
    assert len(split_headers(b"Received: x\n" * 10_000)) == MAX_FIELDS
    assert split_headers(b"X: " + b"y" * MAX_BLOCK + b"\nReceived: late") == []


@given(
    st.binary(max_size=400)
    | st.lists(st.sampled_from([b"Received", b":", b"\n", b"\r\n", b" ", b"x"])).map(b"".join)
)
def test_any_bytes_give_fields(block: bytes) -> None:
    """Nothing throws, and no field holds an unfolded line end."""
    for field in split_headers(block):
        assert all(line[:1] in (b" ", b"\t") for line in field.split(b"\n")[1:])
