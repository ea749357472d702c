"""The question and the answer in the words of Stalwart's MTA Hooks: ``POST /v1/mta-hooks``.

Source: Stalwart, crates/smtp/src/inbound/hooks (mod.rs, message.rs). A hook that is asked before DATA brings
no message, and is answered with accept. What Stalwart calls ``ptr`` is any PTR record, whether or not it
leads back to the address, so it counts for nothing; nor does Stalwart tell of client certificates.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from wehr.doors.http.decide import parts
from wehr.doors.http.exchange import Form, Question, Refused, Request, decoded, domains, received
from wehr.doors.verdict import Verdict
from wehr.doors.wire import bounded
from wehr.evidence.address import canonical
from wehr.evidence.types import Session

_NAME = 255


class Client(Struct, frozen=True):
    """The SMTP client."""

    ip: str = ""
    helo: str | None = None
    ehlo: str | None = None
    """What Stalwart's manual calls ``helo``."""


class Sasl(Struct, frozen=True):
    """There if the client logged in."""


class Server(Struct, frozen=True):
    """The way in."""

    port: Annotated[float, Meta(ge=0, le=65535, multiple_of=1)] = 0


class Queue(Struct, frozen=True):
    """The message in the queue."""

    id: str = ""


class Context(Struct, frozen=True):
    """The SMTP session."""

    client: Client = Client()
    sasl: Sasl | None = None
    server: Server = Server()
    queue: Queue | None = None


class Address(Struct, frozen=True):
    """An address of the envelope."""

    address: str = ""


class Envelope(Struct, frozen=True):
    """The recipients."""

    to: tuple[Address, ...] = ()


class HookMessage(Struct, frozen=True):
    """The message: its header, without what Stalwart adds itself."""

    headers: tuple[tuple[str, str], ...] = ()


class HookRequest(Struct, frozen=True):
    """What Stalwart tells; what is not read is left out here."""

    context: Context
    envelope: Envelope | None = None
    message: HookMessage | None = None


class HookReply(Struct, frozen=True):
    """The SMTP reply to refuse with."""

    status: int
    enhanced_status: str
    message: str


class HookResponse(Struct, frozen=True, omit_defaults=True):
    """What Stalwart is to do."""

    action: Literal["accept", "reject"]
    response: HookReply | None = None


_decoder = msgspec.json.Decoder(HookRequest)


def read(request: Request) -> Question | None:
    """The question that a body asks, None if it brings no message yet.

    Raises:
        Refused: it asks none.
    """
    body = without_contents(request.body) if request.cut else request.body
    if body is None:
        raise Refused(413, "the body is longer than max_body before the message's text")
    asked = decoded(_decoder, body)
    if asked.message is None:
        return None
    context = asked.context
    session = Session(
        canonical(context.client.ip[:_NAME]),
        helo=(context.client.helo or context.client.ehlo or "")[:_NAME],
        authenticated=context.sasl is not None,
        listener=str(int(context.server.port) or ""),
        recipients=domains(to.address for to in asked.envelope.to) if asked.envelope else (),
    )
    trace = bounded(received(asked.message.headers))
    return Question(session, trace, context.queue.id[:_NAME] if context.queue else "")


def without_contents(body: bytes) -> bytes | None:
    """The beginning of a request up to the message's text, closed again as JSON; None if it has none.

    Stalwart sends all of the message, the text behind everything that is of use here. The key cannot be
    feigned by a sender: inside of a JSON string each quote has a backslash before it.
    """
    head, found, _ = body.partition(b',"contents":')
    return head + b"}}" if found else None


def write(verdict: Verdict) -> bytes:
    """The answer as a body.

    Raises:
        ValueError: the reply is not one of SMTP.
    """
    if verdict.reply is None:
        return msgspec.json.encode(HookResponse("accept"))
    return msgspec.json.encode(HookResponse("reject", HookReply(*parts(verdict.reply))))


MTA_HOOKS = Form("The same in the form of Stalwart's MTA Hooks", HookRequest, HookResponse, read, write)
