"""What the words that the store keeps are called on pages."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from wehr.ledger.rows import Event
from wehr.policy.phrases import Phrase, Value, joined
from wehr.web.languages import N_

EVENTS: Final = (
    N_("detected"),
    N_("relapsed"),
    N_("cured"),
    N_("stage"),
    N_("pause-added"),
    N_("pause-extended"),
    N_("pause-cancelled"),
    N_("exemption-added"),
    N_("exemption-cancelled"),
    N_("notice-planned"),
    N_("notice-sent"),
    N_("notice-refused"),
    N_("notice-doubtful"),
    N_("notice-retried"),
    N_("notice-withdrawn"),
)
"""The kinds of events that one server has."""

_DETAILS: Final[Mapping[str, str]] = {
    "previous": N_("stage before"),
    "stage": N_("stage"),
    "throttle": N_("throttle"),
    "block": N_("block"),
    "enforced": N_("enforced"),
    "build": N_("build"),
    "days": N_("days"),
    "from": N_("from"),
    "until": N_("until"),
    "why": N_("reason"),
    "reason": N_("reason"),
    "network": N_("network"),
    "domain": N_("domain"),
    "to": N_("recipients"),
    "servers": N_("servers"),
    "said": N_("answer"),
}


def details(event: Event) -> Phrase:
    """What an event says beyond its kind."""
    return joined(
        ", ",
        (
            joined(": ", (Phrase(_DETAILS.get(name, name)), _value(event, value)))
            for name, value in event.detail.items()
            if value is not None and value != ""
        ),
    )


def _value(event: Event, value: str | float | bool) -> Value:
    if isinstance(value, bool):
        return Phrase(N_("yes")) if value else Phrase(N_("no"))
    if isinstance(value, int):
        return value
    try:
        return datetime.strptime(str(value), "%Y-%m-%dT%H:%M:%S%z")
    except ValueError:
        # What a person wrote is left as it is; why a notice is written is a word of ours.
        return Phrase(str(value)) if event.kind.startswith("notice-") else str(value)
