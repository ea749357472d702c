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
    found = {name: value for name, value in event.detail.items() if value is not None and value != ""}
    told = {name: _value(value) for name, value in found.items()}
    if event.kind.startswith("notice-") and "reason" in told:
        told["reason"] = Phrase(str(told["reason"]))  # a word of ours; elsewhere it is what a person wrote
    return joined(", ", (joined(": ", (Phrase(_DETAILS.get(name, name)), told[name])) for name in told))


def _value(value: str | float | bool) -> Value:
    if isinstance(value, bool):
        return Phrase(N_("yes")) if value else Phrase(N_("no"))
    if isinstance(value, int):
        return value
    try:
        return datetime.strptime(str(value), "%Y-%m-%dT%H:%M:%S%z")
    except ValueError:
        return str(value)
