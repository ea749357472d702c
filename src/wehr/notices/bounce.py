"""Bounces: delivery status notifications (RFC 3464) that say that an address does not exist.

Anybody can write to the address that bounces go to. So one counts only if it names the Message-ID of a
notice, which nobody can guess who has not got it, and an address that this notice was sent to.
"""

import re
from collections.abc import Iterator
from email import message_from_bytes
from email.message import Message
from typing import Final

from msgspec import Struct

from wehr.ledger.outbox import Outbox

MOST_BYTES: Final = 2**18
"""Of a message; what is beyond is not read. What a bounce says comes before the message that it returns."""
_PARTS: Final = 50
_RECIPIENTS: Final = 100
_MESSAGE_ID: Final = re.compile(rb"(?im)^message-id:\s*<([^<>\s]{1,250})>")
_STATUS: Final = re.compile(r"\s*5\.\d{1,3}\.\d{1,3}\b")


class Failure(Struct, frozen=True):
    """One recipient that will never be reached."""

    address: str
    original: str
    """The address that was written to, where it was another one."""
    why: str


class Bounce(Struct, frozen=True):
    """What a notification says: failures for good, and the Message-IDs (without brackets) that it names."""

    failures: tuple[Failure, ...] = ()
    message_ids: tuple[str, ...] = ()


def read_bounce(content: bytes) -> Bounce:
    """Read a message; what is no notification of a failure for good gives an empty one. Never throws."""
    content = content[:MOST_BYTES]
    try:
        parts = list(_parts(message_from_bytes(content)))
        failures = [
            failure
            for part in parts
            if part.get_content_type() in ("message/delivery-status", "message/global-delivery-status")
            for failure in _failures(part)
        ]
    # The parser of mail is forgiving, but not of everything a stranger can think of.
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return Bounce()
    names = [found.decode("ascii", "replace") for found in _MESSAGE_ID.findall(content)]
    return Bounce(tuple(failures[:_RECIPIENTS]), tuple(dict.fromkeys(names))[:_PARTS])


def take_bounce(outbox: Outbox, content: bytes, now: float) -> tuple[str, ...]:
    """Stop writing to the addresses that a bounce of a notice of ours names; tells which."""
    bounce = read_bounce(content)
    stopped = []
    for name in bounce.message_ids:
        item = outbox.of_message(name) if bounce.failures else None
        if item is None:
            continue
        ours = {address.lower(): address for address in item.recipients}
        for failure in bounce.failures:
            # A mail system that forwards names the last address: where there was one alone it is meant.
            only = item.recipients[0] if len(item.recipients) == 1 else ""
            address = ours.get(failure.original) or ours.get(failure.address) or only
            if address and address not in stopped:
                outbox.stop_contact(address, now, failure.why)
                stopped.append(address)
    return tuple(stopped)


def _parts(message: Message) -> Iterator[Message]:
    for number, part in enumerate(message.walk()):
        if number >= _PARTS:
            return
        yield part


def _failures(part: Message) -> Iterator[Failure]:
    """Each block of fields is one recipient, the first one the message as a whole."""
    blocks = part.get_payload()
    for block in blocks if isinstance(blocks, list) else ():
        if not isinstance(block, Message):
            continue
        action = str(block.get("Action", "")).strip().lower()
        status = str(block.get("Status", ""))
        if action == "failed" and _STATUS.match(status):
            why = " ".join(f"{status} {block.get('Diagnostic-Code', '')}".split())
            yield Failure(
                _address(block.get("Final-Recipient")), _address(block.get("Original-Recipient")), why[:300]
            )


def _address(field: object) -> str:
    """The address in ``rfc822; postmaster@example.org``."""
    return str(field or "").partition(";")[2].strip().strip("<>").lower()
