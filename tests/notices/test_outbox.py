"""The outbox, over both engines: claims, leases, the hourly bound, the kill switch, what is swept."""

from collections.abc import Sequence

import pytest
from notice_stories import DAY, START, carry, seen

from wehr.ledger import Event, Retention, Store
from wehr.ledger.outbox import Draft, Item, Kind, Outbox, State

LEASE = 900.0


def draft(
    name: str = "example.org", kind: Kind = Kind.NOTICE, reason: str = "detected", **changes: object
) -> Draft:
    """Something to write."""
    values: dict[str, object] = {
        "recipients": ("postmaster@example.org",),
        "servers": ("abc",),
        "message_id": f"{name}.{reason}@receiver.test",
        "body": b"a message\r\n",
    }
    return Draft(kind, "default", name, reason, "1", **{**values, **changes})  # type: ignore[arg-type]


def put(outbox: Outbox, *drafts: Draft, now: float = START) -> None:
    """Put drafts into it."""
    for kind in {it.kind for it in drafts}:
        outbox.plan(kind, lambda _, kind=kind: ([it for it in drafts if it.kind is kind], []), now)


def claim(outbox: Outbox, holder: str = "a", now: float = START, most: int = 100) -> Item | None:
    """Claim the next."""
    return outbox.claim(holder, now, lease=LEASE, most=most)


def taken(outbox: Outbox, holder: str = "a", now: float = START) -> Item:
    """Claim the next, which must be there, and hand it over."""
    item = claim(outbox, holder, now)
    assert item is not None
    assert outbox.hand_over(item, now)
    return item


def test_what_is_claimed_is_nobody_elses_until_the_lease_ends(store: Store) -> None:
    """Then another takes over, and the first may not send any more."""
    outbox = Outbox(store)
    put(outbox, draft())
    first = claim(outbox, "a")
    assert first is not None

    assert claim(outbox, "b", START + LEASE - 1) is None
    second = claim(outbox, "b", START + LEASE)
    assert second is not None
    assert not outbox.hand_over(first, START + LEASE + 1)
    assert outbox.hand_over(second, START + LEASE + 1)
    assert not outbox.finish(first, State.WAITING, START + LEASE + 2)
    assert outbox.finish(second, State.SENT, START + LEASE + 2, said="250 ok")
    assert [(it.state, it.said, it.body) for it in outbox.items()] == [(State.SENT, "250 ok", b"")]


def test_the_same_is_never_put_in_twice(store: Store) -> None:
    """Not even after it was sent, refused or withdrawn."""
    outbox = Outbox(store)
    put(outbox, draft())
    outbox.finish(taken(outbox), State.SENT, START)

    put(outbox, draft(), draft("example.net"))

    assert [it.organisation for it in outbox.items()] == ["example.net", "example.org"]


def test_what_a_dead_node_handed_over_is_doubtful_and_waits_for_a_person(store: Store) -> None:
    """It is not sent again by itself; a digest is."""
    outbox = Outbox(store)
    put(outbox, draft(), draft(kind=Kind.DIGEST))
    taken(outbox, "a")
    taken(outbox, "b")

    assert outbox.sweep(START + LEASE - 1) == []
    assert [it.organisation for it in outbox.sweep(START + LEASE)] == ["example.org"]
    states = {it.kind: it.state for it in outbox.items()}
    assert states == {Kind.NOTICE: State.DOUBTFUL, Kind.DIGEST: State.WAITING}
    digest = claim(outbox, "c", START + LEASE)
    assert digest is not None
    assert digest.kind is Kind.DIGEST
    assert claim(outbox, "c", START + 99 * DAY) is not digest


def test_a_node_that_only_seemed_dead_may_still_say_how_it_ended(store: Store) -> None:
    """It has heard the answer after all."""
    outbox = Outbox(store)
    put(outbox, draft())
    item = taken(outbox)
    outbox.sweep(START + LEASE)

    assert outbox.finish(item, State.SENT, START + LEASE + 9)
    assert outbox.items()[0].state is State.SENT


@pytest.mark.parametrize(
    ("to", "state"), [(State.WAITING, State.WAITING), (State.WITHDRAWN, State.WITHDRAWN)]
)
def test_a_person_settles_what_is_doubtful(store: Store, to: State, state: State) -> None:
    """Sent again, or left alone; what was sent cannot be settled."""
    outbox = Outbox(store)
    put(outbox, draft())
    item = taken(outbox)
    outbox.sweep(START + LEASE)

    assert outbox.settle(item.id, to, START + DAY, "eve") is not None
    assert outbox.items()[0].state is to
    assert not outbox.finish(item, State.SENT, START + DAY)
    assert (claim(outbox, "b", START + DAY) is not None) is (to is State.WAITING)
    events = {(event.kind, event.actor) for event in store.events()}
    assert ("notice-retried" if to is State.WAITING else "notice-withdrawn", "eve") in events


