"""The ``Received`` fields of a raw header block, without parsing anything else of it."""

import re

MAX_FIELDS = 256
"""Fields that are handed on; RFC 5321 section 6.3 has mail with more than 100 rejected as looping."""
MAX_BLOCK = 1 << 20
"""Bytes of a header block that are looked at."""

_END = re.compile(rb"\r?\n\r?\n")
_FIELD = re.compile(rb"^received[ \t]*+:([^\n]*+(?:\n[ \t][^\n]*+)*+)", re.IGNORECASE | re.MULTILINE)


def split_headers(block: bytes) -> list[bytes]:
    """The bodies of the ``Received`` fields, top first, folding kept; at most `MAX_FIELDS` of them.

    ``block`` is a raw message or its header (LF or CRLF); what follows the first blank line is not looked at.
    """
    end = _END.search(block, 0, MAX_BLOCK)
    found = []
    for match in _FIELD.finditer(block, 0, end.start() + 1 if end else MAX_BLOCK):
        found.append(match[1])
        if len(found) == MAX_FIELDS:
            break
    return found
