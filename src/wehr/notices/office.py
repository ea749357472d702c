"""From what a store holds to letters in its outbox: who stands where, what is due, and how it is written."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

from msgspec import Struct

from wehr.ledger import Event, ServerRow, Store
from wehr.ledger.outbox import Draft, Item, Kind, Outbox, State
from wehr.ledger.report import Basis
from wehr.notices import chat, letters
from wehr.notices.contacts import Book, Whom, read_book
from wehr.notices.due import Manners, due
from wehr.notices.letters import Thread, Writer
from wehr.notices.render import Letter, Rendered, Templates
from wehr.notices.servers import Found, describe, survey
from wehr.notices.settings import Notices
from wehr.notices.types import LADDER, Notice, Past, Reason
from wehr.notices.webhook import payload

_DAY: Final = 86_400.0
_SERVERS: Final = 1_000_000


class Office(Struct, frozen=True):
    """Everything that writing takes, besides the store and the time."""

    settings: Notices
    book: Book
    templates: Templates
    writer: Writer
    status_url: str = ""

    def link(self, ref: str) -> str:
        """The public page of a server, as replies name it."""
        return f"{self.status_url.rstrip('/')}/s/{ref}" if self.status_url else ""


def open_office(
    settings: Notices, folder: Path, *, host: str, status_url: str, contact: str, now: float
) -> Office:
    """Read what is configured: addresses and templates.

    Args:
        settings: what is configured.
        folder: the state folder, which relative paths are inside of.
        host: this receiver's name.
        status_url: where its public pages are; "" for none.
        contact: whom the administrators of a refused server may write to.
        now: UTC seconds since 1970.
    """
    sender = settings.sender or f"postmaster@{host}"
    reply_to = settings.reply_to or (contact if "@" in contact and ":" not in contact else sender)
    return Office(
        settings,
        read_book(settings, folder, datetime.fromtimestamp(now, UTC)),
        Templates(folder / settings.templates if settings.templates else None),
        Writer(sender, reply_to, settings.operator or host, host),
        status_url,
    )


class Round(Struct, frozen=True):
    """All servers that may be written about, as they stand at one moment."""

    office: Office
    basis: Basis
    found: Mapping[str, Found]
    stopped: frozenset[str]
    """Addresses that are not written to any more."""
    secret: bytes

    def whom_to(self, notice: Notice) -> tuple[Whom, tuple[str, ...]]:
        """Whose the servers are, and the addresses; none if there is nobody to write to."""
        servers = [self.found[ref] for ref in notice.servers]
        whom = servers[0].whom
        ips = dict.fromkeys(server.row.client_ip for server in servers)
        return whom, self.office.book.addresses(whom, ips, self.stopped)

    def letter(self, notice: Notice) -> Letter:
        """What the templates are given."""
        office = self.office
        return Letter(
            notice.reason,
            notice.organisation,
            tuple(describe(self.found[ref], self.basis, office.link) for ref in notice.servers),
            notice.cves,
            date.fromisoformat(notice.episode) if notice.reason is Reason.FLOOR else None,
            office.writer.operator,
            office.writer.host,
            office.writer.reply_to,
            self.basis.now,
        )

    def texts(self, notice: Notice) -> tuple[Rendered, ...]:
        """The notice in each language that its readers may want."""
        whom, _ = self.whom_to(notice)
        letter = self.letter(notice)
        return tuple(
            self.office.templates.notice(letter, language) for language in self.office.book.language(whom)
        )

    def message(self, notice: Notice, to: Sequence[str], previous: str = "") -> bytes:
        """The notice as it is sent; ``previous`` is the Message-ID of the one before it."""
        thread = Thread(self._identity(notice), self._identity(notice, whole=True), previous)
        letter, texts = self.letter(notice), self.texts(notice)
        return letters.notice(letter, texts, self.office.writer, to, thread=thread, now=self.basis.now)

    def draft(self, notice: Notice, previous: str = "") -> Draft:
        """The notice as it goes into the outbox; without recipients if there is nobody to write to."""
        _, to = self.whom_to(notice)
        return Draft(
            Kind.NOTICE,
            notice.tenant,
            notice.organisation,
            notice.reason.value,
            notice.episode,
            to,
            notice.servers,
            notice.cves,
            self._identity(notice),
            self.message(notice, to, previous) if to else b"",
        )

    def _identity(self, notice: Notice, *, whole: bool = False) -> str:
        """The Message-ID of a notice, or that under which all to its organisation stand."""
        key = (notice.tenant, notice.organisation)
        parts = ("thread", *key) if whole else ("notice", *key, notice.reason, notice.episode)
        return letters.identity(self.office.writer, self.secret, *parts)


def look_round(office: Office, store: Store, basis: Basis, tenants: Sequence[str]) -> Round:
    """Ask a store where the servers of some tenants stand."""
    oldest = basis.now - basis.policy.silent_days * _DAY
    rows: list[ServerRow] = []
    for tenant in tenants:
        rows += store.servers(tenant=tenant, seen_since=oldest, limit=_SERVERS)
    return round_of(office, store, basis, rows)


def round_of(office: Office, store: Store, basis: Basis, rows: Iterable[ServerRow]) -> Round:
    """Where some servers stand; of an organisation all, or it is told what is not so."""

    def whom(row: ServerRow) -> Whom:
        return office.book.whom(row.key.name, row.client_name, row.client_ip, row.key.network)

    found = {one.row.ref: one for one in survey(rows, basis, whom)}
    stopped = frozenset(Outbox(store).stopped_contacts())
    return Round(office, basis, found, stopped, store.secret)


def choose(one: Round, known: Sequence[Item]) -> tuple[list[Notice], list[int], Callable[[Notice], str]]:
    """What is due, the most urgent first; the ids that are overtaken; what each follows.

    What found nobody to write to is due again, for somebody may be known by now.

    Args:
        one: where the servers stand.
        known: all notices there have been.
    """
    office, now = one.office, one.basis.now
    places = [found.place for found in one.found.values()]
    manners = Manners(gather=office.settings.gather_hours * 3600.0)
    told = (past(item) for item in known if item.state is not State.UNADDRESSED)
    plan = due(now, places, told, manners)
    urgency = {reason: -rank for rank, reason in enumerate((Reason.CURED, Reason.FLOOR, *LADDER))}
    notices = sorted(plan.notices, key=lambda notice: urgency.get(notice.reason, -len(urgency)))
    latest = {
        (item.tenant, item.organisation): item.message_id
        for item in sorted(known, key=lambda item: item.changed)
        if item.state is State.SENT
    }
    return notices, list(plan.withdrawn), lambda notice: latest.get((notice.tenant, notice.organisation), "")


def plan_notices(one: Round, outbox: Outbox) -> list[Draft]:
    """Put what is due into the outbox, no more than leaves it within the hour."""
    if outbox.stopped():
        return []

    def drafted(known: Sequence[Item]) -> tuple[Iterable[Draft], list[int]]:
        room = one.office.settings.per_hour - sum(item.state is State.WAITING for item in known)
        notices, withdrawn, previous = choose(one, known)
        drafts = []
        for notice in notices:
            addressed = bool(one.whom_to(notice)[1])
            if addressed and room <= 0:
                continue
            room -= addressed
            drafts.append(one.draft(notice, previous(notice)))
        return drafts, withdrawn

    return outbox.plan(Kind.NOTICE, drafted, one.basis.now)


def plan_webhooks(settings: Notices, host: str, outbox: Outbox, now: float) -> None:
    """Put what has happened since the last time into the outbox, for each webhook that hears of it."""

    def drafts(target: str, events: Sequence[Event]) -> Iterable[Draft]:
        for event in events:
            body = payload(event, host)
            yield Draft(Kind.WEBHOOK, event.tenant, target, event.kind, str(event.id), body=body)

    targets = {target.url: target.events for target in settings.webhooks}
    if targets:
        outbox.plan_news(Kind.WEBHOOK, targets, drafts, now)


def plan_chats(office: Office, outbox: Outbox, now: float) -> None:
    """Put what has happened since the last time into the outbox, as one text for each chat.

    Raises:
        jinja2.TemplateError: a template is wrong.
    """
    chats = {chat.url_file: chat for chat in office.settings.chats}

    def drafts(target: str, events: Sequence[Event]) -> Iterable[Draft]:
        said = chat.write(events, office.templates, chats[target].language, office.writer.host)
        yield Draft(Kind.CHAT, "", target, "news", str(events[-1].id), body=said)

    if chats:
        told = {target: one.events or chat.TOLD for target, one in chats.items()}
        outbox.plan_news(Kind.CHAT, told, drafts, now)


def past(item: Item) -> Past:
    """A row of the outbox as what was written before."""
    return Past(
        tenant=item.tenant,
        organisation=item.organisation,
        reason=Reason(item.reason),
        episode=item.episode,
        servers=item.servers,
        cves=item.cves,
        id=item.id,
        at=item.changed,
        waiting=item.state is State.WAITING,
        withdrawn=item.state is State.WITHDRAWN,
    )
