"""From a hop's clauses to its software and version, by the tables of `wehr.evidence.recognisers`."""

import re

from wehr.evidence.build import Build
from wehr.evidence.recognisers import CLOUD, HOSTS, RECOGNISERS, SHAPES, Place, Stamp

_BY_NOTE = tuple(entry for entry in RECOGNISERS if entry.place is Place.NOTE)
_BY_PROTOCOL = tuple(entry for entry in RECOGNISERS if entry.place is Place.PROTOCOL)

# with-clauses of nothing but a protocol (RFC 3848 and older habits) name no software: the common case, made quick.
_PLAIN = frozenset(
    {b"", b"SMTP", b"ESMTP", b"ESMTPS", b"ESMTPA", b"ESMTPSA", b"ASMTP", b"LMTP", b"HTTP", b"UTF8SMTPS"}
)

# qmail-smtpd's own format, which Yahoo's and MessageLabs' servers print too: the bare address in parentheses,
# perhaps after (HELO x), with neither id nor recipient.
_QMAIL_ORIGIN = re.compile(rb"^(?:\(HELO [^ ()]*+\) ?)?\((?:[^ ()]*@)?[0-9A-Fa-f.:]++\)$")
_QMAIL_PROTOCOL = re.compile(rb"^(?:[A-Z0-9_-]++ encrypted )?E?SMTPS?$")

_FOUR = re.compile(rb"\d{1,9}(?:\.\d{1,9}){3}$")
_NUMBER = re.compile(rb"\d{1,9}(?:[._]\d{1,9}){1,5}(?![.\d])")
_MAJORS = frozenset({4, 5, 8, 14, *range(15, 20)})
"""First numbers of Exchange builds: 4.0, 5.0 and 5.5, 2007, 2010, 2013 to SE and room to grow. No address or date."""

UNKNOWN: tuple[str, bytes, Build | None] = ("unknown", b"", None)


def recognise(stamp: Stamp) -> tuple[str, bytes, Build | None]:
    """The software ("unknown" if none is told), the version as stamped, the same as integers where it is one."""
    protocol, note = stamp.protocol, stamp.note
    if protocol not in _PLAIN:
        if protocol == b"mapi":
            return _exchange(stamp, stamp.id)
        for entry in _BY_PROTOCOL:
            if entry.marker in protocol:
                if entry.software == "exchange":
                    return _exchange(
                        stamp, stamp.id if entry.version is None else _search(entry.version, protocol)
                    )
                return _found(entry.software, entry.version, protocol)
        if protocol.startswith(b"HTTPS") and is_cloud(stamp.by):
            return "exchange-online", b"", None
    if note:
        for entry in _BY_NOTE:
            if entry.marker in note:
                return _found(entry.software, entry.version, note)
    return _by_shape(stamp)


def is_cloud(by: bytes) -> bool:
    """Whether the host is one of Exchange Online's."""
    return by.lower().endswith(CLOUD)


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


def _search(pattern: re.Pattern[bytes], text: bytes) -> bytes:
    match = pattern.search(text)
    return match[1] if match else b""


def _found(software: str, pattern: re.Pattern[bytes] | None, text: bytes) -> tuple[str, bytes, Build | None]:
    version = _search(pattern, text) if pattern else b""
    # Windows' SMTP service shows a Windows build: kept as text, for as a build it would pass for an Exchange one.
    return software, version, None if software == "smtpsvc" else _build(version)


def _exchange(stamp: Stamp, version: bytes) -> tuple[str, bytes, Build | None]:
    """On-premises or Online: the host decides, or a number that only Online has (15.20 and up)."""
    if not _FOUR.match(version):
        return "exchange-online" if is_cloud(stamp.by) else "exchange", b"", None
    build = tuple(map(int, version.split(b".")))
    if is_cloud(stamp.by) or (15, 20) <= build < (16,):
        return "exchange-online", version, build
    return "exchange", version, build if build[0] in _MAJORS else None


def _build(version: bytes) -> Build | None:
    """The leading numbers of a version: 4.86_2 and 4.96.2-12-g29d01ae2a are (4, 86, 2) and (4, 96, 2)."""
    match = _NUMBER.match(version)
    return tuple(map(int, match[0].replace(b"_", b".").split(b"."))) if match else None
