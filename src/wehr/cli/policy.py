"""``wehr policy``: the ladder with its dates, and the policy played over time."""

import time
from datetime import date, timedelta
from pathlib import Path

import rich_click as click
from msgspec import Struct

from wehr.catalogue import Catalogue
from wehr.cli.config import catalogue_of, file_option, read, state_option
from wehr.cli.output import BadUse, print_json, print_table
from wehr.cli.times import Day, Instant, iso
from wehr.evidence.build import format_build, parse_build
from wehr.ledger import ServerRow
from wehr.ledger.report import Basis
from wehr.policy.ladder import DAY, Ladder
from wehr.policy.policy import Policy
from wehr.policy.selection import midnight
from wehr.policy.simulation import Span, simulate
from wehr.policy.timeline import Entry, timeline
from wehr.policy.types import Episode

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


class Played(Struct, frozen=True):
    """A policy played for one build, or for one server of the store."""

    build: str
    software: str
    spans: tuple[Span, ...]
    first: float
    """First seen, or first detected out of compliance (UTC seconds)."""
    server: str = ""
    network: str = ""
    reference: str = ""


@command.command("simulate")
@click.argument("build", required=False)
@click.option(
    "--server",
    "names",
    metavar="REF|NAME",
    multiple=True,
    help="A server of the store in place of BUILD, with its clock, pauses and exemptions; repeatable.",
)
@click.option("--from", "start", type=Day(), required=True, help="First day to show.")
@click.option("--to", "end", type=Day(), required=True, help="Last day to show.")
@click.option("--first-seen", type=Instant(), help="When BUILD was first seen, if before.")
@click.option("--software", default="exchange", show_default=True, help="What BUILD is of.")
@file_option
@state_option
@click.option("--json", "as_json", is_flag=True, help="JSON: one document, or a list of them for servers.")
def show_simulation(
    *,
    build: str | None,
    names: tuple[str, ...],
    start: date,
    end: date,
    first_seen: float | None,
    software: str,
    file: Path | None,
    state: Path | None,
    as_json: bool,
) -> None:
    """Play the policy over time for a server that goes on showing BUILD, such as 15.1.2507.17.

    Each day is judged by what was known on it; floors, waves and ladder rules to come are in it. A server
    of the store has its pauses and exemptions, and is taken to go on showing the build that it shows now.
    """
    if bool(build) == bool(names):
        raise BadUse("give a BUILD such as 15.1.2507.17, or servers of the store with --server")
    if not _EARLIEST <= start <= end <= _LATEST:
        raise BadUse(f"--from and --to must be days in order, from {_EARLIEST} to {_LATEST}")
    if build:
        seen = midnight(start) if first_seen is None else first_seen
        config = read(file)
        policy = config.policy
        played = [_play_build(build, software, policy, catalogue_of(config, state), seen, start, end)]
    else:
        from wehr.cli.stored import one_server, opened

        with opened(file, state) as stored:
            policy = stored.basis.policy
            played = [_play_server(one_server(stored, name), stored.basis, start, end) for name in names]
    if as_json:
        shown = [_played(one) for one in played]
        print_json(shown if names else shown[0])
        return
    for one in played:
        _print_played(one, policy)


def _play_build(
    build: str, software: str, policy: Policy, catalogue: Catalogue, seen: float, start: date, end: date
) -> Played:
    try:
        numbers = parse_build(build)
    except ValueError as error:
        raise BadUse(str(error)) from None
    if seen >= midnight(end) + DAY:
        raise BadUse("--first-seen is after the last day to show")
    _check_length(min(seen, midnight(start)), end)
    spans = simulate(
        policy,
        lambda day: catalogue.assess(numbers, day, software),
        seen,
        start=start,
        end=end + timedelta(days=1),
    )
    return Played(format_build(numbers), software, spans, seen)


def _play_server(row: ServerRow, basis: Basis, start: date, end: date) -> Played:
    standing = basis.ledger.standing(row.key, basis.now)
    if standing is None or standing.effective_build is None or row.relation != "direct":
        raise BadUse(f"{row.key.name} does not hand over itself, shows no build, or is forgotten")
    build, episode = standing.effective_build, standing.episode
    if episode is not None and episode.intervals[-1][1] is not None:
        episode = None  # cured: another fall would be a new episode, or be told by the ledger
    first = episode.started if episode else standing.first_seen
    _check_length(first, end)
    software = row.state.software
    spans = simulate(
        basis.policy,
        lambda day: basis.catalogue.assess(build, day, software),
        first,
        start=start,
        end=end + timedelta(days=1),
        stops=basis.holds.stops(row.key, row.client_ip, row.client_name),
        episode=episode,
        present=basis.now,
    )
    return Played(format_build(build), software, spans, first, row.key.name, row.key.network, row.ref)


def _check_length(first: float, end: date) -> None:
    if midnight(end) - first > _LONGEST * DAY:
        raise BadUse(f"at most {_LONGEST} days can be played")


def _print_played(one: Played, policy: Policy) -> None:
    who = f"{one.server} on {one.network}, " if one.server else ""
    print_table(
        f"{who}{one.software} {one.build}, first seen {iso(one.first)}, in minutes per hour",
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
            for it in one.spans
        ],
    )


def _played(one: Played) -> dict[str, object]:
    who: dict[str, object] = {}
    if one.server:
        who = {
            "server": one.server,
            "network": one.network,
            "reference": one.reference,
            "first_detected": iso(one.first),
        }
    return {**who, "build": one.build, "software": one.software, "spans": [_span(it) for it in one.spans]}


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
