"""Writing to administrators for the pages: they know nothing of the notices, nor the notices of them."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from jinja2 import TemplateError

from wehr.ledger import ServerRow, Store
from wehr.ledger.listing import Line
from wehr.ledger.outbox import Outbox
from wehr.ledger.report import Basis
from wehr.notices import by_hand
from wehr.notices.by_hand import Barred
from wehr.notices.office import Office, Round, open_office, round_of
from wehr.notices.types import Notice
from wehr.policy.phrases import Value
from wehr.service.config import Config
from wehr.web.letters import CannotWrite, Letter, LetterText
from wehr.web.source import Present


class Source(Protocol):
    """The running service; values that do not change, so any thread may ask."""

    config: Config

    def present(self) -> Present:
        """What is in force now."""
        ...

    def now(self) -> float:
        """UTC seconds since 1970."""
        ...


class Letters:
    """See `wehr.web.letters.Letters`.

    Args:
        source: the service.
        folder: the state folder.
    """

    def __init__(self, source: Source, folder: Path) -> None:
        self._source = source
        self._folder = folder

    def fellows(self, row: ServerRow, lines: Iterable[Line]) -> list[str]:
        """The references of the servers that one message would be about."""
        settings = self._source.config.notices
        if not settings.tenants or not settings.submission.host:
            raise CannotWrite("off")
        if row.key.tenant not in settings.tenants:
            raise CannotWrite("tenant")
        whom = self._office().book.whom
        theirs = whom(row.key.name, row.client_name, row.client_ip, row.key.network).organisation
        refs = [
            it.ref
            for it in lines
            if it.key.tenant == row.key.tenant
            and whom(it.key.name, it.client_name, it.client_ip, it.key.network).organisation == theirs
        ]
        return list(dict.fromkeys((row.ref, *refs)))

    def look(self, store: Store, rows: Sequence[ServerRow], basis: Basis, ref: str) -> Letter:
        """What would be written about a server now."""
        one = round_of(self._office(), store, basis, rows)
        with _told():
            return _letter(one, by_hand.look(one, Outbox(store), ref))

    def write(
        self, store: Store, rows: Sequence[ServerRow], basis: Basis, ref: str, *, why: str, by: str
    ) -> Letter:
        """Put it into the outbox, from where the post takes it."""
        one = round_of(self._office(), store, basis, rows)
        with _told():
            return _letter(one, by_hand.write(one, Outbox(store), ref, why=why, by=by))

    def _office(self) -> Office:
        facts = self._source.present().facts
        return open_office(
            self._source.config.notices,
            self._folder,
            host=facts.host_name,
            status_url=facts.status_url,
            contact=facts.contact,
            now=self._source.now(),
        )


@contextmanager
def _told() -> Iterator[None]:
    """Why nothing can be written, in the words of the pages."""
    try:
        yield
    except Barred as error:
        raise _cannot(error) from None
    except TemplateError as error:
        raise CannotWrite("template", {"why": str(error)[:300]}) from None


def _letter(one: Round, notice: Notice) -> Letter:
    return Letter(
        notice.reason.value,
        notice.organisation,
        one.whom_to(notice)[1],
        tuple(sorted(one.found[ref].row.key.name for ref in notice.servers)),
        tuple(LetterText(it.language, it.subject, it.text) for it in one.texts(notice)),
    )


def _cannot(error: Barred) -> CannotWrite:
    values: dict[str, Value] = {}
    if error.last:
        values = {
            "at": _moment(error.last.changed),
            "to": ", ".join(error.last.recipients),
            "id": str(error.last.id),
        }
    if error.stopped:
        values = {"at": _moment(error.stopped.at), "by": error.stopped.by, "why": error.stopped.why}
    return CannotWrite(error.bar.value, values)


def _moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)
