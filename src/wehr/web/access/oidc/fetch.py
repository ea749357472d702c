"""One request to the provider: bounded in time and size, and never in the way of mail."""

import asyncio
import ssl
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import h11
from msgspec import Struct

from wehr.web.access.oidc.settings import is_secure

MOST_BYTES: Final = 256 << 10
"""Of an answer."""
SECONDS: Final = 10.0
"""That a request takes from the look-up of the name to the last byte."""


class Away(Exception):
    """The provider does not answer, or with what cannot be used."""


class Answer(Struct, frozen=True):
    """What was answered; redirections are not followed."""

    status: int
    body: bytes


async def fetch(
    url: str, context: ssl.SSLContext, headers: Mapping[str, str] | None = None, form: bytes | None = None
) -> Answer:
    """Ask for ``url``, or send it a form.

    Raises:
        Away: it did not answer in time, too long, or not by HTTP.
    """
    if not is_secure(url):
        raise Away(f"{url[:200]!r} is no address to trust")
    where = urlsplit(url)
    fields = {
        "Host": where.netloc,
        "User-Agent": "wehr",
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "Connection": "close",
        **(headers or {}),
    }
    if form is not None:
        fields |= {"Content-Type": "application/x-www-form-urlencoded", "Content-Length": str(len(form))}
    target = (where.path or "/") + (f"?{where.query}" if where.query else "")
    tls = context if where.scheme == "https" else None
    try:
        request = h11.Request(
            method="GET" if form is None else "POST", target=target, headers=list(fields.items())
        )
        async with asyncio.timeout(SECONDS):
            reader, writer = await asyncio.open_connection(
                where.hostname, where.port or (443 if tls else 80), ssl=tls
            )
            try:
                return await _exchange(reader, writer, request, form or b"")
            finally:
                writer.transport.abort()
    except (OSError, h11.ProtocolError, ValueError) as error:
        raise Away(f"{where.netloc}: {type(error).__name__} {error}"[:300]) from error


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: h11.Request, form: bytes
) -> Answer:
    connection = h11.Connection(h11.CLIENT)
    for sent in (request, h11.Data(data=form), h11.EndOfMessage()):
        writer.write(connection.send(sent) or b"")
    status, body = 0, b""
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(65_536))
        elif isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > MOST_BYTES:
                raise ValueError("more than can be meant")
        elif isinstance(event, h11.EndOfMessage):
            return Answer(status, body)
        elif not isinstance(event, h11.InformationalResponse):
            raise ValueError("the connection was closed")
