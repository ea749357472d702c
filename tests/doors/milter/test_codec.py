"""The codec: what is encoded is decoded, whatever the pieces it arrives in, at bounded memory."""

import re
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wehr.doors.milter import codec
from wehr.doors.milter.codec import KEPT, LIMIT, Frames, Offer
from wehr.doors.wire import ProtocolError

TEXT = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=50)
FRAMES = st.lists(st.tuples(st.sampled_from(b"ABCDEHKLMNOQRTUacy"), st.binary(max_size=300)), max_size=20)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """The data in pieces."""
    bounds = [0, *sorted({place % (len(data) + 1) for place in places}), len(data)]
    return [data[start:stop] for start, stop in pairwise(bounds)]


def read(frames: Frames, *pieces: bytes) -> list[tuple[int, bytes]]:
    """All frames in these pieces."""
    return [
        (command, buffer[start:stop])
        for piece in pieces
        for command, buffer, start, stop in frames.feed(piece)
    ]


@given(FRAMES, st.lists(st.integers(0, 10_000)))
def test_frames_are_read_whatever_pieces_they_arrive_in(
    sent: list[tuple[int, bytes]], places: list[int]
) -> None:
    """The same frames come out, and nothing is held back, however the bytes are cut."""
    data = b"".join(codec.frame(command, payload) for command, payload in sent)
    frames = Frames()

    assert read(frames, *cut(data, places)) == sent
    assert frames.pending == 0


@given(st.lists(st.binary(max_size=64), max_size=30))
def test_any_bytes_are_frames_or_a_protocol_error(pieces: list[bytes]) -> None:
    """Noise never raises anything else, and never holds back more than it brought."""
    frames = Frames()
    try:
        read(frames, *pieces)
    except ProtocolError:
        return

    assert frames.pending <= LIMIT


def test_of_an_oversize_header_the_beginning_is_kept() -> None:
    """A 1 MB header costs KEPT bytes, and the frames behind it are read, in whatever pieces they arrive."""
    header = b"Received\0" + b"x" * (1 << 20)
    data = codec.frame(codec.HEADER, header) + codec.frame(codec.END_OF_HEADERS)
    expected = [(codec.HEADER, header[: KEPT - 1]), (codec.END_OF_HEADERS, b"")]

    for size in (len(data), 1 << 18, 65_536, 1_000):
        frames = Frames()
        pieces = [data[start : start + size] for start in range(0, len(data), size)]
        assert read(frames, *pieces) == expected


def test_memory_held_back_is_bounded() -> None:
    """Whatever a header claims to be, not more than KEPT bytes of it are held."""
    frames = Frames()
    read(frames, LIMIT.to_bytes(4, "big") + b"L")
    for _ in range(100):
        read(frames, b"x" * 8192)
        assert len(frames._part) <= KEPT + 4


@pytest.mark.parametrize(
    ("length", "command"),
    [(0, b"A"), (KEPT + 1, b"M"), (KEPT + 1, b"D"), (LIMIT + 1, b"L"), (0xFFFFFFFF, b"B")],
)
def test_impossible_lengths_are_a_protocol_error(length: int, command: bytes) -> None:
    """No command at all, or more than any mail system sends: recognised from the first five bytes."""
    with pytest.raises(ProtocolError):
        read(Frames(), length.to_bytes(4, "big"), command)


@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
    st.lists(
        st.tuples(st.sampled_from(sorted(codec.MACRO_STAGES)), st.from_regex(r"[a-z{} _]*", fullmatch=True))
    ),
)
def test_offers_come_back(version: int, actions: int, steps: int, macros: list[tuple[int, str]]) -> None:
    """What is offered is what is read."""
    offer = Offer(version, actions, steps, tuple(macros))

    assert read(Frames(), codec.encode_offer(offer)) == [(codec.NEGOTIATE, codec.encode_offer(offer)[5:])]
    assert codec.decode_offer(codec.encode_offer(offer)[5:]) == offer


