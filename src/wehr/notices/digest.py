"""The digest for one's own administrators: what happened since the last one, and what needs a person."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from msgspec import Struct

from wehr.ledger import Store
from wehr.ledger.outbox import Draft, Item, Kind, Outbox, State
from wehr.ledger.report import Basis, ReportRow, report
from wehr.ledger.rows import Event
from wehr.notices import letters
from wehr.notices.office import Office
from wehr.notices.settings import Digest
from wehr.policy import Holds

_DAY: Final = 86_400.0
_ENDING: Final = 14 * _DAY
"""Pauses and exemptions that end within these days are named."""
_LAGGING: Final = 3600.0
_GONE: Final = 30 * _DAY
"""A node that has not been heard of for longer was taken out of service."""
_EVENTS: Final = 10_000
_SERVERS: Final = 1_000_000
STUCK: Final = (State.DOUBTFUL, State.REFUSED, State.UNADDRESSED)
"""States of notices that wait for a person."""
_SHOWN: Final = 50

TOLD: Final = (
    "detected",
    "relapsed",
    "stage",
    "cured",
    "pause-added",
    "pause-cancelled",
    "exemption-added",
    "exemption-cancelled",
    "ladder-changed",
    "history-lost",
    "notice-sent",
    "contact-stopped",
)
"""Kinds of events that a digest tells of; each has its words in the template."""


class News(Struct, frozen=True):
    """What a digest tells; events and rows are cut to fifty of a kind, with their number."""

    since: float
    until: float
    host: str
    events: Mapping[str, Sequence[Event]]
    """By kind: detected, relapsed, stage, cured, and what became of notices."""
    counted: Mapping[str, int]
    standing: Mapping[int, int]
    """Servers out of compliance, by stage."""
    pauses: Sequence[tuple[str, float]]
    """Whose, and when it ends."""
    exemptions: Sequence[tuple[str, float]]
    stale_days: int
    """The age of the catalogue, if it is old; else 0."""
    lagging: Sequence[tuple[str, float]]
    """Nodes, and when they were last heard of."""
    stuck: Sequence[Item]
    """Notices that wait for a person."""
    stopped: bool

    @property
    def quiet(self) -> bool:
        """Whether there is nothing to tell."""
        return not (
            self.events or self.pauses or self.exemptions or self.stale_days or self.lagging or self.stuck
        )


def period(settings: Digest, now: float) -> tuple[str, float] | None:
    """The digest that is due at a moment: its name (a day), and the length that it covers; None before."""
    moment = datetime.fromtimestamp(now, UTC)
    if moment.hour < settings.hour:
        moment -= timedelta(days=1)
    if settings.every == "week":
        moment -= timedelta(days=moment.weekday())
        return moment.date().isoformat(), 7 * _DAY
    return moment.date().isoformat(), _DAY


def gather(
    events: Iterable[Event],
    rows: Iterable[ReportRow],
    basis: Basis,
    *,
    since: float,
    host: str,
    stale_after: int,
    nodes: Mapping[str, float],
    stuck: Sequence[Item],
    stopped: bool,
) -> News:
    """Put the news together; all of it is as of ``basis.now``."""
    now = basis.now
    found: dict[str, list[Event]] = {}
    for event in events:
        if event.kind in TOLD and since <= event.at < now:
            found.setdefault(event.kind, []).append(event)
    standing: dict[int, int] = {}
    for row in rows:
        if row.out_of_date and row.stage and not row.silent:
            standing[row.stage] = standing.get(row.stage, 0) + 1
    age = basis.catalogue.age(basis.today).days
    return News(
        since,
        now,
        host,
        {kind: found[kind][:_SHOWN] for kind in TOLD if kind in found},
        {kind: len(found[kind]) for kind in found},
        dict(sorted(standing.items())),
        _pauses(basis.holds, now),
        _exemptions(basis.holds, now),
        age if age > stale_after else 0,
        _lagging(nodes, now),
        stuck[:_SHOWN],
        stopped,
    )


def plan_digest(office: Office, store: Store, basis: Basis, stale_after: int) -> list[Draft]:
    """Put the digest that is due into the outbox; nothing if one of its day is there already.

    Raises:
        jinja2.TemplateError: a template is wrong.
    """
    settings, outbox = office.settings.digest, Outbox(store)
    due = period(settings, basis.now)
    if not settings.to or due is None:
        return []
    name, length = due
    before = outbox.items(kind=Kind.DIGEST, limit=1)
    if before and before[0].episode >= name:
        return []
    since = max(before[0].created, basis.now - 2 * length) if before else basis.now - length
    news = gather(
        store.events(since=since, kinds=TOLD, limit=_EVENTS),
        report(store.servers(seen_since=basis.now - _GONE, limit=_SERVERS), basis),
        basis,
        since=since,
        host=office.writer.host,
        stale_after=stale_after,
        nodes=outbox.nodes(),
        stuck=outbox.items(kind=Kind.NOTICE, states=STUCK, since=basis.now - _GONE),
        stopped=outbox.stopped() is not None,
    )
    draft = write(news, office, name, store.secret)
    return outbox.plan(Kind.DIGEST, lambda _: ([draft], []), basis.now)


def write(news: News, office: Office, name: str, secret: bytes) -> Draft:
    """The digest called ``name`` as it goes into the outbox.

    Raises:
        jinja2.TemplateError: a template is wrong.
    """
    settings, writer = office.settings.digest, office.writer
    facts: dict[str, Any] = {field: getattr(news, field) for field in News.__struct_fields__}
    text = office.templates.text("digest", settings.language, {**facts, "quiet": news.quiet})
    message_id = letters.identity(writer, secret, "digest", settings.every, name)
    message = letters.plain([text], writer, settings.to, message_id, news.until).as_bytes()
    return Draft(Kind.DIGEST, "", "", settings.every, name, settings.to, message_id=message_id, body=message)


def conditions(basis: Basis, nodes: Mapping[str, float], stale_after: int) -> Iterator[Event]:
    """What has come about by itself and concerns a person, as events; each is the same every time."""
    now = basis.now
    if basis.catalogue.age(basis.today).days > stale_after:
        yield Event(now, "catalogue-stale", detail={"date": str(basis.catalogue.date)})
    for node, at in _lagging(nodes, now):
        yield Event(now, "node-lagging", name=node, detail={"last": _iso(at)})
    for name, end in _pauses(basis.holds, now):
        yield Event(now, "pause-ending", name=name, detail={"end": _iso(end)})
    for name, end in _exemptions(basis.holds, now):
        yield Event(now, "exemption-ending", name=name, detail={"end": _iso(end)})


def _lagging(nodes: Mapping[str, float], now: float) -> list[tuple[str, float]]:
    return sorted((node, at) for node, at in nodes.items() if now - _GONE < at < now - _LAGGING)


def _iso(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _pauses(holds: Holds, now: float) -> list[tuple[str, float]]:
    return sorted(
        (pause.server.name if pause.server else pause.tenant, pause.end)
        for pause in holds.pauses
        if now < pause.end <= now + _ENDING
    )


def _exemptions(holds: Holds, now: float) -> list[tuple[str, float]]:
    return sorted(
        (it.server or it.domain or it.network, it.until.timestamp())
        for it in holds.exemptions
        if it.until and now < it.until.timestamp() <= now + _ENDING
    )
