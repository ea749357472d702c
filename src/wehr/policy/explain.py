"""Why a message was treated as it was, for people: one text for every surface."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime

from msgspec import Struct

from wehr.catalogue import Catalogue
from wehr.catalogue.types import Assessment, MissingUpdate, Note, State
from wehr.evidence.build import Build, format_build
from wehr.evidence.types import Relation, Sighting
from wehr.policy.clock import elapsed, excusing, stopped, when
from wehr.policy.compliance import Rules, complies, floor_for
from wehr.policy.cure import least_accepted
from wehr.policy.decide import best_shown
from wehr.policy.ladder import Ladder, stage_at, steps
from wehr.policy.laddering import Turn
from wehr.policy.phrases import Phrase, Value, joined
from wehr.policy.policy import Policy
from wehr.policy.refusals import Refusals
from wehr.policy.replies import SOFTWARE, TABLE
from wehr.policy.timeline import dates
from wehr.policy.types import Action, Decision, Episode, Reason, ServerKey, Standing, Stop
from wehr.policy.windows import HOUR, Window

_SHOWN = 5

_NOTES = {
    Note.IN_BETWEEN: Phrase("between two known builds, counted as the lower"),
    Note.BELOW_FIRST: Phrase("below the first known build of its branch, counted as that"),
    Note.NEWER_THAN_CATALOGUE: Phrase("newer than the catalogue"),
    Note.CANNOT_TELL: Phrase("a stamp of this kind does not show every update"),
    Note.ESU: Phrase("has paid (ESU) updates"),
    Note.UNKNOWN_BRANCH: Phrase("its branch is not in the catalogue"),
    Note.UNKNOWN_PRODUCT: Phrase("its product is not in the catalogue"),
}
_VERDICTS = {
    True: Phrase("In compliance"),
    False: Phrase("Out of compliance"),
    None: Phrase("Cannot be told"),
}


class Item(Struct, frozen=True):
    """One paragraph of an explanation. ``topic`` names it to programs and never changes.

    ``text`` is a `Phrase`, which JSON takes with `phrases.encoded`.
    """

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
    and gives the sources and the least build that would do. Without ``key`` the windows are left out, and
    where nothing is enforced. Nothing in it is markup, but the evidence holds what a stranger wrote:
    printable ASCII, to be escaped where it is shown.
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
        turns = policy.turns(shown, episode, stops, now)
        found.append(Item("stage", "Stage", _staged(ladder, place, episode, stops, now, turns=turns)))
        if decision.enforced and server and key:
            refusals, hour = Refusals(server, policy, shown, episode, stops, key), int(now // HOUR)
            this, following = refusals.hour(hour), refusals.hour(hour + 1)
            if this or following:
                found.append(Item("windows", "Windows (UTC)", _windows(_hour(this), _hour(following))))
        least = None
        if catalogue is not None:
            least = least_accepted(catalogue, shown.software, shown.build, policy.compliance, day)
        found.append(Item("cure", "What would lift it", _cured(shown, least)))
    return tuple(found)


def _evidence(sighting: Sighting) -> Phrase:
    named = sighting.software in SOFTWARE
    software = Phrase(SOFTWARE[sighting.software]) if named else sighting.software
    if sighting.build:
        shown = joined(" ", (software, format_build(sighting.build)))
    else:
        shown = Phrase("%(software)s, no build", {"software": software})
    if sighting.relation is Relation.NONE and sighting.build:
        return Phrase(
            "refused before its headers, by what %(name)s had shown: %(shown)s",
            {"name": sighting.name, "shown": shown},
        )
    text = joined(", ", (shown, Phrase(sighting.relation.replace("_", " "))))
    if sighting.name:
        told = {"text": text, "name": sighting.name, "confidence": Phrase(sighting.confidence)}
        text = Phrase("%(text)s; calls itself %(name)s (%(confidence)s)", told)
    if sighting.line:
        text = Phrase("%(text)s. Received: %(line)s", {"text": text, "line": sighting.line})
    return text


def _assessed(assessment: Assessment) -> Phrase:
    return joined("; ", _assessed_parts(assessment), ".")


def _assessed_parts(assessment: Assessment) -> Iterator[Phrase]:
    parts = (assessment.product or assessment.software, assessment.branch, assessment.update)
    yield Phrase(
        "%(product)s (%(build)s) is %(state)s",
        {
            "product": " ".join(part for part in parts if part),
            "build": format_build(assessment.build),
            "state": Phrase(assessment.state),
        },
    )
    if assessment.released:
        yield Phrase("released %(day)s", {"day": assessment.released})
    if assessment.state is State.UNSUPPORTED and assessment.unsupported_since:
        yield Phrase("without support since %(day)s", {"day": assessment.unsupported_since})
    if assessment.missing_updates:
        yield Phrase("missing %(updates)s", {"updates": _some([*map(_lacked, assessment.missing_updates)])})
    if holes := [hole.cve for hole in assessment.attacked]:
        yield Phrase("known to be exploited: %(holes)s", {"holes": _some(holes)})
    yield from (_NOTES[note] for note in assessment.notes)


def _lacked(update: MissingUpdate) -> str:
    name = {"name": update.name}
    if update.esu:
        return Phrase("%(name)s (paid, ESU)", name)
    return update.name if update.certain else Phrase("%(name)s (perhaps)", name)


def _some(names: Sequence[str]) -> Phrase:
    shown, more = joined(", ", names[:_SHOWN]), len(names) - _SHOWN
    return Phrase("%(names)s and %(count)s more", {"names": shown, "count": more}) if more > 0 else shown


def _sources(catalogue: Catalogue, assessment: Assessment) -> Phrase:
    row = catalogue.row_of(assessment.software, assessment.build)
    texts = [catalogue.sources.get(tag, tag) for tag in (row.sources if row else ())]
    if not texts:
        return Phrase("Catalogue of %(day)s. It does not know this build.", {"day": catalogue.date})
    sources = joined("; ", map(Phrase, texts))
    return Phrase("Catalogue of %(day)s. %(sources)s.", {"day": catalogue.date, "sources": sources})


def _ruled(assessment: Assessment, rules: Rules, day: date) -> Phrase:
    verdict = complies(assessment, rules, day)
    text = Phrase(
        "%(verdict)s by the rule '%(rule)s': %(why)s",
        {"verdict": _VERDICTS[verdict.ok], "rule": Phrase(verdict.rule), "why": verdict.why},
    )
    if verdict.rule == "floor" and (floor := floor_for(assessment.software, assessment.build, rules, day)):
        text = Phrase("%(text)s, since %(day)s", {"text": text, "day": floor.since})
        if floor.source and floor.certain:
            text = Phrase("%(text)s (%(source)s)", {"text": text, "source": Phrase(floor.source)})
        elif floor.source:
            text = Phrase(
                "%(text)s (%(source)s; not certain)", {"text": text, "source": Phrase(floor.source)}
            )
    return joined("", (text,), ".")


def _decided(decision: Decision) -> Phrase:
    words = {"action": decision.action, "reason": decision.reason, "text": TABLE[decision.reason].operator}
    parts = [Phrase("%(action)s (%(reason)s): %(text)s", {name: Phrase(it) for name, it in words.items()})]
    if decision.action is not Action.ACCEPT and not decision.enforced:
        parts.append(Phrase("only reported, so the message was accepted"))
    elif decision.reason is Reason.OUTSIDE_WINDOW and not decision.enforced:
        parts.append(Phrase("only reported, so its mail is taken in those minutes, too"))
    elif decision.until is not None:
        parts.append(Phrase("mail is taken again from %(minute)s UTC", {"minute": _minute(decision.until)}))
    return joined("; ", parts, ".")


def _staged(
    ladder: Ladder,
    place: float,
    episode: Episode,
    stops: tuple[Stop, ...],
    now: float,
    *,
    turns: tuple[Turn, ...],
) -> Phrase:
    number = stage_at(ladder, place)
    step = steps(ladder)[number - 1]
    clock = elapsed(episode, stops, now)
    parts = [
        Phrase(
            "Stage %(number)s of %(count)s of the ladder %(ladder)s",
            {"number": number, "count": len(ladder.stages), "ladder": ladder.name},
        )
    ]
    if start := when(episode, stops, clock + step.start - place):
        parts.append(Phrase("since %(day)s", {"day": _moment(start)}))
    parts.append(_rates(step.throttle, step.block))
    parts.append(Phrase("first detected %(day)s", {"day": _moment(episode.started)}))
    if holder := excusing(stops, now) or stopped(stops, now):
        parts.append(_held(holder))
    following = dates(ladder, episode, stops, now, place, turns=turns)
    if following.next_stage_throttle_rate is not None and following.next_stage_block_rate is not None:
        rates = _rates(following.next_stage_throttle_rate, following.next_stage_block_rate)
        ahead: dict[str, Value] = {"number": number + 1, "rates": rates}
        if at := following.next_stage_start_date:
            ahead["day"] = _moment(at)
            parts.append(Phrase("stage %(number)s (%(rates)s) from %(day)s", ahead))
        else:
            parts.append(Phrase("stage %(number)s (%(rates)s) has no date", ahead))
    return joined("; ", parts, ".")


def _held(holder: Stop) -> Phrase:
    parts = [Phrase("the clock stands")]
    if holder.end is not None:
        parts = [Phrase("the clock stands until %(day)s", {"day": _moment(holder.end)})]
    if holder.reason:
        parts.append(Phrase("(%(reason)s)", {"reason": Phrase(TABLE[holder.reason].operator)}))
    return joined(" ", parts)


def _rates(throttle: int, block: int) -> Phrase:
    rates = []
    if throttle:
        rates.append(Phrase("throttled %(minutes)s min/h", {"minutes": throttle}))
    if block:
        rates.append(Phrase("blocked %(minutes)s min/h", {"minutes": block}))
    return joined(", ", rates) if rates else Phrase("only reported")


def _windows(this: Phrase, following: Phrase) -> Phrase:
    return Phrase("This hour: %(this)s. The next hour: %(next)s.", {"this": this, "next": following})


def _hour(stretches: Sequence[Window]) -> Phrase:
    parts = []
    for stretch in stretches:
        start, turn, end = map(_minute, (stretch.start, stretch.turn, stretch.end))
        if stretch.turn > stretch.start:
            parts.append(Phrase("blocked %(start)s-%(end)s", {"start": start, "end": turn}))
        if stretch.end > stretch.turn:
            parts.append(Phrase("throttled %(start)s-%(end)s", {"start": turn, "end": end}))
    return joined(", ", parts) if parts else Phrase("mail is taken")


def _cured(assessment: Assessment, least: Build | None) -> Phrase:
    return Phrase(
        "A message from this server that shows %(wanted)s: it is let in with that message, at once. "
        "A pause or an exemption stops the clock meanwhile.",
        {"wanted": _wanted([format_build(build) for build in assessment.recommended_builds], least)},
    )


def _wanted(recommended: Sequence[str], least: Build | None) -> Phrase:
    if least is not None:
        shown = format_build(least)
        wanted = Phrase("%(least)s, the least build that is accepted, or a newer one", {"least": shown})
        if others := [build for build in recommended if build != shown]:
            told = {"wanted": wanted, "builds": _some(others)}
            wanted = Phrase("%(wanted)s (recommended: %(builds)s)", told)
        return wanted
    if len(recommended) > 1:
        return Phrase("one of %(builds)s", {"builds": _some(recommended)})
    return _some(recommended) if recommended else Phrase("a build that meets the rules")


def _minute(at: float) -> str:
    return f"{_moment(at):%H:%M}"


def _moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)
