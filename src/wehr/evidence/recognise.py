"""From a hop's clauses to its software and version, by the tables of `wehr.evidence.recognisers`."""

import re
from functools import lru_cache

from wehr.evidence.build import Build
from wehr.evidence.recognisers import (
    CLOUD,
    HOSTS,
    RECOGNISERS,
    SHAPES,
    Place,
    Recogniser,
    Stamp,
)


class _Table:
    """The entries of one place, found by one search for all their markers; the leftmost in the text wins."""

    def __init__(self, place: Place) -> None:
        self._entries = {entry.marker: entry for entry in RECOGNISERS if entry.place is place}
        self._search = re.compile(b"|".join(map(re.escape, self._entries))).search

    def find(self, text: bytes) -> Recogniser | None:
        match = self._search(text)
        return self._entries[match[0]] if match else None


_NOTES, _PROTOCOLS = _Table(Place.NOTE), _Table(Place.PROTOCOL)

# with-clauses of nothing but a protocol (RFC 3848, older habits) name no software: the common case.
_PLAIN = frozenset(
    {b"", b"SMTP", b"ESMTP", b"ESMTPS", b"ESMTPA", b"ESMTPSA", b"ASMTP", b"LMTP", b"HTTP", b"UTF8SMTPS"}
)

# qmail-smtpd's own format, which Yahoo's and MessageLabs' servers print too: the bare address in parentheses,
# perhaps after (HELO x), with neither id nor recipient.
_QMAIL_ORIGIN = re.compile(rb"^(?:\(HELO [^ ()]*+\) ?)?\((?:[^ ()]*@)?[0-9A-Fa-f.:]++\)$")
_QMAIL_PROTOCOL = re.compile(rb"^(?:[A-Z0-9_-]++ encrypted )?E?SMTPS?$")

_IN_ID = b"id"
"""In place of a version: the id-clause holds it."""
_FOUR = re.compile(rb"\d{1,9}(?:\.\d{1,9}){3}$")
_NUMBER = re.compile(rb"\d{1,9}(?:[._]\d{1,9}){1,5}(?![.\d])")
_MAJORS = frozenset({4, 5, 8, 14, *range(15, 20)})
"""First numbers of Exchange builds: 4.0, 5.x, 2007, 2010, 2013 to SE, and room to grow."""


def recognise(stamp: Stamp) -> tuple[str, bytes, Build | None]:
    """The software ("unknown" if none is told), its version as stamped, and as integers where numeric."""
    protocol = stamp.protocol
    if protocol == b"mapi":
        return _exchange(stamp.by, stamp.id)
    software, version, build = _named(protocol[:512], stamp.note[:512])
    if software == "exchange":
        return _exchange(stamp.by, stamp.id if version == _IN_ID else version)
    if software:
        return software, version, build
    if protocol.startswith(b"HTTPS") and is_cloud(stamp.by):
        return "exchange-online", b"", None
    return _by_shape(stamp)


# The same few servers speak all day: what they call themselves is read once.
@lru_cache(maxsize=4096)
def _named(protocol: bytes, note: bytes) -> tuple[str, bytes, Build | None]:
    text = protocol
    entry = None if protocol in _PLAIN else _PROTOCOLS.find(protocol)
    if entry is None and note:
        entry, text = _NOTES.find(note), note
    if entry is None:
        return "", b"", None
    if entry.from_id:
        return entry.software, _IN_ID, None
    match = entry.version.search(text) if entry.version else None
    version = match[1] if match else b""
    # Windows' SMTP service shows a build of Windows: kept as text, lest it pass for one of Exchange.
    return entry.software, version, None if entry.software == "smtpsvc" else _build(version)


def is_cloud(by: bytes) -> bool:
    """Whether the host is one of Exchange Online's."""
    return by.lower().rstrip(b".").endswith(CLOUD)


def _by_shape(stamp: Stamp) -> tuple[str, bytes, Build | None]:
    """Software that does not name itself."""
    for shape in SHAPES:
        text = getattr(stamp, shape.clause)
        if text and (match := shape.form.search(text)):
            version = match[1] if shape.form.groups else b""
            return shape.software, version, _build(version)
    if (
        not (stamp.id or stamp.recipient or stamp.note)
        and _QMAIL_ORIGIN.match(stamp.origin_note)
        and _QMAIL_PROTOCOL.match(stamp.protocol)
    ):
        return "qmail", b"", None
    domain = b".".join(stamp.by.lower().rsplit(b".", 2)[-2:])
    return HOSTS.get(domain, "unknown"), b"", None


@lru_cache(maxsize=4096)
def _exchange(by: bytes, version: bytes) -> tuple[str, bytes, Build | None]:
    """On-premises or Online: the host decides, or a number that only Online has (15.20 and up)."""
    if not _FOUR.match(version):
        return "exchange-online" if is_cloud(by) else "exchange", b"", None
    build = tuple(map(int, version.split(b".")))
    if is_cloud(by) or (15, 20) <= build < (16,):
        return "exchange-online", version, build
    return "exchange", version, build if build[0] in _MAJORS else None


def _build(version: bytes) -> Build | None:
    """The leading numbers of a version: 4.86_2 and 4.96.2-12-g29d01ae2a are (4, 86, 2) and (4, 96, 2)."""
    match = _NUMBER.match(version)
    return tuple(map(int, match[0].replace(b"_", b".").split(b"."))) if match else None
