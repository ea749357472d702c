"""The question and the answer in words of our own: ``POST /v1/decide``."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from wehr.doors.http.exchange import Form, Question, Refused, Request, decoded, domains, received
from wehr.doors.verdict import Verdict
from wehr.doors.wire import bounded, refusal
from wehr.evidence import format_build, split_headers
from wehr.evidence.address import canonical
from wehr.evidence.types import Session
from wehr.policy import Action, Reason

_NAME = 255


class Message(Struct, frozen=True):
    """One message. Of the client only what the mail system itself has verified belongs here."""

    stage: Annotated[
        Literal["data", "rcpt"],
        Meta(
            description="Where the mail system is; rcpt: there are no headers yet. Then only a server of the "
            "last stage is refused, but for one transaction (queue_id) every few minutes; accept means: go "
            "on, and ask with the headers."
        ),
    ] = "data"
    client_ip: Annotated[str, Meta(description="Address of the SMTP client.", examples=["203.0.113.10"])] = ""
    client_name: Annotated[
        str, Meta(description="Host name of the client, only if it leads back to the address.")
    ] = ""
    helo: Annotated[str, Meta(description="As the client said it.")] = ""
    authenticated: Annotated[
        bool, Meta(description="Whether the client logged in: then nothing is judged.")
    ] = False
    tls_name: Annotated[
        str, Meta(description="Subject of the client's certificate, only if it was verified.")
    ] = ""
    listener: Annotated[str, Meta(description="Port or name of the way in, for connectors.")] = ""
    recipients: Annotated[
        tuple[str, ...], Meta(description="Addresses or domains. Local parts are dropped at once.")
    ] = ()
    queue_id: Annotated[str, Meta(description="The mail system's name for the message, for the log.")] = ""
    headers: Annotated[
        tuple[tuple[str, str], ...],
        Meta(
            description="Names and values, top first; only those of the name Received are read.",
            examples=[[["Received", "from a.example.com by b.example.com with SMTP; ..."]]],
        ),
    ] = ()
    raw_headers: Annotated[
        bytes | None,
        Meta(
            description="The header as it stands in the message, in base64, in place of headers.",
            # What msgspec takes, which contentEncoding alone does not say.
            extra_json_schema={"pattern": "^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"},
        ),
    ] = None
    own_received: Annotated[
        float,  # to JSON Schema 1.0 is an integer, and some languages write it so; to msgspec it is none
        Meta(
            ge=0,
            le=100,
            multiple_of=1,
            description="Received fields on top that the mail system itself added before asking.",
        ),
    ] = 0


class Answer(Struct, frozen=True, omit_defaults=True):
    """What is to be done with the message, and why. What does not apply is left out."""

    action: Annotated[Action, Meta(description="accept; throttle: refuse for now; block: refuse.")]
    reason: Annotated[Reason, Meta(description="Why; docs/policy.md explains each.")]
    smtp_code: Annotated[int | None, Meta(description="450 or 550; none to accept.")] = None
    enhanced_code: Annotated[str | None, Meta(description="Such as 4.7.230.")] = None
    text: Annotated[str | None, Meta(description="The reply's text, printable ASCII.")] = None
    would_be: Annotated[
        Action | None,
        Meta(description="throttle or block where that is only reported or simulated."),
    ] = None
    stage: Annotated[int | None, Meta(description="The stage of the ladder that was reached.")] = None
    throttle_minutes: Annotated[int | None, Meta(description="Minutes per hour of 450 in that stage.")] = None
    block_minutes: Annotated[int | None, Meta(description="Minutes per hour of 550 in that stage.")] = None
    until: Annotated[
        Annotated[datetime, Meta(tz=True)] | None,
        Meta(description="When mail is taken again, UTC; none if not by waiting."),
    ] = None
    server: Annotated[str | None, Meta(description="The name that the server stamps.")] = None
    network: Annotated[str | None, Meta(description="The network that it sends from.")] = None
    tenant: Annotated[str | None, Meta(description="The tenant whose word counted.")] = None
    build: Annotated[str | None, Meta(description="The build that the message shows.")] = None


_decoder = msgspec.json.Decoder(Message)


def read(request: Request) -> Question:
    """The question that a body asks.

    Raises:
        Refused: it asks none.
    """
    if request.cut:
        raise Refused(413, "the body is longer than max_body")
    message = decoded(_decoder, request.body)
    raw = message.raw_headers
    fields = received(message.headers) if raw is None else split_headers(raw)
    session = Session(
        canonical(message.client_ip[:_NAME]),
        message.client_name[:_NAME],
        message.helo[:_NAME],
        message.authenticated,
        message.tls_name[:_NAME],
        message.listener[:_NAME],
        domains(message.recipients),
    )
    trace = bounded(fields[int(message.own_received) :])
    return Question(session, trace, message.queue_id[:_NAME], message.stage == "rcpt")


def write(verdict: Verdict) -> bytes:
    """The answer as a body.

    Raises:
        ValueError: the reply is not one of SMTP.
    """
    decision = verdict.decision
    refused = verdict.reply is not None
    code, enhanced, text = parts(verdict.reply) if verdict.reply is not None else (None, None, None)
    case = decision.stage > 0
    until = None if decision.until is None else datetime.fromtimestamp(decision.until, UTC)
    return msgspec.json.encode(
        Answer(
            decision.action if refused else Action.ACCEPT,
            decision.reason,
            code,
            enhanced,
            text,
            None if refused or decision.action is Action.ACCEPT else decision.action,
            decision.stage if case else None,
            decision.throttle if case else None,
            decision.block if case else None,
            until,
            **_server(verdict),
        )
    )


def _server(verdict: Verdict) -> Mapping[str, str | None]:
    entry = verdict.entry
    if entry is None:
        return {}
    build = entry.sighting.build
    return {
        "server": entry.key.name,
        "network": entry.key.network,
        "tenant": entry.key.tenant,
        "build": format_build(build) if build else None,
    }


def parts(reply: str) -> tuple[int, str, str]:
    """Code, enhanced code and text of an SMTP line, fit for the wire.

    Raises:
        ValueError: it is none to refuse with.
    """
    code, enhanced, text = refusal(reply).decode("ascii").split(" ", 2)
    return int(code), enhanced, text


DECIDE = Form("What is to be done with a message", Message, Answer, read, write)
