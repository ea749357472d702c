"""Where readers find more: the vendor's and the agencies' own pages, built from facts alone."""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct


class Link(Struct, frozen=True):
    """A page by its name."""

    name: str
    url: str


_UPDATES: Final = {
    "exchange": Link(
        "Microsoft: Exchange Server build numbers and release dates",
        "https://learn.microsoft.com/exchange/new-features/build-numbers-and-release-dates",
    ),
    "exim": Link("Exim", "https://www.exim.org/"),
    "sendmail": Link(
        "Sendmail", "https://www.proofpoint.com/us/products/email-protection/open-source-email-solution"
    ),
    "mdaemon": Link("MDaemon: release notes", "https://mdaemon.com/pages/release-notes"),
    "smartermail": Link(
        "SmarterMail: release notes", "https://www.smartertools.com/smartermail/release-notes/current"
    ),
    "zimbra": Link("Zimbra: releases", "https://wiki.zimbra.com/wiki/Zimbra_Releases"),
}

_HEALTH_CHECKER: Final = Link(
    "Microsoft: Exchange Server Health Checker", "https://aka.ms/ExchangeHealthChecker"
)

_BREAK_IN: Final[Mapping[str, tuple[Link, ...]]] = {
    "en": (
        Link(
            "NSA, CISA, ASD and CCCS: Microsoft Exchange Server Security Best Practices (October 2025)",
            "https://www.cyber.gov.au/business-government/protecting-devices-systems/hardening-systems-applications/"
            "system-hardening/microsoft-exchange-server-security-best-practices",
        ),
        Link(
            "CISA: Mitigate Microsoft Exchange Server Vulnerabilities (AA21-062A, signs of a break-in)",
            "https://www.cisa.gov/news-events/cybersecurity-advisories/aa21-062a",
        ),
    ),
    "de": (
        Link(
            "BSI: IT-Sicherheitsvorfall",
            "https://www.bsi.bund.de/DE/IT-Sicherheitsvorfall/it-sicherheitsvorfall_node.html",
        ),
        Link(
            "CISA: Mitigate Microsoft Exchange Server Vulnerabilities (AA21-062A, Anzeichen eines Einbruchs)",
            "https://www.cisa.gov/news-events/cybersecurity-advisories/aa21-062a",
        ),
    ),
}
_KEV: Final = Link(
    "CISA: Known Exploited Vulnerabilities", "https://www.cisa.gov/known-exploited-vulnerabilities-catalog"
)


def updates(software: str) -> Link | None:
    """Where a vendor tells of its updates."""
    return _UPDATES.get(software)


def break_in(software: str, language: str) -> tuple[Link, ...]:
    """How to look for a break-in: the vendor's tool first, then what agencies advise."""
    exchange = (_HEALTH_CHECKER, *_BREAK_IN.get(language, _BREAK_IN["en"])) if software == "exchange" else ()
    return (*exchange, _KEV)


def article(kb: str) -> str:
    """The page of a Microsoft article such as KB5066366; "" for what is no number of one."""
    number = kb.upper().removeprefix("KB")
    return f"https://support.microsoft.com/help/{number}" if number.isdecimal() else ""


def vulnerability(cve: str) -> str:
    """The page of a vulnerability at the CVE programme."""
    return f"https://www.cve.org/CVERecord?id={cve}"
