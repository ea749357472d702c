"""Chats: events as short texts to whatever Apprise knows, at least once. Needs the extra ``chat``.

The address of a chat is its secret, so it stands in a file, and neither it nor what Apprise says about it is
ever logged or kept.
"""

import logging
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from wehr.ledger.rows import Event
from wehr.notices.render import Templates
from wehr.notices.settings import Language
from wehr.notices.types import Undelivered

TOLD: Final = (
    "detected",
    "relapsed",
    "stage",
    "cured",
    "pause-added",
    "pause-extended",
    "pause-cancelled",
    "pause-ending",
    "exemption-added",
    "exemption-cancelled",
    "exemption-ending",
    "ladder-changed",
    "history-lost",
    "catalogue-stale",
    "node-lagging",
    "notice-sent",
    "notice-doubtful",
    "notice-refused",
    "notices-stopped",
    "notices-started",
    "contact-stopped",
)
"""What a chat hears of unless it asks for other kinds; each has its words in ``events.j2``."""

_LINES: Final = 12
"""Events in one text, and with their length less than what the narrowest services take (Discord: 2000)."""
_LINE: Final = 140
_TIMEOUT: Final = 15.0
_MOST_BYTES: Final = 4096
_STRANGE: Final = re.compile(r"[^\w.:/+ -]")


class Said(Struct, frozen=True):
    """A text, as it lies in the outbox."""

    title: str
    body: str


def write(events: Sequence[Event], templates: Templates, language: Language, host: str) -> bytes:
    """One text on some events, a line for each of the first twelve.

    Raises:
        jinja2.TemplateError: a template is wrong.
    """
    facts = {
        "host": host,
        "events": [_plain(event) for event in events[:_LINES]],
        "more": len(events) - len(events[:_LINES]),
    }
    title, source = templates.bare("chat", language, facts)
    lines = (" ".join(line.split()) for line in source.splitlines())
    return msgspec.json.encode(Said(title, "\n".join(line[:_LINE] for line in lines if line)))


def plain(text: object) -> str:
    """A stranger's words without what a chat takes for a mention, a link or a markup.

    The underscore stays, for names hold it: at worst a word is slanted.
    """
    return _STRANGE.sub("?", str(text).replace("://", ":/ /"))[:80]


def _plain(event: Event) -> dict[str, object]:
    detail = event.detail
    # What another version of Wehr has not written is empty, and holds up nothing.
    known = defaultdict(str, {name: plain(value) for name, value in detail.items()})
    name = event.name or detail.get("network") or detail.get("domain") or event.tenant
    return {"kind": event.kind, "name": plain(name), "actor": plain(event.actor), "detail": known}


def read_url(file: Path) -> str:
    """The address in a file: its first line that is neither empty nor a comment.

    Raises:
        OSError: it cannot be read.
        ValueError: there is none in it.
    """
    with file.open("rb") as opened:
        lines = opened.read(_MOST_BYTES).decode("utf-8", "replace").splitlines()
    for line in lines:
        if line.strip() and not line.startswith("#"):
            return line.strip()
    raise ValueError(f"{file.name} holds no Apprise URL")


def _silence() -> None:
    """Have nobody hear what these libraries log: addresses that they ask for, tokens that are wrong."""
    for name in ("apprise", "urllib3", "requests", "requests_oauthlib", "oauthlib"):
        logger = logging.getLogger(name)
        logger.handlers = [logging.NullHandler()]
        logger.propagate = False


def say(url: str, body: bytes) -> str:
    """Send one text; blocks for up to a quarter of a minute.

    Returns:
        What is known of how it went: Apprise tells no more that holds no secret.

    Raises:
        Undelivered: try again.
    """
    try:
        from apprise import Apprise, AppriseAsset, NotifyFormat
    except ImportError:
        raise Undelivered("Apprise is missing: install Wehr with its extra 'chat'") from None
    _silence()
    said = msgspec.json.decode(body, type=Said)
    service = url.partition(":")[0][:20]
    apprise = Apprise(asset=AppriseAsset(async_mode=False, app_id="Wehr", http_redirects=False))
    if not apprise.add(url):
        raise Undelivered("Apprise knows no such URL")
    try:
        taken = apprise.notify(said.body, title=said.title, body_format=NotifyFormat.TEXT, timeout=_TIMEOUT)
    except Exception as error:  # noqa: BLE001 - of any of its hundred services, and without its words
        raise Undelivered(f"{service}: {type(error).__name__}") from None
    if not taken:
        raise Undelivered(f"{service}: not taken")
    return f"{service}: taken"
