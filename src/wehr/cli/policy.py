"""``wehr policy``: what the policy says of a server, without asking the ledger."""

import time
from pathlib import Path

import rich_click as click

from wehr.cli.config import file_option, read
from wehr.cli.output import BadUse, print_json, print_table
from wehr.cli.times import Instant, iso
from wehr.policy.ladder import Ladder
from wehr.policy.policy import Policy
from wehr.policy.timeline import Entry, timeline
from wehr.policy.types import Episode

_LAST = 7_258_118_400.0
"""The year 2200: from there even a long ladder ends before the year 9999, after which there are no dates."""


@click.group("policy")
def command() -> None:
    """Show the ladder."""


def _ladder(policy: Policy, name: str | None) -> Ladder:
    try:
        return policy.named_ladder(name or policy.ladder)
    except KeyError:
        raise BadUse(f"no ladder is called {name!r}; there are {', '.join(policy.ladder_names)}") from None


@command.command("timeline")
@click.option("--first-detected", type=Instant(), required=True, help="When the server was first detected.")
@click.option("--at", type=Instant(), help="The time that counts as the present; without it, now.")
@click.option(
    "--ladder", "name", help="The ladder: exchange-online, gentle, urgent or one of the configuration."
)
@file_option
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def show_timeline(
    *, first_detected: float, at: float | None, name: str | None, file: Path | None, as_json: bool
) -> None:
    """Show the stages of a server with their start, end and minutes per hour, and the present one."""
    now = time.time() if at is None else at
    if max(first_detected, now) > _LAST:
        raise BadUse("that time is too late to be followed by stages")
    ladder = _ladder(read(file).policy, name)
    entries = timeline(ladder, Episode(first_detected, ((first_detected, None),)), (), now)
    present = next((entry for entry in entries if entry.current), None)
    if as_json:
        print_json(
            {
                "ladder": ladder.name,
                "first_detected": iso(first_detected),
                "at": iso(now),
                "stages": [_stage(entry) for entry in entries],
                "present": _stage(present) if present else None,
            }
        )
        return
    print_table(
        f"Ladder {ladder.name}, first detected {iso(first_detected)}, at {iso(now)} (UTC; minutes per hour)",
        ("", "stage", "start", "end", "450", "550"),
        [
            (
                "now" if it.current else "",
                it.stage,
                iso(it.start),
                iso(it.end) or "open",
                it.throttle,
                it.block,
            )
            for it in entries
        ],
    )


def _stage(entry: Entry) -> dict[str, object]:
    return {
        "stage": entry.stage,
        "start": iso(entry.start),
        "end": iso(entry.end),
        "throttle_minutes": entry.throttle,
        "block_minutes": entry.block,
        "current": entry.current,
    }