@given(st.dictionaries(st.from_regex(r"\{?[a-z_]+\}?", fullmatch=True), TEXT), st.sampled_from(b"CHMRTNE"))
def test_macros_come_back(macros: dict[str, str], command: int) -> None:
    """What is defined is what is read, and for the command that it was defined for."""
    payload = codec.encode_macros(command, macros)[5:]

    assert payload[0] == command
    assert codec.decode_macros(payload[1:]) == {
        name.encode(): value.encode() for name, value in macros.items()
    }


@given(st.lists(TEXT, min_size=1, max_size=5))
def test_strings_come_back(texts: list[str]) -> None:
    """HELO, MAIL, RCPT and headers carry NUL-terminated strings."""
    assert codec.decode_strings(codec.encode_strings(codec.MAIL, *texts)[5:]) == [
        text.encode() for text in texts
    ]


@pytest.mark.parametrize("payload", [b"", b"mail.example.com", b"a\0b"])
def test_truncated_strings_are_a_protocol_error(payload: bytes) -> None:
    """A string without its NUL was cut off."""
    with pytest.raises(ProtocolError):
        codec.decode_strings(payload)


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1"])
def test_connections_come_back(address: str) -> None:
    """The client's name and address are read."""
    payload = codec.encode_connect("mail.example.com", address, 25)[5:]

    assert codec.decode_connect(payload) == (b"mail.example.com", address.encode())


@pytest.mark.parametrize("address", ["", "/run/smtp.sock"])
def test_a_client_without_ip_address_has_none(address: str) -> None:
    """Neither an unknown address nor a local socket is an IP address."""
    assert codec.decode_connect(codec.encode_connect("localhost", address)[5:]) == (b"localhost", b"")


def test_sendmail_s_mark_of_ipv6_addresses_is_taken_off() -> None:
    """Sendmail writes IPv6:2001:db8::1."""
    payload = b"mail.example.com\x006\0\x19IPv6:2001:db8::1\0"

    assert codec.decode_connect(payload)[1] == b"2001:db8::1"


@pytest.mark.parametrize("payload", [b"", b"name", b"name\0", b"name\x004\0\x19192.0.2.1"])
def test_a_truncated_connection_is_a_protocol_error(payload: bytes) -> None:
    """Name, family, port and address belong to it."""
    with pytest.raises(ProtocolError):
        codec.decode_connect(payload)


@given(st.binary(max_size=100))
def test_any_payload_is_read_or_a_protocol_error(payload: bytes) -> None:
    """No decoder raises anything else."""
    codec.decode_macros(payload)
    for decode in (codec.decode_offer, codec.decode_strings, codec.decode_connect):
        try:
            decode(payload)
        except ProtocolError:
            continue


@given(
    st.sampled_from(["450 4.7.230 ", "550 5.7.230 ", "421 4.3.2 "]),
    st.text(max_size=700).filter(lambda text: bool(text.strip(" "))),
)
@example("450 4.7.230 ", "100% of mx\r\n250 OK \0 \u00e9")
def test_a_reply_is_well_formed_whatever_its_text_holds(code: str, text: str) -> None:
    """One line of printable ASCII without a per cent sign, below 512 bytes, ending in one NUL."""
    if not text[: 510 - len(code)].strip(" "):
        return
    frame = codec.encode_reply(code + text)

    (reply,) = read(Frames(), frame)
    assert reply[0] == codec.REPLY_CODE
    assert re.fullmatch(rb"[ -$&-~]{1,510}\0", reply[1])
    assert reply[1].startswith(code.encode())


@pytest.mark.parametrize(
    "line",
    ["", "450", "450 4.7.230", "450 4.7.230  ", "550 4.7.1 no", "250 2.0.0 ok", "450 no", "999 9.9.9 x", "x"],
)
def test_what_is_no_refusal_is_no_reply(line: str) -> None:
    """Postfix would answer 451 and drop the milter for the session."""
    with pytest.raises(ValueError, match="not a refusal"):
        codec.encode_reply(line)
