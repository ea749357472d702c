"""Webhooks: events as signed JSON to an address of one's own, at least once.

Signed as Standard Webhooks has it: HMAC-SHA256 over ``id.timestamp.body``. The receiver compares it, sees
that the time is not long ago, and passes over an id that it knows, for a repetition has the same.
"""

import base64
import hmac
import http.client
import ssl
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from wehr.ledger.rows import Event
from wehr.notices.settings import Webhook
from wehr.notices.types import Undelivered

SCHEMA: Final[dict[str, Any]] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Wehr event",
    "type": "object",
    "required": [
        "id",
        "version",
        "type",
        "at",
        "tenant",
        "server",
        "reference",
        "actor",
        "receiver",
        "detail",
    ],
    "additionalProperties": False,
    "properties": {
        "id": {"type": "string", "pattern": "^evt_[0-9]+$", "description": "The same in a repetition."},
        "version": {"const": 1},
        "type": {
            "type": "string",
            "pattern": "^[a-z][a-z-]*$",
            "description": "The kind, as wehr events has it.",
        },
        "at": {"type": "string", "format": "date-time", "description": "When it happened, UTC."},
        "tenant": {"type": "string"},
        "server": {
            "type": "string",
            "description": "Its name, or an organisation's; empty where none is meant.",
        },
        "reference": {
            "type": "string",
            "description": "The server's, as in replies; empty where none is meant.",
        },
        "actor": {"type": "string", "description": "Who did it; wehr for what came by itself."},
        "receiver": {"type": "string", "description": "The mail system that tells it."},
        "detail": {
            "type": "object",
            "additionalProperties": {"type": ["string", "number", "boolean", "null"]},
        },
    },
}
"""The one schema of all webhooks; ``wehr notices schema`` prints it."""

_TIMEOUT: Final = 15.0
_SAID: Final = 200


def payload(event: Event, receiver: str) -> bytes:
    """An event as it is sent."""
    return msgspec.json.encode(
        {
            "id": f"evt_{event.id}",
            "version": 1,
            "type": event.kind,
            "at": f"{datetime.fromtimestamp(event.at, UTC):%Y-%m-%dT%H:%M:%SZ}",
            "tenant": event.tenant,
            "server": event.name,
            "reference": event.ref,
            "actor": event.actor,
            "receiver": receiver,
            "detail": event.detail,
        }
    )


def sign(secret: bytes, name: str, now: float, body: bytes) -> str:
    """The value of ``webhook-signature``; ``name`` is the id."""
    signed = b".".join((name.encode(), str(int(now)).encode(), body))
    return f"v1,{base64.b64encode(hmac.digest(secret, signed, sha256)).decode()}"


def read_secret(text: str) -> bytes:
    """The secret in a file: base64 after ``whsec_``, or else the text itself.

    Raises:
        ValueError: it is shorter than 16 bytes, or not base64.
    """
    text = text.strip()
    secret = base64.b64decode(text[6:], validate=True) if text.startswith("whsec_") else text.encode()
    if len(secret) < 16:
        raise ValueError("the secret of a webhook has at least 16 bytes")
    return secret


def post(
    settings: Webhook, secret: bytes, body: bytes, now: float, context: ssl.SSLContext | None = None
) -> str:
    """Send one event; blocks for up to a quarter of a minute. Redirections are not followed.

    Returns:
        What the receiver said.

    Raises:
        Undelivered: try again.
    """
    where = urlsplit(settings.url)
    name = str(msgspec.json.decode(body)["id"])
    host, port = where.hostname or "", where.port
    connection: http.client.HTTPConnection
    if where.scheme == "https":
        trusted = context or ssl.create_default_context()
        connection = http.client.HTTPSConnection(host, port, timeout=_TIMEOUT, context=trusted)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT)
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "wehr",
        "webhook-id": name,
        "webhook-timestamp": str(int(now)),
        "webhook-signature": sign(secret, name, now, body),
    }
    try:
        connection.request(
            "POST", (where.path or "/") + (f"?{where.query}" if where.query else ""), body, headers
        )
        answer = connection.getresponse()
        answer.read(_SAID)
    except (OSError, http.client.HTTPException) as error:
        raise Undelivered(f"{type(error).__name__}: {error}"[:_SAID]) from error
    finally:
        connection.close()
    said = f"{answer.status} {answer.reason}"[:_SAID]
    if not 200 <= answer.status < 300:
        raise Undelivered(said)
    return said