def test_the_bound_of_an_hour_holds_for_all_nodes_together(store: Store) -> None:
    """Two an hour: the third waits until the first is an hour old; a digest does not wait."""
    outbox = Outbox(store)
    put(outbox, *(draft(f"{it}.example") for it in range(4)))
    for number in range(2):
        item = claim(outbox, f"n{number}", START + number, most=2)
        assert item is not None
        assert outbox.hand_over(item, START + number)
        outbox.finish(item, State.SENT, START + number)

    assert claim(outbox, "x", START + 60, most=2) is None
    put(outbox, draft(kind=Kind.DIGEST), now=START + 60)
    digest = claim(outbox, "x", START + 60, most=2)
    assert digest is not None
    assert digest.kind is Kind.DIGEST
    assert claim(outbox, "y", START + 3600, most=2) is not None


def test_the_kill_switch_stops_all_notices_at_once(store: Store) -> None:
    """Even those that a node is about to hand over; and it is in the audit."""
    outbox = Outbox(store)
    put(outbox, draft(), draft("example.net"))
    item = claim(outbox)
    assert item is not None

    outbox.stop(START, "eve", "complaints")

    assert not outbox.hand_over(item, START + 1)
    assert claim(outbox, "b", START + 1) is None
    stopped = outbox.stopped()
    assert stopped is not None
    assert (stopped.by, stopped.why) == ("eve", "complaints")
    assert outbox.start(START + 2, "eve")
    assert not outbox.start(START + 2, "eve")
    assert claim(outbox, "b", START + 2) is not None
    assert {"notices-stopped", "notices-started"} <= {event.kind for event in store.events()}


def test_what_waits_can_be_withdrawn_but_not_what_is_under_way(store: Store) -> None:
    """A claim comes first."""
    outbox = Outbox(store)
    put(outbox, draft(), draft("example.net"))
    item = claim(outbox)
    assert item is not None
    ids = [it.id for it in outbox.items()]

    outbox.plan(Kind.NOTICE, lambda _: ([], ids), START + 1)

    states = {it.id: it.state for it in outbox.items()}
    assert states.pop(item.id) is State.WAITING
    assert set(states.values()) == {State.WITHDRAWN}


def test_what_has_no_recipient_is_kept_and_not_claimed(store: Store) -> None:
    """It is listed as such."""
    outbox = Outbox(store)
    put(outbox, draft(recipients=(), body=b""))

    assert claim(outbox) is None
    assert outbox.items()[0].state is State.UNADDRESSED


def test_each_event_goes_to_each_webhook_once(store: Store) -> None:
    """From when it was configured on; only those kinds that it hears of; delivering is no event."""
    outbox = Outbox(store)
    store.add_event(Event(START, "cured", name="old.example"))
    targets: dict[str, Sequence[str]] = {"https://a.test/": (), "https://b.test/": ("detected",)}

    def make(target: str, events: Sequence[Event]) -> list[Draft]:
        return [Draft(Kind.WEBHOOK, "", target, event.kind, str(event.id)) for event in events]

    assert outbox.plan_news(Kind.WEBHOOK, targets, make, START) == 0
    carry(store, [seen()])
    store.add_event(Event(START, "pause-added", actor="eve"))
    assert outbox.plan_news(Kind.WEBHOOK, targets, make, START) == 3
    assert outbox.plan_news(Kind.WEBHOOK, targets, make, START) == 0
    found = sorted((it.organisation, it.reason) for it in outbox.items(kind=Kind.WEBHOOK))
    assert found == [
        ("https://a.test/", "detected"),
        ("https://a.test/", "pause-added"),
        ("https://b.test/", "detected"),
    ]
    item = taken(outbox)
    outbox.finish(item, State.SENT, START)
    assert outbox.plan_news(Kind.WEBHOOK, targets, make, START) == 0


def test_contacts_that_were_stopped_can_be_resumed(store: Store) -> None:
    """Both are in the audit."""
    outbox = Outbox(store)
    outbox.stop_contact("Postmaster@example.org", START, "5.1.1 no such user")
    outbox.stop_contact("Postmaster@example.org", START + 1, "5.1.1 no such user")

    assert outbox.stopped_contacts() == {"postmaster@example.org": "5.1.1 no such user"}
    assert outbox.resume_contact("postmaster@EXAMPLE.org", START + 2, "eve")
    assert not outbox.resume_contact("postmaster@example.org", START + 2, "eve")
    assert outbox.stopped_contacts() == {}


def test_what_was_written_is_kept_as_long_as_the_audit(store: Store) -> None:
    """What waits is never removed."""
    outbox = Outbox(store)
    put(outbox, draft())
    outbox.finish(taken(outbox), State.SENT, START)
    put(outbox, draft("example.net"))

    keep = Retention(events=100)
    while any(store.prune(keep, START + 99 * DAY).values()):
        pass
    assert len(outbox.items()) == 2
    while any(store.prune(keep, START + 101 * DAY).values()):
        pass
    assert [it.organisation for it in outbox.items()] == ["example.net"]


def test_a_copied_store_goes_on_numbering(store: Store, tmp_path: object) -> None:
    """A backup restored takes new rows."""
    from wehr.ledger import open_store

    outbox = Outbox(store)
    put(outbox, draft())
    with open_store(f"sqlite:///{tmp_path}/copy.sqlite") as copy:
        store.copy_to(copy)
        put(Outbox(copy), draft("example.net"))
        assert [it.organisation for it in Outbox(copy).items()] == ["example.net", "example.org"]
