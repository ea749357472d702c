"""``wehr policy``: what the policy says of a server, without asking the ledger."""

import time
from datetime import date, timedelta
from pathlib import Path

import rich_click as click

from wehr.catalogue import load
from wehr.cli.config import file_option, read
from wehr.cli.output import BadUse, print_json, print_table
from wehr.cli.times import Day, Instant, iso
from wehr.evidence.build import format_build, parse_build
from wehr.policy.ladder import DAY, Ladder
from wehr.policy.policy import Policy
from wehr.policy.selection import midnight
from wehr.policy.simulation import Span, simulate
from wehr.policy.timeline import Entry, timeline
from wehr.policy.types import Episode

_LAST = 7_258_118_400.0
"""The year 2200: from there even a long ladder ends before the year 9999, after which there are no dates."""
_EARLIEST = date(1990, 1, 1)
_LATEST = date(2200, 1, 1)
_LONGEST = 3660


@click.group("policy")
def command() -> None:
    """Show the ladder, or play the policy over time."""


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
        f"The ladder {ladder.name} at {iso(now)}, in minutes per hour",
        ("", "stage", "start", "end", "throttle", "block"),
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


@command.command("simulate")
@click.argument("build")
@click.option("--from", "start", type=Day(), required=True, help="First day to show.")
@click.option("--to", "end", type=Day(), required=True, help="Last day to show.")
@click.option("--first-seen", type=Instant(), help="When the server was first seen, if before.")
@click.option("--software", default="exchange", show_default=True, help="What the build is of.")
@file_option
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def show_simulation(
    *,
    build: str,
    start: date,
    end: date,
    first_seen: float | None,
    software: str,
    file: Path | None,
    as_json: bool,
) -> None:
    """Play the policy over time for a server that goes on showing BUILD, such as 15.1.2507.17.

    Each day is judged by what was known on it; floors, waves and ladder rules to come are in it.
    """
    try:
        numbers = parse_build(build)
    except ValueError as error:
        raise BadUse(str(error)) from None
    if not _EARLIEST <= start <= end <= _LATEST:
        raise BadUse(f"--from and --to must be days in order, from {_EARLIEST} to {_LATEST}")
    seen = midnight(start) if first_seen is None else first_seen
    if midnight(end) - min(seen, midnight(start)) > _LONGEST * DAY:
        raise BadUse(f"at most {_LONGEST} days can be played")
    catalogue = load()
    policy = read(file).policy
    spans = simulate(
        policy,
        lambda day: catalogue.assess(numbers, day, software),
        seen,
        start=start,
        end=end + timedelta(days=1),
    )
    if as_json:
        shown = [_span(span) for span in spans]
        print_json({"build": format_build(numbers), "software": software, "spans": shown})
        return
    print_table(
        f"{software} {format_build(numbers)}, first seen {iso(seen)}, in minutes per hour",
        ("from", "to", "compliant", "why", "stage", "throttle", "block"),
        [
            (
                it.start,
                it.end - timedelta(days=1),
                {True: "yes", False: "no", None: "cannot tell"}[it.ok],
                it.why if it.stage == 0 or it.reason in {None, "report-stage"} else f"{it.why} ({it.reason})",
                _place(it, policy),
                it.throttle or "",
                it.block or "",
            )
            for it in spans
        ],
    )


def _place(span: Span, policy: Policy) -> str:
    """The stage, with its ladder where that is not the usual one."""
    if not span.stage:
        return ""
    return str(span.stage) if span.ladder == policy.ladder else f"{span.stage} {span.ladder}"


def _span(span: Span) -> dict[str, object]:
    return {
        "start": span.start,
        "end": span.end,
        "compliant": span.ok,
        "rule": span.rule,
        "why": span.why,
        "reason": span.reason,
        "ladder": span.ladder or None,
        "stage": span.stage or None,
        "throttle_minutes": span.throttle,
        "block_minutes": span.block,
    }


def _stage(entry: Entry) -> dict[str, object]:
    return {
        "stage": entry.stage,
        "start": iso(entry.start),
        "end": iso(entry.end),
        "throttle_minutes": entry.throttle,
        "block_minutes": entry.block,
        "current": entry.current,
    }
