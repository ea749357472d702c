"""Which software wrote a hop, and which version: a table.

An entry names the software, the place in the hop that gives it away, a literal marker there, and how the
version is read. Adding one is one entry here and one fixture line in the tests. Only what the stamping server
says of itself is looked at: the words of the from-clause are the client's.
"""

import re
from enum import Enum

from msgspec import Struct


class Stamp(Struct, frozen=True, gc=False):
    """A hop cut into its clauses, unfolded; absent ones are empty. A ``note`` is what follows the word."""

    origin: bytes = b""
    origin_note: bytes = b""
    by: bytes = b""
    note: bytes = b""
    via: bytes = b""
    protocol: bytes = b""
    """The whole with-clause, comments included."""
    id: bytes = b""
    recipient: bytes = b""
    head: bytes = b""
    """What stands before the first clause, where qmail speaks."""


class Place(Enum):
    """The part of a hop that tells the software."""

    PROTOCOL = "the with-clause"
    NOTE = "the comments after the by-name"


class Recogniser(Struct, frozen=True):
    """One entry. ``version`` is matched against the same place, group 1 being the version as stamped."""

    software: str
    place: Place
    marker: bytes
    version: re.Pattern[bytes] | None = None
    from_id: bool = False
    """The id-clause holds the version (Exchange)."""


def _entry(
    software: str, place: Place, marker: bytes, version: bytes = b"", from_id: bool = False
) -> Recogniser:
    return Recogniser(software, place, marker, re.compile(version) if version else None, from_id)


_NUMBER = rb"(\d++(?:\.\d++)+)"
_PROTOCOL, _NOTE = Place.PROTOCOL, Place.NOTE

RECOGNISERS: tuple[Recogniser, ...] = (
    # Microsoft. IMS and IMC are Exchange 5.x and 4.0. SMTPSVC is Windows' own SMTP service, under Exchange
    # 2000 and 2003 or plain IIS: its number is a build of Windows.
    _entry("exchange", _PROTOCOL, b"Microsoft SMTP Server", from_id=True),
    _entry("exchange", _PROTOCOL, b"ShadowRedundancy", from_id=True),
    _entry("exchange", _PROTOCOL, b"MailboxResubmission", from_id=True),
    _entry("smtpsvc", _PROTOCOL, b"Microsoft SMTPSVC", rb"SMTPSVC ?\(" + _NUMBER),
    _entry("exchange", _PROTOCOL, b"Microsoft Exchange Server HTTP-DAV"),
    _entry("exchange", _PROTOCOL, b"Internet Mail Service", rb"Service(?: Version | ?\( ?)" + _NUMBER),
    _entry("exchange", _PROTOCOL, b"Internet Mail Connector", rb"Connector Version " + _NUMBER),
    _entry("exchange", _PROTOCOL, b"Microsoft Exchange (IMC", rb"\(IMC " + _NUMBER),
    # The with-clause.
    _entry("exim", _PROTOCOL, b"(Exim", rb"\(Exim (\d++\.\d++(?:[._]\d++)*)"),
    _entry("mdaemon", _PROTOCOL, b"(MDaemon", rb"\(MDaemon[ .A-Za-z]*?[ .]v?(\d[\w.]*?)(?:\.[RT])?[) ]"),
    _entry("imail", _PROTOCOL, b"(SMTPD", rb"\(SMTPD(?:32)?-" + _NUMBER),
    _entry("qmail", _PROTOCOL, b"qmail-scanner"),
    _entry("fetchmail", _PROTOCOL, b"(fetchmail-", rb"\(fetchmail-(\d[\w.]*+)"),
    _entry("hmailserver", _PROTOCOL, b"hMailServer"),
    _entry("mailenable", _PROTOCOL, b"MailEnable"),
    _entry("groupwise", _PROTOCOL, b"Novell_GroupWise"),
    _entry("mailmarshal", _PROTOCOL, b"MailMarshal", rb"\(v(\d[\d,.]*+)"),
    _entry("trustwave-seg", _PROTOCOL, b"Trustwave SEG", rb"\(v(\d[\d,.]*+)"),
    _entry("ecartis", _PROTOCOL, b"ECARTIS", rb"\(v(\d[\d.]*+)"),
    _entry("nemesis", _PROTOCOL, b"(Nemesis)"),
    _entry("yahoo", _PROTOCOL, b"NNFMP"),
    _entry("haraka", _PROTOCOL, b"(Haraka", rb"\(Haraka/(\d[\w.-]*+)"),
    _entry("stalwart", _PROTOCOL, b"Stalwart", rb"Stalwart(?: SMTP)?[ /](?:v)?(\d[\w.-]*+)"),
    _entry("smartermail", _PROTOCOL, b"(SmarterMail", rb"SmarterMail [^)]*?" + _NUMBER),
    # The comments after the by-name.
    _entry("postfix", _NOTE, b"(Postfix"),
    _entry("exim", _NOTE, b"(Exim", rb"\(Exim (\d++\.\d++(?:[._]\d++)*)"),
    _entry("opensmtpd", _NOTE, b"(OpenSMTPD"),
    _entry("proofpoint", _NOTE, b"(PPS)"),
    _entry("proofpoint", _NOTE, b"(PPE Hosted"),
    _entry("domino", _NOTE, b" Domino Release", rb" Domino Release (\d[\w.]*+)"),
    _entry("domino", _NOTE, b"(Lotus SMTP MTA", rb"SMTP MTA[^()]*? v(\d[\w.]*+)"),
    _entry("communigate", _NOTE, b"(CommuniGate", rb"\(CommuniGate Pro [A-Za-z]++ " + _NUMBER),
    _entry("kerio", _NOTE, b"(Kerio", rb"\(Kerio [A-Za-z ]++" + _NUMBER),
    _entry("icewarp", _NOTE, b"(IceWarp", rb"\(IceWarp[ A-Za-z]*?" + _NUMBER),
    _entry("icewarp", _NOTE, b"(Merak", rb"\(Merak[ A-Za-z]*?" + _NUMBER),
    _entry("mdaemon", _NOTE, b"(MDaemon", rb"\(MDaemon[ .A-Za-z]*?[ .]v?(\d[\w.]*?)(?:\.[RT])?[) ]"),
    _entry("smartermail", _NOTE, b"(SmarterMail", rb"SmarterMail [^)]*?" + _NUMBER),
    _entry("haraka", _NOTE, b"(Haraka", rb"\(Haraka/(\d[\w.-]*+)"),
    _entry("stalwart", _NOTE, b"(Stalwart", rb"\(Stalwart[^)]*?" + _NUMBER),
    _entry("amavis", _NOTE, b"(amavis"),
    _entry("qpsmtpd", _NOTE, b"(qpsmtpd/", rb"\(qpsmtpd/(\d[\w.]*+)"),
    _entry("powermta", _NOTE, b"(PowerMTA", rb"\(PowerMTA[^ ]* v(\d[\w.]*+)"),
    _entry("mercury", _NOTE, b"(Mercury", rb"\(Mercury(?:/32)? v?" + _NUMBER),
    _entry("netscape", _NOTE, b"Netscape M", rb"Server v(\d[\w.]*+)"),
    _entry("iplanet", _NOTE, b"(iPlanet", rb"Server " + _NUMBER),
    _entry("sun-messaging", _NOTE, b"(Sun Java", rb"Server " + _NUMBER),
    _entry("oracle-messaging", _NOTE, b"(Oracle Communications", rb"Server " + _NUMBER),
    _entry("symantec", _NOTE, b"(Symantec"),
    _entry("barracuda", _NOTE, b"(Spam & Virus Firewall)"),
    _entry("barracuda", _NOTE, b"(Barracuda"),
    _entry("trend-micro", _NOTE, b"(Trend Micro"),
    _entry("sophos", _NOTE, b"(Email Security Appliance)"),
    _entry("knox-portal", _NOTE, b"(KnoxPortal)"),
)


