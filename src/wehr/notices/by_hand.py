"""A notice about one server that a person wants sent now, and why there is none."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from msgspec.structs import replace

from wehr.ledger.outbox import Draft, Item, Kind, Outbox, State, Stopped
from wehr.notices.office import Round, choose
from wehr.notices.types import Notice


class Bar(StrEnum):
    """Why a person cannot have a server's administrators written to. A closed set."""

    STOPPED = "stopped"
    """The kill switch is thrown."""
    UNSEEN = "unseen"
    """It shows no build, stands behind a relay, or has not been seen lately."""
    UNCONFIRMED = "unconfirmed"
    """Nothing that the mail system has verified bears out its name."""
    ALONE = "alone"
    """It is exempt, or mixed and only reported."""
    NOTHING = "nothing"
    """There is nothing to tell."""
    WRITTEN = "written"
    """They know all there is to tell."""
    WAITING = "waiting"
    """It is in the outbox."""
    UNSETTLED = "unsettled"
    """It is in the outbox, and waits for a person: doubtful or refused."""
    NOBODY = "nobody"
    """No address is known."""
    OPTED_OUT = "opted-out"
    """The operator's entry names no address: they are not to be written to."""
    RETURNED = "returned"
    """Mail to every address has come back."""


_BARS: Final = {
    State.WAITING: Bar.WAITING,
    State.HANDING_OVER: Bar.WAITING,
    State.SENT: Bar.WRITTEN,
    State.DOUBTFUL: Bar.UNSETTLED,
    State.REFUSED: Bar.UNSETTLED,
}


class Barred(ValueError):
    """Nothing is written, for ``bar``. ``last`` is the notice that stands in the way, where one does."""

    def __init__(self, bar: Bar, last: Item | None = None, stopped: Stopped | None = None) -> None:
        super().__init__(_SAID[bar])
        self.bar = bar
        self.last = last
        self.stopped = stopped


_SAID: Final = {
    Bar.STOPPED: "notices are stopped",
    Bar.UNSEEN: "it shows no build, stands behind a relay, or has not been seen lately",
    Bar.UNCONFIRMED: "nothing that the mail system has verified bears out its name",
    Bar.ALONE: "it is exempt, or shows an old and a new build",
    Bar.NOTHING: "there is nothing to tell its administrators",
    Bar.WRITTEN: "its administrators know all there is to tell",
    Bar.WAITING: "a notice to them waits in the outbox already",
    Bar.UNSETTLED: "a notice to them is doubtful or was refused; 'wehr notices list' shows it",
    Bar.NOBODY: "no address of its administrators is known",
    Bar.OPTED_OUT: "notices.contacts says that they are not to be written to",
    Bar.RETURNED: "mail to all of its addresses has come back",
}


def wanted(one: Round, known: Sequence[Item], ref: str) -> tuple[Notice, tuple[int, ...], str]:
    """The notice about a server that is due, without waiting for what else may come up.

    Args:
        one: where the servers of its organisation stand.
        known: all notices there have been.
        ref: the server.

    Returns:
        The notice, the ids of waiting ones that it overtakes, and the Message-ID that it follows.

    Raises:
        Barred: there is none.
    """
    found = one.found.get(ref)
    if found is None or not found.place.seen:
        raise Barred(Bar.UNSEEN)
    if not found.place.confirmed:
        raise Barred(Bar.UNCONFIRMED)
    if found.place.alone:
        raise Barred(Bar.ALONE)
    whose = (found.place.tenant, found.place.organisation)
    theirs = [it for it in known if (it.tenant, it.organisation) == whose]
    settings = replace(one.office.settings, gather_hours=0)
    notices, overtaken, previous = choose(replace(one, office=replace(one.office, settings=settings)), theirs)
    notice = next((it for it in notices if ref in it.servers), None)
    if notice is None:
        told = [it for it in theirs if it.state in _BARS and ref in it.servers]
        last = max(told, key=lambda it: it.changed, default=None)
        raise Barred(_BARS[last.state] if last else Bar.NOTHING, last)
    _check_readers(one, notice)
    return notice, tuple(overtaken), previous(notice)


def _check_readers(one: Round, notice: Notice) -> None:
    whom, to = one.whom_to(notice)
    if to:
        return
    if whom.contact is not None and not whom.contact.to:
        raise Barred(Bar.OPTED_OUT)
    ips = [one.found[ref].row.client_ip for ref in notice.servers]
    raise Barred(Bar.RETURNED if one.office.book.addresses(whom, ips) else Bar.NOBODY)


def look(one: Round, outbox: Outbox, ref: str) -> Notice:
    """What `write` would write.

    Raises:
        Barred: nothing can be written.
    """
    _check_switch(outbox)
    return wanted(one, outbox.items(kind=Kind.NOTICE, limit=_ALL), ref)[0]


def write(one: Round, outbox: Outbox, ref: str, *, why: str, by: str) -> Notice:
    """Put the notice about a server into the outbox, with the event that says who wanted it and why.

    Raises:
        Barred: nothing can be written; another one may have been quicker.
    """
    _check_switch(outbox)
    written: list[Notice] = []

    def drafted(known: Sequence[Item]) -> tuple[list[Draft], tuple[int, ...]]:
        notice, overtaken, previous = wanted(one, known, ref)
        written.append(notice)
        return [one.draft(notice, previous)], overtaken

    outbox.plan(Kind.NOTICE, drafted, one.basis.now, by=by, why=why, ref=ref)
    return written[0]


_ALL: Final = 1_000_000


def _check_switch(outbox: Outbox) -> None:
    if stopped := outbox.stopped():
        raise Barred(Bar.STOPPED, stopped=stopped)
