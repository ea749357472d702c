"""Why a message was treated as it was, for people: one text for every surface."""

from collections.abc import Iterator
from datetime import UTC, date, datetime

from msgspec import Struct

from wehr.catalogue import Catalogue
from wehr.catalogue.types import Assessment, Note, State
from wehr.evidence.build import Build, format_build
from wehr.evidence.types import Relation, Sighting
from wehr.policy.clock import elapsed, stopped, when
from wehr.policy.compliance import Rules, complies, floor_for
from wehr.policy.cure import least_accepted
from wehr.policy.decide import best_shown
from wehr.policy.ladder import Ladder, stage_at, steps
from wehr.policy.policy import Policy
from wehr.policy.replies import SOFTWARE, TABLE
from wehr.policy.timeline import dates
from wehr.policy.types import Action, Decision, Episode, Reason, ServerKey, Standing, Stop
from wehr.policy.windows import HOUR, Window, window

_SHOWN = 5

_NOTES = {
    Note.IN_BETWEEN: "between two known builds, counted as the lower",
    Note.BELOW_FIRST: "below the first known build of its branch, counted as that",
    Note.NEWER_THAN_CATALOGUE: "newer than the catalogue",
    Note.CANNOT_TELL: "a stamp of this kind does not show every update",
    Note.ESU: "has paid (ESU) updates",
    Note.UNKNOWN_BRANCH: "its branch is not in the catalogue",
    Note.UNKNOWN_PRODUCT: "its product is not in the catalogue",
}


class Item(Struct, frozen=True):
    """One paragraph of an explanation. ``topic`` names it to programs and never changes."""

    topic: str
    heading: str
    text: str


