"""Handing a message over by SMTP, so that a death at any moment leaves no second message.

SMTP takes a message with the final dot and not before (RFC 5321 section 4.1.1.4). So everything else is sent
first; then ``committed`` notes in the store that the dot goes out next; then the five bytes of it. Whoever
dies before the note has sent nothing, whoever dies after it has sent the message, but for the microseconds
between note and dot. If the answer to the dot is lost nobody can tell (RFC 1047), and the caller is told so.
"""

import asyncio
import re
import ssl
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Final

import aiosmtplib
from msgspec import Struct

from wehr.notices.settings import Submission

_ANSWER: Final = 600.0
"""RFC 5321 section 4.5.3.2.6: seconds for the answer to the final dot."""
_SAID: Final = 300
_NO_SUCH_ADDRESS: Final = re.compile(r"\b5\.1\.\d{1,3}\b")


class Ending(StrEnum):
    """How a message was not taken."""

    LATER = "later"
    """Try again."""
    NEVER = "never"
    """It, or all of its recipients, will never be taken."""
    DOUBTFUL = "doubtful"
    """It was handed over, but no answer came."""
    PASSED = "passed"
    """Somebody else has it now, or notices were stopped. Nothing was sent."""


class NotTaken(Exception):
    """It was not taken, or nobody knows. ``refused``: recipients that do not exist, with the answer."""

    def __init__(self, ending: Ending, said: str, refused: dict[str, str] | None = None) -> None:
        super().__init__(said)
        self.ending = ending
        self.refused = refused or {}


class Taken(Struct, frozen=True):
    """It was taken, for those recipients that were not refused."""

    answer: str
    refused: dict[str, str]
    """Recipients that do not exist, with the answer."""


async def submit(
    settings: Submission,
    password: str,
    *,
    sender: str,
    recipients: Sequence[str],
    message: bytes,
    committed: Callable[[], bool],
    noted: Callable[[Taken], None],
    context: ssl.SSLContext | None = None,
) -> None:
    """Hand a message over.

    Args:
        settings: to whom.
        password: of the account, if there is one.
        sender: the envelope's; "" is the null sender.
        recipients: the envelope's.
        message: with lines that end in CRLF.
        committed: called once, before the final dot; false: it is not sent.
        noted: called once, as soon as it was taken.
        context: what to trust; the system's certificates without it.

    Raises:
        NotTaken: with the way in which it was not.
    """
    client = aiosmtplib.SMTP(
        hostname=settings.host,
        port=settings.port,
        timeout=settings.timeout,
        use_tls=settings.tls == "tls",
        start_tls=settings.tls == "starttls",
        username=settings.user or None,
        password=password or None,
        tls_context=context or ssl.create_default_context(),
    )
    try:
        try:
            await client.connect()
            if client.is_ehlo_or_helo_needed:
                await client.ehlo()
            refused = await _envelope(client, sender, recipients)
            await _content(client, message, settings.timeout)
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            raise NotTaken(Ending.LATER, _text(error)) from error
        if not committed():
            raise NotTaken(Ending.PASSED, "stopped, or taken over by another node")
        try:
            answer = await client.execute_command(b".", timeout=_ANSWER)
        except (aiosmtplib.SMTPException, OSError) as error:
            raise NotTaken(Ending.DOUBTFUL, _text(error)) from error
        if answer.code // 100 != 2:
            ending = Ending.NEVER if answer.code // 100 == 5 else Ending.LATER
            raise NotTaken(ending, _said(answer))
        noted(Taken(_said(answer), refused))
    finally:
        await _leave(client)


async def _envelope(client: aiosmtplib.SMTP, sender: str, recipients: Sequence[str]) -> dict[str, str]:
    """Sender and recipients; gives those that do not exist (RFC 3463: 5.1.x).

    Any other refusal is of the submission host's own making, a login that is missing or relaying that is
    denied: the message waits until that is mended.
    """
    answer = await client.execute_command(b"MAIL", f"FROM:<{sender}>".encode("ascii"))
    if answer.code // 100 != 2:
        raise NotTaken(Ending.LATER, _said(answer))
    refused: dict[str, str] = {}
    for recipient in recipients:
        answer = await client.execute_command(b"RCPT", f"TO:<{recipient}>".encode("ascii"))
        if answer.code // 100 == 5 and _NO_SUCH_ADDRESS.search(answer.message):
            refused[recipient] = _said(answer)
        elif answer.code // 100 != 2:
            raise NotTaken(Ending.LATER, _said(answer))
    if len(refused) == len(recipients):
        raise NotTaken(Ending.NEVER, "; ".join(refused.values()), refused)
    return refused


async def _content(client: aiosmtplib.SMTP, message: bytes, patience: float) -> None:
    """All of the message but its final dot, and wait until it has left this process."""
    answer = await client.execute_command(b"DATA")
    if answer.code != 354:
        raise NotTaken(Ending.LATER, _said(answer))
    lines = message if message.endswith(b"\r\n") else message + b"\r\n"
    transport = client.transport
    if not isinstance(transport, asyncio.WriteTransport):
        raise NotTaken(Ending.LATER, "the connection is gone")
    transport.write(re.sub(rb"(?m)^\.", b"..", lines))
    async with asyncio.timeout(patience):
        while transport.get_write_buffer_size():  # noqa: ASYNC110 - a transport tells nobody
            await asyncio.sleep(0.005)
    if transport.is_closing():
        raise NotTaken(Ending.LATER, "the connection is gone")


async def _leave(client: aiosmtplib.SMTP) -> None:
    try:
        if client.is_connected:
            await client.quit(timeout=5)
    except (aiosmtplib.SMTPException, OSError):
        pass
    finally:
        client.close()


def _said(answer: aiosmtplib.SMTPResponse) -> str:
    return f"{answer.code} {' '.join(answer.message.split())}"[:_SAID]


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:_SAID]
