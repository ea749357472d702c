"""The rows of the outbox: what is written to others, and how far it has come."""

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import RowMapping


class Kind(StrEnum):
    """What is written."""

    NOTICE = "notice"
    """To the administrators of a server: at most once."""
    DIGEST = "digest"
    """To one's own: at least once."""
    WEBHOOK = "webhook"
    """To one's own: at least once."""
    CHAT = "chat"
    """To one's own: at least once."""


POSTED: Final = (Kind.WEBHOOK, Kind.CHAT)
"""Those that tell of events to where the configuration says. They make no events, or they would never end."""


class State(StrEnum):
    """How far a row has come. A closed set."""

    WAITING = "waiting"
    HANDING_OVER = "handing-over"
    SENT = "sent"
    DOUBTFUL = "doubtful"
    """Handed over, but nobody heard whether it was taken: not sent again without a person's word."""
    REFUSED = "refused"
    """The other side will never take it."""
    UNADDRESSED = "unaddressed"
    """There is nobody to write to."""
    WITHDRAWN = "withdrawn"
    """Overtaken by events before it was sent."""


class Draft(Struct, frozen=True):
    """What is to be written. ``kind`` to ``episode`` together are its key: there is never a second."""

    kind: Kind
    tenant: str
    organisation: str
    """Whom a notice is for; the address of a webhook; the file with that of a chat."""
    reason: str
    episode: str
    recipients: tuple[str, ...] = ()
    servers: tuple[str, ...] = ()
    """References of all the servers it is about."""
    cves: tuple[str, ...] = ()
    message_id: str = ""
    body: bytes = b""


class Item(Draft, frozen=True, kw_only=True):
    """A row of the outbox; times are UTC seconds since 1970."""

    id: int
    created: float
    due: float
    """When it is tried next."""
    state: State
    changed: float
    attempts: int
    holder: str
    held_until: float
    said: str
    """What the other side said last, or why it is not sent."""


class Stopped(Struct, frozen=True):
    """The kill switch, thrown."""

    at: float
    by: str
    why: str


def row_of(draft: Draft, now: float) -> dict[str, Any]:
    """A new row."""
    addressed = draft.recipients or draft.kind in POSTED
    return {
        "kind": draft.kind.value,
        "tenant": draft.tenant,
        "organisation": draft.organisation,
        "reason": draft.reason,
        "episode": draft.episode,
        "created": now,
        "due": now,
        "state": (State.WAITING if addressed else State.UNADDRESSED).value,
        "changed": now,
        "attempts": 0,
        "holder": "",
        "held_until": 0.0,
        "recipients": json.dumps(draft.recipients),
        "servers": json.dumps(draft.servers),
        "cves": json.dumps(draft.cves),
        "message_id": draft.message_id,
        "said": "",
        "body": draft.body,
    }


def item_of(row: RowMapping | Mapping[str, Any]) -> Item:
    """A row as a value; one that was read without its body has an empty one."""
    values: dict[str, Any] = dict(row)
    for name in ("recipients", "servers", "cves"):
        values[name] = tuple(json.loads(values[name]))
    values["kind"], values["state"] = Kind(values["kind"]), State(values["state"])
    return Item(**{"body": b"", **values})


def key_of(draft: Draft) -> tuple[str, ...]:
    """What there is only one of."""
    return (draft.kind, draft.tenant, draft.organisation, draft.reason, draft.episode)
