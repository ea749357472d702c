"""A person has a server's administrators written to now: what for, and every reason why not."""

import pytest
from msgspec.structs import replace
from notice_stories import DAY, NEW, SETTINGS, START, basis, carry, look, office, seen

from wehr.ledger import Store, deeds
from wehr.ledger.outbox import Kind, Outbox, State
from wehr.notices import by_hand
from wehr.notices.by_hand import Bar, Barred
from wehr.notices.office import Round, plan_notices, round_of
from wehr.notices.settings import Contact
from wehr.notices.types import Reason
from wehr.policy import Mode, Policy


def ref_of(store: Store, name: str = "mail.example.org") -> str:
    """A server's reference."""
    return next(row.ref for row in store.servers() if row.key.name == name)


def bar(one: Round, store: Store, ref: str = "") -> Barred:
    """Why nothing can be written, which looking and writing agree on."""
    ref = ref or ref_of(store)
    with pytest.raises(Barred) as looked:
        by_hand.look(one, Outbox(store), ref)
    with pytest.raises(Barred) as wrote:
        by_hand.write(one, Outbox(store), ref, why="x", by="olga")
    assert looked.value.bar is wrote.value.bar
    return wrote.value


def test_what_is_due_is_written_without_waiting_for_more(store: Store) -> None:
    """An hour after the detection, where the service itself would wait for a day; with name and reason."""
    carry(store, [seen()])
    one, ref = look(store, 0.05), ref_of(store)
    assert plan_notices(one, Outbox(store)) == []

    shown = by_hand.look(one, Outbox(store), ref)
    assert Outbox(store).items() == []
    written = by_hand.write(one, Outbox(store), ref, why="they called", by="olga")

    assert shown == written
    assert (written.reason, written.servers) == (Reason.DETECTED, (ref,))
    (item,) = Outbox(store).items()
    assert (item.state, item.recipients) == (State.WAITING, ("postmaster@example.org",))
    event = store.events(ref=ref, kinds=("notice-planned",))[0]
    assert (event.actor, event.detail["why"]) == ("olga", "they called")


@pytest.mark.parametrize(
    ("state", "why"),
    [
        (State.WAITING, Bar.WAITING),
        (State.SENT, Bar.WRITTEN),
        (State.DOUBTFUL, Bar.UNSETTLED),
        (State.REFUSED, Bar.UNSETTLED),
    ],
)
def test_it_is_the_one_that_would_have_come_so_nobody_hears_it_twice(
    sqlite: Store, state: State, why: Bar
) -> None:
    """The service finds nothing due afterwards; a second person is told what became of the first's."""
    carry(sqlite, [seen()])
    outbox = Outbox(sqlite)
    by_hand.write(look(sqlite, 0.05), outbox, ref_of(sqlite), why="x", by="olga")
    item = outbox.claim("mx1", START + DAY, lease=60, most=20)
    assert item is not None
    outbox.finish(item, state, START + DAY)

    assert plan_notices(look(sqlite, 2), outbox) == []
    found = bar(look(sqlite, 2), sqlite)
    assert found.bar is why
    assert found.last is not None
    assert found.last.recipients == ("postmaster@example.org",)


def test_the_next_stage_is_news(store: Store) -> None:
    """And what waits of the stage before is overtaken; another organisation's is left alone."""
    carry(store, [seen(), seen(day=30), seen("mail.example.net", ip="198.51.100.25")])
    outbox, ref = Outbox(store), ref_of(store)
    plan_notices(look(store, 2), outbox)
    written = by_hand.write(look(store, 31), outbox, ref, why="x", by="olga")

    assert written.reason is Reason.THROTTLED
    states = {(item.organisation, item.reason): item.state for item in outbox.items(kind=Kind.NOTICE)}
    assert states == {
        ("example.org", "detected"): State.WITHDRAWN,
        ("example.org", "throttled"): State.WAITING,
        ("example.net", "detected"): State.WAITING,
    }


