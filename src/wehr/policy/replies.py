"""What each reason comes to: reply and texts. One table, closed."""

import re
from datetime import UTC, datetime
from typing import Annotated

from msgspec import Meta, Struct

from wehr.policy.types import Action, Decision, Reason

_MAX_LINE = 510
"""RFC 5321 section 4.5.3.1.5: 512 octets with code and CRLF."""
_FIELDS = ("{software}", "{host}", "{minutes}", "{retry}", "{see}")


class Entry(Struct, frozen=True):
    """What one reason comes to. ``code`` 250 and no texts for the sender where the message is accepted."""

    operator: str
    code: int = 250
    enhanced: str = "2.0.0"

    def __post_init__(self) -> None:
        if self.enhanced[0] != str(self.code)[0]:
            raise ValueError("RFC 3463: the class of the enhanced code is the reply code's first digit")


class Texts(Struct, frozen=True, forbid_unknown_fields=True):
    """What a refused client is told. Fields: {software}, {host}, {minutes}, {retry}, {see}."""

    throttle: Annotated[str, Meta(max_length=300, description="Text after 450 4.7.230.")] = (
        "Connecting {software} version is out-of-date; "
        "connection to {host} throttled for {minutes} mins/hr{retry}.{see}"
    )
    block: Annotated[str, Meta(max_length=300, description="Text after 550 5.7.230.")] = (
        "Connecting {software} version is out-of-date; "
        "connection to {host} blocked for {minutes} mins/hr.{see}"
    )

    def __post_init__(self) -> None:
        for text in (self.throttle, self.block):
            if not text.isascii() or not text.isprintable() or "%" in text:
                raise ValueError("a reply text is printable ASCII on one line, without percent signs")
            for field in re.findall(r"\{[^}]*\}?", text):
                if field not in _FIELDS:
                    raise ValueError(f"a reply text knows no {field!r}, only {', '.join(_FIELDS)}")


DEFAULT_TEXTS = Texts()

TABLE: dict[Reason, Entry] = {
    Reason.AUTHENTICATED: Entry("the client logged in: its mail is submission"),
    Reason.OWN_NETWORK: Entry("the client is in a network of one's own"),
    Reason.OFF: Entry("Wehr is off for this tenant or connector"),
    Reason.NO_TRACE: Entry("no Received field tells who handed the message over"),
    Reason.OTHER_SOFTWARE: Entry("handed over by software whose version is not known"),
    Reason.EXCHANGE_ONLINE: Entry("handed over by Exchange Online, which Microsoft keeps up to date"),
    Reason.BEHIND_RELAY: Entry("another system handed the message over; the server stands behind it"),
    Reason.UNKNOWN_BUILD: Entry("the build, product or branch is not in the catalogue"),
    Reason.NEWER_THAN_CATALOGUE: Entry("the build is newer than the catalogue"),
    Reason.CANNOT_TELL: Entry("the stamp does not show whether a fix is installed"),
    Reason.INTERNAL_ERROR: Entry("an error inside Wehr; the message was let through"),
    Reason.COMPLIANT: Entry("the build meets every rule"),
    Reason.COMPLIANT_LATELY: Entry(
        "an old stamp, but the server has lately shown a build that meets every rule"
    ),
    Reason.MIXED: Entry("the server goes on showing an old build beside one that meets every rule"),
    Reason.REPORT_ONLY_PRODUCT: Entry("out of date, but this software is only reported"),
    Reason.NOT_IN_SCOPE: Entry("out of date, but its product is not in scope yet"),
    Reason.EXEMPT: Entry("out of date, but exempt"),
    Reason.PAUSED: Entry("out of date, but enforcement is paused"),
    Reason.REPORT_STAGE: Entry("out of date; in this stage only reported"),
    Reason.OUTSIDE_WINDOW: Entry("out of date; outside the minutes of this hour in which it is refused"),
    Reason.THROTTLED: Entry("out of date; throttled in these minutes", 450, "4.7.230"),
    Reason.BLOCKED: Entry("out of date; blocked in these minutes", 550, "5.7.230"),
}

SOFTWARE = {
    "exchange": "Exchange server",
    "exchange-online": "Exchange Online",
    "smtpsvc": "Microsoft SMTP service",
    "exim": "Exim server",
    "sendmail": "Sendmail server",
    "postfix": "Postfix server",
    "mdaemon": "MDaemon server",
    "domino": "Domino server",
    "kerio": "Kerio Connect server",
    "smartermail": "SmarterMail server",
}
"""How replies call a software; what is not here is a ``mail server``: no stamped name gets into a reply."""


def reply(
    decision: Decision,
    host: str,
    *,
    software: str = "exchange",
    url: str = "",
    reference: str = "",
    texts: Texts = DEFAULT_TEXTS,
) -> str | None:
    """The SMTP reply to a refused client, without CRLF; None where the message is accepted.

    One line of printable ASCII under 512 octets, without a percent sign (Sendmail turns a 450 with a lone one
    into a 550), whatever the names hold. ``url`` is the server's status page; where there is none, the reader
    is given ``reference`` to name when asking.
    """
    if not decision.refused:
        return None
    entry = TABLE[decision.reason]
    blocked = decision.action is Action.BLOCK
    retry = ""
    if decision.until is not None:
        retry = f", retry after {datetime.fromtimestamp(decision.until, UTC):%H:%M} UTC"
    values = {
        "{software}": SOFTWARE.get(software, "mail server"),
        "{host}": _plain(host, 255) or "this server",
        "{minutes}": str(decision.block if blocked else decision.throttle),
        "{retry}": retry,
        "{see}": f" See {_plain(url, 250)}"
        if url
        else f" (ref {_plain(reference, 64)})"
        if reference
        else "",
    }
    text = re.sub(r"\{\w+\}", lambda field: values[field[0]], texts.block if blocked else texts.throttle)
    return f"{entry.code} {entry.enhanced} {text}"[:_MAX_LINE]


def _plain(text: str, most: int) -> str:
    """Printable ASCII without blanks at its ends and without percent signs."""
    return re.sub(r"[^ -$&-~]+", "", text[:most]).strip()
