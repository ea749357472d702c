"""The grammar of a ``Received`` field (RFC 5321 section 4.4), read on bytes, in one pass.

A field is a row of clauses (``from``, ``by``, ``via``, ``with``, ``id``, ``for``), each a keyword, a word and
whatever comments and words follow it, up to the ``;`` before the date. Real fields leave clauses out, turn
them round, lose brackets and run past any line length, so nothing is required and nothing raises.
"""

import re

from wehr.evidence.address import canonical
from wehr.evidence.recognise import recognise
from wehr.evidence.recognisers import Stamp
from wehr.evidence.types import Hop

MAX_FIELD = 2048
"""Bytes of a field that are read. The longest of 16,288 real ones has 492."""
MAX_COMMENTS = 10
"""Levels of comments in each other that are read, and opening parentheses of which any may stay open: what a
server quotes (the name in a client's certificate, say) must not get out of it. Real fields have up to 9."""


def _comment(depth: int) -> bytes:
    """A comment with ``depth`` levels inside.

    Atomic, and without quoted pairs: with them, what an open parenthesis scans in vain could hold any
    number of others that do so again. A row of open ones costs at most ``depth`` times its length.
    """
    inner = rb"|" + _comment(depth - 1) if depth else rb""
    return rb"\((?>(?:[^()]++" + inner + rb")*)\)"


_KEYWORD = rb"[Ff][Rr][Oo][Mm]|[Ff][Oo][Rr]|[Bb][Yy]|[Vv][Ii][Aa]|[Ww][Ii][Tt][Hh]|[Ii][Dd]"
# A word is cut at 255 bytes, the longest host name there is (RFC 1035 section 2.3.4).
_WORD = rb"([^ ();]{0,255}+)[^ ();]*+ ?"
# What follows the word, up to the next keyword (which "ID (1493616)" of Runbox is not). A parenthesis that is
# never closed is an ordinary character.
# Atomic groups, where one would write "*+" after a group: Python before 3.11.5 (Debian 12 has 3.11.2) reads
# those wrongly (CPython gh-101955, gh-106052).
_ANY_COMMENT = _comment(MAX_COMMENTS - 1)
_PHRASE = rb"(?>(?: ?(?:" + _ANY_COMMENT + rb"|(?!(?:" + _KEYWORD + rb") (?!\(\d))[^ ();]++|[()]))*)"
_NOTE = rb"(" + _PHRASE + rb") ?"

# The clauses in the order that RFC 5321 gives them, as six in seven fields have them: one match.
_IN_ORDER = re.compile(
    rb"(?:[Ff]rom " + _WORD + _NOTE + rb")?by " + _WORD + _NOTE
    + rb"(?:with " + _NOTE + rb")?(?:id " + _WORD + rb"(?:via " + _PHRASE + rb" ?)?)?(?:(for )|(?=;|$))",
)  # fmt: skip
# One clause, for the rest of the fields. The word after a keyword is taken whatever it is, for a client may
# well call itself "by"; all behind the first ";" is the date.
_CLAUSE = re.compile(rb"(?:(" + _KEYWORD + rb")(?=[ (]) ?" + _WORD + rb")?" + _NOTE + rb"(;.*+)?", re.DOTALL)
_NONE = (b"", b"")

# Up to where a comment begins that is too deep, or never closed: what is in it must not pass for what is not.
_CLOSED = re.compile(rb"(?>(?:[^()]++|" + _ANY_COMMENT + rb"|\))*)")
# The sender's address may have any in its quotes, which comments do not know; Exim writes it as it came.
_SENDER = re.compile(rb" \(envelope-(?:from|sender) (?>(?:[^\"()]++|\"(?>(?:[^\"\\]++|\\.)*)\")*)\)")

_LITERAL = rb"(\d{1,3}+(?:\.\d{1,3}+){3}|[0-9A-Fa-f]{0,4}+:[0-9A-Fa-f:.]{1,41}+)(?:%\w++)?"
_BRACKETED = re.compile(rb"\[(?:[Ii][Pp][Vv]6:)?" + _LITERAL + rb"\]")
_BARE = re.compile(rb"\((?:[^ ()]*@|/)?(?:[Ii][Pp][Vv]6:)?" + _LITERAL + rb"(?=[) :,])")
# The HELO name where it is not the word itself: qmail and IronPort (HELO x), Exim helo=x, ZMailer "EHLO x".
_CLAIMED = re.compile(rb"[( \"](?:HELO |EHLO |(helo=))([^ ()\"]*+)")
_LOOKED_UP = re.compile(rb"\((?:[^ ()@\[\]]*+@)?([^ ()@\[\]=:]++)(?= ?\[| ?\))")
_LOCAL = frozenset(
    {"local", "lmtp", "lmtps", "lmtpa", "lmtpsa", "mapi", "http", "https", "imap", "pop3", "userid"}
)