def test_all_servers_of_the_organisation_are_in_the_one_message(store: Store) -> None:
    """As with any other notice."""
    carry(store, [seen(), seen("mx2.example.org", ip="192.0.2.26")])
    written = by_hand.write(look(store, 2), Outbox(store), ref_of(store), why="x", by="olga")

    assert len(written.servers) == 2
    assert bar(look(store, 2), store, ref_of(store, "mx2.example.org")).bar is Bar.WAITING


def test_who_got_no_notice_for_want_of_an_address_gets_it_when_one_is_known(store: Store) -> None:
    """The row that was kept for that is filled, and the event says who did it."""
    carry(store, [seen(client_name="")])
    silent = replace(SETTINGS, postmaster=False)
    plan_notices(look(store, 2, silent), Outbox(store))
    contact = Contact(to=("mailteam@example.org",), networks=("192.0.2.0/24",))
    by_hand.write(
        look(store, 2, replace(silent, contacts=(contact,))), Outbox(store), ref_of(store), why="x", by="olga"
    )

    (item,) = Outbox(store).items()
    assert (item.state, item.recipients) == (State.WAITING, ("mailteam@example.org",))
    assert [it.actor for it in store.events(kinds=("notice-planned",))] == ["olga", "wehr"]


def test_why_nothing_is_written(store: Store) -> None:
    """Each of the reasons, by what brings it about."""
    carry(store, [seen()])
    ref, outbox = ref_of(store), Outbox(store)
    assert bar(look(store, 40), store).bar is Bar.UNSEEN
    assert bar(look(store, 2), store, "abcdefghabcdefgh").bar is Bar.UNSEEN
    assert bar(look(store, 2, replace(SETTINGS, postmaster=False)), store).bar is Bar.NOBODY
    refusing = Contact(to=(), domains=("example.org",))
    assert bar(look(store, 2, replace(SETTINGS, contacts=(refusing,))), store).bar is Bar.OPTED_OUT

    outbox.stop_contact("postmaster@example.org", START, "5.1.1")
    assert bar(look(store, 2), store).bar is Bar.RETURNED
    outbox.resume_contact("postmaster@example.org", START, "eve")

    outbox.stop(START, "eve", "complaints")
    found = bar(look(store, 2), store)
    assert found.bar is Bar.STOPPED
    assert found.stopped is not None
    assert found.stopped.by == "eve"
    outbox.start(START, "eve")

    deeds.exempt(store, server="mail.example.org", why="x", by="eve", now=START)
    assert bar(look(store, 2), store).bar is Bar.ALONE
    assert outbox.items() == []
    assert store.events(ref=ref, kinds=("notice-planned",)) == []


def test_a_server_in_compliance_or_unconfirmed_is_not_written_about(sqlite: Store) -> None:
    """Nothing is to be told of the one, and the other's name may be forged."""
    from wehr.evidence.types import Confidence

    carry(
        sqlite,
        [
            seen("new.example.org", build=NEW, compliant=True),
            seen("mail.example.net", ip="198.51.100.25", confidence=Confidence.PLAUSIBLE),
        ],
    )
    one = look(sqlite, 2)

    assert bar(one, sqlite, ref_of(sqlite, "new.example.org")).bar is Bar.NOTHING
    assert bar(one, sqlite, ref_of(sqlite, "mail.example.net")).bar is Bar.UNCONFIRMED


def test_a_round_over_one_organisation_finds_what_one_over_all_finds(sqlite: Store) -> None:
    """So a page need not look at the whole fleet."""
    carry(
        sqlite, [seen(), seen("mx2.example.org", ip="192.0.2.26"), seen("a.example.net", ip="198.51.100.1")]
    )
    everything = look(sqlite, 2)
    theirs = [row for row in sqlite.servers() if row.key.name.endswith("example.org")]
    narrow = round_of(office(), sqlite, basis(sqlite, 2, Policy(mode=Mode.ENFORCE)), theirs)
    ref = ref_of(sqlite)

    assert by_hand.look(narrow, Outbox(sqlite), ref) == by_hand.look(everything, Outbox(sqlite), ref)
