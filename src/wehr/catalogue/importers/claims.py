"""What a feed claims, before anybody believes it."""

from collections.abc import Mapping
from datetime import date, datetime

import msgspec
from msgspec import Struct

from wehr.evidence.build import Build, parse_build


class BadFeed(ValueError):
    """A document that cannot be read as a feed; the text says why."""


class Complaint(Struct, frozen=True):
    """Something in a feed that is wrong, or that cannot be used."""

    subject: str
    text: str


class FixClaim(Struct, frozen=True):
    """A feed says that a build fixes a hole. ``product`` is the feed's name for it, never to be relied on."""

    cve: str
    software: str
    product: str
    build: Build
    introduced: Build | None = None


class ExploitClaim(Struct, frozen=True):
    """A feed says that a hole is exploited."""

    cve: str
    listed: date
    ransomware: bool
    product: str = ""


class Reading(Struct, frozen=True):
    """Everything that one document says of the software that is known here."""

    format: str
    document: str
    dated: date | None = None
    fixes: tuple[FixClaim, ...] = ()
    exploits: tuple[ExploitClaim, ...] = ()
    mentioned: tuple[tuple[str, str], ...] = ()
    """(software, CVE) of every hole that it speaks of, with or without a build."""
    published: Mapping[str, date] = {}
    complaints: tuple[Complaint, ...] = ()


# Only to choose what to look at: which branch a build belongs to, its numbers alone decide.
_SOFTWARE = (
    ("exchange server", "exchange"),
    ("exim", "exim"),
    ("sendmail", "sendmail"),
    ("mdaemon", "mdaemon"),
    ("smartermail", "smartermail"),
    ("zimbra", "zimbra"),
)


def software_of(vendor: str, product: str) -> str | None:
    """The software that a feed's product name speaks of, or None for what is not known here."""
    name = f"{vendor} {product}".lower().replace("_", " ")
    words = name.split()
    for needle, software in _SOFTWARE:
        if needle in name if " " in needle else needle in words:
            return software
    return "mdaemon" if "mdaemon" in name else None


def decode(raw: bytes) -> dict[str, object]:
    """A JSON object.

    Raises:
        BadFeed: not JSON, too deep, or no object.
    """
    try:
        return msgspec.json.decode(raw, type=dict[str, object])
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadFeed(f"not JSON of an object: {error}") from None


def check(document: Mapping[str, object], schema: Mapping[str, object], name: str) -> None:
    """Hold a document against the part of its schema that is read here.

    Raises:
        BadFeed: the first breach, with its place.
    """
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    worst = best_match(Draft202012Validator(schema).iter_errors(document))
    if worst:
        place = "/".join(map(str, worst.absolute_path)) or "(top)"
        raise BadFeed(f"not a sound {name}: {place}: {worst.message[:200]}")


def build_of(text: object) -> Build | None:
    """A build as feeds write it, padded or not, or None for ``publication``, ``N/A`` and the like."""
    try:
        return parse_build(str(text).strip())
    except ValueError:
        return None


def day_of(text: object) -> date | None:
    """The day of an ISO 8601 time, or None."""
    try:
        return datetime.fromisoformat(str(text).strip()).date()
    except ValueError:
        return None