class Shape(Struct, frozen=True):
    """Software that does not name itself, told by the form of one clause."""

    software: str
    clause: str
    """The field of `Stamp` that ``form`` is searched in."""
    form: re.Pattern[bytes]
    """Group 1, if there is one, is the version."""


def _shape(software: str, clause: str, form: bytes) -> Shape:
    return Shape(software, clause, re.compile(form))


SHAPES: tuple[Shape, ...] = (
    _shape("qmail", "head", rb"^\(qmail \d"),
    _shape("qmail", "note", rb"^(?:\([^()]*\) )?\(qmail-"),
    # Sendmail prints its version and that of its configuration: (8.15.2/8.15.2), (AIX4.3/8.9.3/8.9.3).
    _shape("sendmail", "via", rb"^\w++ \(\d++\.SGI\.(8\.\d++\.\d++[^ /():]*+)/"),
    _shape("sendmail", "note", rb"\( ?(?:[^ /()]++/)??(?:\d++\.SGI\.)?(8\.\d++\.\d++[^ /():]*+)[/)]"),
    # An Exim message id (Exim specification, "Message identification"; longer since 4.97), the name hidden.
    _shape(
        "exim", "id", rb"^[0-9A-Za-z]{6}-[0-9A-Za-z]{6}(?:[0-9A-Za-z]{5})?-[0-9A-Za-z]{2}(?:[0-9A-Za-z]{2})?$"
    ),
    _shape("zmailer", "origin_note", rb"^\([^()\"]*\"(?:EHLO|HELO) "),
    _shape("zimbra", "origin_note", rb"^\(LHLO "),
    _shape("mimecast", "id", rb"^(?:us|uk|de|eu|au|za|ca)-mta-\d"),
    _shape("ironport", "origin_note", rb"^\(HELO [^ ()]++\) \(\[[^\]]++\]\)$"),
)

# Hosted services are told by the name of their hosts, where nothing in the stamp says more.
HOSTS: dict[bytes, str] = {
    b"google.com": "google",
    b"gmail.com": "google",
    b"yahoo.com": "yahoo",
    b"amazonses.com": "amazonses",
    b"mimecast.com": "mimecast",
    b"pphosted.com": "proofpoint",
    b"ppops.net": "proofpoint",
    b"messagelabs.com": "messagelabs",
    b"forcepoint": "forcepoint",
    b"websense": "websense",
    b"barracudanetworks.com": "barracuda",
    b"hornetsecurity.com": "hornetsecurity",
}

CLOUD = (
    b".outlook.com",
    b".office365.com",
    b".office365.us",
    b".exchangelabs.com",
    b".protection.gbl",
    b".bigfish.com",
    b".frontbridge.com",
    b".mgd.msft.net",
    b".outlook.cn",
    b".outlook.de",
    b".office.de",
    b".eop.gbl",
)
"""Hosts of Exchange Online: its numbers before 15.20 are those of on-premises builds, so the name decides."""
