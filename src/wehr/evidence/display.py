"""A hop as a line that may be shown and kept: printable ASCII, without recipients and local parts."""

import re

MAX_LINE = 500

_RECIPIENT = re.compile(rb"<[^>]*+>?|(?:\"[^\"]*+\")?[^ ;]*+")
_QUOTED = re.compile(rb"\"[^\"]*+\"(?=@)")
_LOGIN = rb"\((?:[Aa]uthenticated|[Ss]mtp-[Aa]uth|[Aa]ccount|user=)"
_USER = re.compile(rb" ?" + _LOGIN + rb"[^()]*+\)")
_SHOWS_USER = re.compile(_LOGIN).search
# Exim names the user of its own machine whose message it is where other hops name the client.
_LOCAL_USER = re.compile(rb"^from [^ ]++ (?=by [^ ]++ with local )")
_LOCAL_PART = bytes(code for code in range(256) if code not in b' <>()[]",;:=')
_PRINTABLE = bytes(code if 0x20 <= code < 0x7F else 0x3F for code in range(256))


def display_line(line: bytes) -> str:
    """An unfolded ``Received`` field as evidence to be shown, at most `MAX_LINE` characters.

    The for-clause and the names of authenticated and local users are left out, other addresses keep their
    host alone, and whatever is not printable ASCII becomes ``?``.
    """
    head, found, tail = line[: 2 * MAX_LINE].partition(b" for ")
    if found and (recipient := _RECIPIENT.match(tail)):
        tail = tail[recipient.end() :]
    line = head + tail
    if b"@" in line:
        line = _QUOTED.sub(b"", line)
        *before, last = line.split(b"@")
        line = b"".join([part.rstrip(_LOCAL_PART) for part in before]) + last
    if _SHOWS_USER(line):
        line = _USER.sub(b"", line)
    if b" with local " in line:
        line = _LOCAL_USER.sub(b"", line)
    return line[:MAX_LINE].translate(_PRINTABLE).decode("ascii")


def printable(text: str) -> str:
    """The text with ``?`` for whatever is not printable ASCII."""
    if text.isascii() and text.isprintable():
        return text
    return text.encode("latin-1", "replace").translate(_PRINTABLE).decode("ascii")
