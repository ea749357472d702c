"""The ``Received`` fields of a raw header block, without parsing anything else of it."""

import re
from itertools import islice

MAX_FIELDS = 100
"""Fields of a message that are looked at, everywhere. RFC 5321 section 6.3 takes more for a loop; real mail
has up to 20."""
MAX_BLOCK = 1 << 20
"""Bytes of a header block that are looked at."""

# At each line: a Received field with its folded lines, or the blank line that ends the header.
_FIELD_OR_END = re.compile(rb"\n(?:(?i:received)[ \t]*+:([^\n]*+(?:\n[ \t][^\n]*+)*)|\r?\n)")


def split_headers(block: bytes) -> list[bytes]:
    """The bodies of the ``Received`` fields, top first, folding kept; at most `MAX_FIELDS` of them.

    ``block`` is a raw message or its header (LF or CRLF); what follows the first blank line, or `MAX_BLOCK`
    bytes, is not looked at.
    """
    found = []
    for match in islice(_FIELD_OR_END.finditer(b"\n" + block[:MAX_BLOCK]), MAX_FIELDS):
        body = match[1]
        if body is None:
            break
        found.append(body)
    return found