def unfold(field: bytes) -> bytes:
    """The field on one line, blanks squeezed, without the sender; what is beyond `MAX_FIELD` is cut off."""
    cut = len(field) >= MAX_FIELD  # doors have cut it to that already
    if cut:
        # Without the word that the cut went through, lest a build lose a digit.
        field = field[:MAX_FIELD].rpartition(b" ")[0]
    line = b" ".join(field.split())
    place = line.find(b" (envelope-")
    if place >= 0 and (sender := _SENDER.match(line, place)):
        line = line[:place] + line[sender.end() :]
    if cut or line.count(b"(") > MAX_COMMENTS:
        closed = _CLOSED.match(line)
        line = closed[0] if closed else b""
    return line


def stamp_of(line: bytes) -> Stamp:
    """Cut an unfolded field into its clauses; the first of each kind counts."""
    match = _IN_ORDER.match(line)
    if match is None:
        return _in_any_order(line)
    origin, origin_note, by, note, protocol, id_, recipient = match.groups(b"")
    return Stamp(origin, origin_note, by.rstrip(b","), note, b"", protocol, id_.rstrip(b","), recipient)


def _in_any_order(line: bytes) -> Stamp:
    clauses: dict[bytes, tuple[bytes, bytes]] = {}
    for keyword, word, note, date in _CLAUSE.findall(line):
        clauses.setdefault(keyword.lower(), (word, note))
        if date:
            break
    origin, origin_note = clauses.get(b"from", _NONE)
    by, note = clauses.get(b"by", _NONE)
    return Stamp(
        origin=origin,
        origin_note=origin_note,
        by=by.rstrip(b","),
        note=note,
        via=b" ".join(clauses.get(b"via", _NONE)),
        protocol=b" ".join(clauses.get(b"with", _NONE)).rstrip(),
        id=clauses.get(b"id", _NONE)[0].rstrip(b","),
        recipient=clauses.get(b"for", _NONE)[0],
        head=clauses.get(b"", _NONE)[1],
    )


def parse_hop(field: bytes) -> Hop:
    """Read one ``Received`` field body, folded or not, whole or broken.

    Never raises; the time is linear in the length of the field, and bounded, for `MAX_FIELD` bytes are read.
    """
    return hop_of(stamp_of(unfold(field)))


def hop_of(stamp: Stamp) -> Hop:
    """What the clauses of one hop say."""
    software, version, build = recognise(stamp)
    protocol = stamp.protocol[:255].partition(b" (")[0].decode("latin-1")
    # Exim's "from USER by HOST with local" names no client, but a user of its own machine.
    origin = b"" if protocol == "local" and not stamp.origin_note else stamp.origin
    helo, from_name, from_ip = _origin(origin, stamp.origin_note)
    return Hop(
        by=stamped_name(stamp.by),
        by_ip=by_address(stamp),
        helo=helo,
        from_name=from_name,
        from_ip=from_ip,
        protocol=protocol,
        software=software,
        version=version.decode("latin-1"),
        build=build,
        submission=_is_submission(stamp, protocol),
    )


def stamped_name(by: bytes) -> str:
    """The name that the stamping server gives itself, as stamped."""
    # "by Forcepoint Email" is a product, not a host.
    return "" if by == b"Forcepoint" else _name(by)


def by_address(stamp: Stamp) -> str:
    """The address that the stamping server gives itself, canonical; "" if none."""
    return canonical(stamp.by.decode("latin-1")) or _address(stamp.note)


def _name(word: bytes) -> str:
    """A host name; of an address (``user@host``) the host alone, for no local part is kept."""
    return word.rpartition(b"@")[2].decode("latin-1")


def _address(note: bytes) -> str:
    """The address in a comment: a bracketed one before a bare one, which may be a name."""
    if not note:
        return ""
    match = _BRACKETED.search(note) or _BARE.search(note)
    return canonical(match[1].decode("latin-1")) if match else ""


def _origin(word: bytes, note: bytes) -> tuple[str, str, str]:
    """The HELO name, the name that the stamping server looked up, and the address, of the peer."""
    helo = _name(word)
    if not note:
        return helo, "", canonical(word.decode("latin-1"))
    claimed = _CLAIMED.search(note)
    if claimed is None:
        looked_up = _LOOKED_UP.match(note)
        name = looked_up[1].rstrip(b".").decode("latin-1") if looked_up else ""
        if b"may be forged" in note:
            name = ""
        if name in ("unknown", "unverified") or canonical(name):
            name = ""
        return helo, name, _address(note) or canonical(word.decode("latin-1"))
    # An address in HELO is the client's word, not the server's. Exim, which may be told to take any
    # (helo_accept_junk_hosts), writes nothing of its own behind it; the others' are one word.
    more = b"" if claimed[1] else note[claimed.end() :]
    ip = _address(note[: claimed.start()] + more) or canonical(word.decode("latin-1"))
    name = "" if helo == "unknown" or canonical(helo) else helo
    return _name(claimed[2]), name, ip


def _is_submission(stamp: Stamp, protocol: str) -> bool:
    first = protocol.partition(" ")[0].lower()
    return (
        first in _LOCAL
        or b"from userid" in stamp.note
        or (stamp.head.startswith(b"(qmail") and b"network" not in stamp.head)
        or stamp.origin == b"Pickup"
        or stamp.origin_note.startswith(b"pickup service")
    )
