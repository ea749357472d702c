"""Texts and attachments as one MIME message, with the headers that automatic mail owes its readers."""

import base64
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from hashlib import blake2b
from html import escape
from typing import Final

from msgspec import Struct

from wehr.notices import attachments
from wehr.notices.address import canonical_address, readable_domain
from wehr.notices.render import Letter, Rendered

_POLICY: Final = SMTP.clone(max_line_length=76)
_MOST_REPORTS: Final = 10
"""XARF reports in one message; the table has all servers."""
_RULE: Final = "\n" + "-" * 72 + "\n\n"


class Writer(Struct, frozen=True):
    """Who writes."""

    sender: str
    reply_to: str
    operator: str
    host: str

    @property
    def domain(self) -> str:
        """The sender's."""
        return canonical_address(self.sender).rpartition("@")[2]


class Thread(Struct, frozen=True):
    """What keeps the messages to one organisation in one ticket. Message-IDs are without brackets."""

    message_id: str
    root: str
    previous: str = ""


def identity(writer: Writer, secret: bytes, *parts: str) -> str:
    """A Message-ID (without brackets): the same for the same parts on every node, and not to be guessed.

    So a receiver can tell a repetition, and a bounce that names it comes from somebody who has got it.
    """
    digest = blake2b("\0".join(parts).encode(), digest_size=20, key=secret[:64]).digest()
    return f"wehr.{base64.b32encode(digest).decode().lower()}@{writer.domain}"


def notice(
    letter: Letter,
    texts: Sequence[Rendered],
    writer: Writer,
    to: Sequence[str],
    *,
    thread: Thread,
    now: float,
) -> bytes:
    """A notice, ready to be handed over.

    Args:
        letter: what it is about.
        texts: the same in each language that it is written in.
        writer: who writes.
        to: whom to.
        thread: what it follows.
        now: its date, UTC seconds since 1970.
    """
    message = plain(texts, writer, to, thread.message_id, now)
    known = [f"<{name}>" for name in dict.fromkeys((thread.root, thread.previous)) if name]
    if known:
        message["References"] = " ".join(known)
        message["In-Reply-To"] = known[-1]
    # RFC 2919 and RFC 2369: a way to sort them, and to be left alone.
    message["List-Id"] = f"Notices to mail server administrators <notices.{writer.host}>"
    message["List-Unsubscribe"] = f"<mailto:{writer.reply_to}?subject=no%20more%20notices>"
    name = _file(readable_domain(letter.organisation))
    message.add_attachment(
        attachments.table(letter.servers), maintype="text", subtype="csv", filename=f"{name}.csv"
    )
    for server in letter.servers[:_MOST_REPORTS]:
        report = attachments.xarf(
            server, operator=writer.operator, contact=writer.reply_to, domain=writer.domain
        )
        if report is not None:
            file = f"xarf-{_file(server.name or server.client_ip)}.json"
            message.add_attachment(report, maintype="application", subtype="json", filename=file)
    return message.as_bytes(policy=_POLICY)


def plain(
    texts: Sequence[Rendered], writer: Writer, to: Sequence[str], message_id: str, now: float
) -> EmailMessage:
    """A message with a text and the same as HTML, in one or more languages."""
    message = EmailMessage(policy=_POLICY)
    local, _, domain = canonical_address(writer.sender).rpartition("@")
    message["From"] = Address(writer.operator, local, domain)
    message["To"] = ", ".join(to)
    if writer.reply_to != writer.sender:
        message["Reply-To"] = writer.reply_to
    message["Subject"] = texts[0].subject
    message["Date"] = format_datetime(datetime.fromtimestamp(int(now), UTC))
    message["Message-ID"] = f"<{message_id}>"
    # RFC 3834 section 5: no vacation answers to this. What Exchange, which most readers run, goes by too.
    message["Auto-Submitted"] = "auto-generated"
    message["X-Auto-Response-Suppress"] = "All"
    message.set_content(_RULE.join(text.text for text in texts), cte="quoted-printable")
    message.add_alternative(page(texts), subtype="html", cte="quoted-printable")
    message["Content-Language"] = ", ".join(text.language for text in texts)
    return message


def _file(name: str) -> str:
    """A name, perhaps a stranger's, as a part of a file's."""
    return re.sub(r"[^\w.-]", "-", name)[:100]


def page(texts: Sequence[Rendered]) -> str:
    """A page that holds everything itself: nothing is loaded from elsewhere, and it fits a telephone."""
    body = "\n<hr>\n".join(f'<div lang="{text.language}">\n{text.html}\n</div>' for text in texts)
    return (
        f'<!DOCTYPE html>\n<html lang="{texts[0].language}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(texts[0].subject)}</title>\n</head>\n"
        '<body style="max-width:42em;margin:1em auto;padding:0 1em;font-family:sans-serif;'
        'line-height:1.45;overflow-wrap:anywhere">\n'
        f"{body}\n</body>\n</html>\n"
    )
