"""Whatever comes in at the address for bounces, reading it never throws and is soon done."""

import time

from hypothesis import given
from hypothesis import strategies as st

from wehr.notices.bounce import MOST_BYTES, Bounce, read_bounce

_PIECES = st.sampled_from(
    [
        b"Content-Type: multipart/report; report-type=delivery-status; boundary=x\r\n",
        b"Content-Type: message/delivery-status\r\n",
        b"Content-Type: message/rfc822\r\n",
        b"Content-Transfer-Encoding: base64\r\n",
        b"Final-Recipient: rfc822; a@b.test\r\n",
        b"Original-Recipient: utf-8; \xff\r\n",
        b"Action: failed\r\nStatus: 5.1.1\r\n",
        b"Status: =?utf-8?q?5.1.1?=\r\n",
        b"Message-ID: <wehr.x@y>\r\n",
        b"--x\r\n",
        b"--x--\r\n",
        b"\r\n",
        b"\0\xff\r",
    ]
)


@given(st.one_of(st.binary(max_size=400), st.lists(_PIECES, max_size=30).map(b"".join)))
def test_nothing_throws(content: bytes) -> None:
    """Neither rubbish nor the pieces of a bounce in any order."""
    assert isinstance(read_bounce(content), Bounce)


def test_a_nest_of_messages_is_soon_read() -> None:
    """Parts inside of parts, as deep as is read at all."""
    part = b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n"
    begun = time.process_time()

    read_bounce(part * (MOST_BYTES // len(part)))
    read_bounce(b"Content-Type: message/rfc822\r\n\r\n" * (MOST_BYTES // 32))
    read_bounce(b"Content-Type: message/delivery-status\r\n\r\n" + b"Action: failed\r\n\r\n" * 60_000)

    assert time.process_time() - begun < 10
