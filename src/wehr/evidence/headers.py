"""The ``Received`` fields of a raw header block, without parsing anything else of it."""

import re

MAX_FIELDS = 256
"""Fields that are handed on. RFC 5321 section 6.3 takes more than 100 for a loop."""
MAX_BLOCK = 1 << 20
"""Bytes of a header block that are looked at."""

_FIELD = re.compile(rb"(?i:\nreceived)[ \t]*+:([^\n]*+(?:\n[ \t][^\n]*+)*+)")


def split_headers(block: bytes) -> list[bytes]:
    """The bodies of the ``Received`` fields, top first, folding kept; at most `MAX_FIELDS` of them.

    ``block`` is a raw message or its header (LF or CRLF); what follows the first blank line, or `MAX_BLOCK`
    bytes, is not looked at.
    """
    block = b"\n" + block[:MAX_BLOCK]
    ends = [block.find(b"\n\n"), block.find(b"\n\r\n") if b"\r" in block else -1]
    end = min((end for end in ends if end >= 0), default=len(block))
    return _FIELD.findall(block[:end])[:MAX_FIELDS]