def explain(
    decision: Decision,
    sighting: Sighting | None,
    assessment: Assessment | None,
    standing: Standing | None,
    *,
    effective: Assessment | None = None,
    server: ServerKey | None = None,
    policy: Policy,
    catalogue: Catalogue | None = None,
    stops: tuple[Stop, ...] = (),
    key: bytes = b"",
    now: float,
) -> tuple[Item, ...]:
    """The explanation of a decision, in the order in which it came about; what is not known is left out.

    ``effective`` and ``stops`` are as `decide` takes them; ``catalogue`` is what the assessments come from,
    and gives the sources and the least build that would do. Without ``key`` the windows are left out. Nothing
    in it is markup, but the evidence holds what a stranger wrote: printable ASCII, to be escaped where it is
    shown.
    """
    found = []
    day = datetime.fromtimestamp(now, UTC).date()
    if sighting is not None:
        found.append(Item("evidence", "Evidence", _evidence(sighting)))
    if assessment is not None:
        found.append(Item("assessment", "What the catalogue says", _assessed(assessment)))
        if catalogue is not None:
            found.append(Item("sources", "Sources", _sources(catalogue, assessment)))
        found.append(Item("rule", "Rule that decides", _ruled(assessment, policy.compliance, day)))
    found.append(Item("decision", "Decision", _decided(decision)))
    if decision.stage and assessment is not None:
        episode = (standing and standing.episode) or Episode(now, ((now, None),))
        shown = best_shown(assessment, effective, policy, day)
        stops = (*policy.stops(shown), *stops)
        ladder, place = policy.course(shown, episode, stops, now)
        found.append(Item("stage", "Stage", _staged(ladder, place, episode, stops, now)))
        stage = ladder.stages[stage_at(ladder, place) - 1]
        if server and key and stage.minutes and not stopped(stops, now):
            hours = (int(now // HOUR), int(now // HOUR) + 1)
            stretches = (window(key, server, hour, stage.throttle, stage.block) for hour in hours)
            texts = [_opening(one) for one in stretches]
            found.append(
                Item("windows", "Windows (UTC)", f"This hour: {texts[0]}. The next hour: {texts[1]}.")
            )
        least = None
        if catalogue is not None:
            least = least_accepted(catalogue, shown.software, shown.build, policy.compliance, day)
        found.append(Item("cure", "What would lift it", _cured(shown, least)))
    return tuple(found)


def _evidence(sighting: Sighting) -> str:
    software = SOFTWARE.get(sighting.software, sighting.software)
    build = f" {format_build(sighting.build)}" if sighting.build else ", no build"
    if sighting.relation is Relation.NONE and sighting.build:
        return f"refused before its headers, by what {sighting.name} had shown: {software}{build}"
    name = f"; calls itself {sighting.name} ({sighting.confidence})" if sighting.name else ""
    line = f". Received: {sighting.line}" if sighting.line else ""
    return f"{software}{build}, {sighting.relation.replace('_', ' ')}{name}{line}"


def _assessed(assessment: Assessment) -> str:
    return "; ".join(_assessed_parts(assessment)) + "."


def _assessed_parts(assessment: Assessment) -> Iterator[str]:
    parts = (assessment.product or assessment.software, assessment.branch, assessment.update)
    name = " ".join(part for part in parts if part)
    yield f"{name} ({format_build(assessment.build)}) is {assessment.state}"
    if assessment.released:
        yield f"released {assessment.released}"
    if assessment.state is State.UNSUPPORTED and assessment.unsupported_since:
        yield f"without support since {assessment.unsupported_since}"
    if assessment.missing_updates:
        updates = [f"{it.name}{'' if it.certain else ' (perhaps)'}" for it in assessment.missing_updates]
        yield f"missing {_some(updates)}"
    holes = [hole.cve for hole in assessment.vulnerabilities if hole.exploited and hole.certain]
    if holes:
        yield f"known to be exploited: {_some(holes)}"
    yield from (_NOTES[note] for note in assessment.notes)


def _some(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _sources(catalogue: Catalogue, assessment: Assessment) -> str:
    row = catalogue.row_of(assessment.software, assessment.build)
    texts = [catalogue.sources.get(tag, tag) for tag in (row.sources if row else ())]
    return f"Catalogue of {catalogue.date}. {'; '.join(texts) or 'It does not know this build'}."


def _ruled(assessment: Assessment, rules: Rules, day: date) -> str:
    verdict = complies(assessment, rules, day)
    said = {True: "In compliance", False: "Out of compliance", None: "Cannot be told"}[verdict.ok]
    text = f"{said} by the rule {verdict.rule!r}: {verdict.why}"
    if verdict.rule == "floor" and (floor := floor_for(assessment.software, assessment.build, rules, day)):
        text += f", since {floor.since}"
        if floor.source:
            text += f" ({floor.source}{'' if floor.certain else '; not certain'})"
    return f"{text}."


def _decided(decision: Decision) -> str:
    text = f"{decision.action} ({decision.reason}): {TABLE[decision.reason].operator}"
    if decision.action is not Action.ACCEPT and not decision.enforced:
        text += "; only reported, so the message was accepted"
    if decision.until is not None:
        text += f"; mail is taken again from {_minute(decision.until)} UTC"
    return f"{text}."


def _staged(ladder: Ladder, place: float, episode: Episode, stops: tuple[Stop, ...], now: float) -> str:
    number = stage_at(ladder, place)
    step = steps(ladder)[number - 1]
    clock = elapsed(episode, stops, now)
    parts = [f"Stage {number} of {len(ladder.stages)} of the ladder {ladder.name}"]
    if start := when(episode, stops, clock + step.start - place):
        parts.append(f"since {_date(start)}")
    parts.append(_rates(step.throttle, step.block))
    parts.append(f"first detected {_date(episode.started)}")
    if holder := stopped(stops, now):
        reason = TABLE[holder.reason or Reason.NOT_IN_SCOPE].operator
        until = f" until {_date(holder.end)}" if holder.end is not None else ""
        parts.append(f"the clock stands{until} ({reason})")
    following = dates(ladder, episode, stops, now, place)
    if following.next_stage_throttle_rate is not None and following.next_stage_block_rate is not None:
        at = following.next_stage_start_date
        rates = _rates(following.next_stage_throttle_rate, following.next_stage_block_rate)
        parts.append(f"stage {number + 1} ({rates}) {f'from {_date(at)}' if at else 'has no date'}")
    return "; ".join(parts) + "."


def _rates(throttle: int, block: int) -> str:
    rates = [f"throttled {throttle} min/h"] * bool(throttle) + [f"blocked {block} min/h"] * bool(block)
    return ", ".join(rates) or "only reported"


def _opening(stretch: Window) -> str:
    parts = []
    if stretch.turn > stretch.start:
        parts.append(f"blocked {_minute(stretch.start)}-{_minute(stretch.turn)}")
    if stretch.end > stretch.turn:
        parts.append(f"throttled {_minute(stretch.turn)}-{_minute(stretch.end)}")
    return ", ".join(parts)


def _cured(assessment: Assessment, least: Build | None) -> str:
    recommended = [format_build(build) for build in assessment.recommended_builds]
    wanted = _some(recommended) or "a build that meets the rules"
    if len(recommended) > 1:
        wanted = f"one of {wanted}"
    if least is not None:
        others = [build for build in recommended if build != format_build(least)]
        better = f" (recommended: {_some(others)})" if others else ""
        wanted = f"{format_build(least)}, the least build that is accepted, or a newer one{better}"
    return (
        f"A message from this server that shows {wanted}: it is let in with that message, at once. "
        "A pause or an exemption stops the clock meanwhile."
    )


def _minute(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%H:%M}"


def _date(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"
