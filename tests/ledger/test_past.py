"""Which ladders have been in force: the store keeps it, and other nodes learn of it."""

from pathlib import Path

from wehr.ledger import Carrier, Event, Ledger, open_store
from wehr.policy.laddering import Era, Laddering, Past

USUAL, URGENT = Laddering("exchange-online"), Laddering("urgent")


def noting(laddering: Laddering, at: float):
    """A change, as a node makes it."""
    return lambda past: past.noting(laddering, ("CVE-1",), at)


def test_the_store_notes_each_change_once(tmp_path: Path) -> None:
    """With an event, except for the first; the same again changes nothing."""
    with open_store(f"sqlite:///{tmp_path / 'wehr.sqlite'}") as store:
        assert store.past() == Past()
        store.change_past(noting(USUAL, 5.0), Event(5.0, "ladder-changed"))
        store.change_past(noting(URGENT, 6.0), Event(6.0, "ladder-changed"))
        found = store.change_past(noting(URGENT, 7.0), Event(7.0, "ladder-changed"))

        assert found == store.past() == Past((Era(0.0, USUAL), Era(6.0, URGENT)), {"CVE-1": 0.0})
        assert [event.at for event in store.events()] == [6.0]


def test_another_node_learns_of_a_change(tmp_path: Path) -> None:
    """With its next step, and not again after that."""
    url = f"sqlite:///{tmp_path / 'wehr.sqlite'}"
    with open_store(url) as store:
        carrier = Carrier(lambda: open_store(url), tmp_path / "journal", "other", lambda: None)
        carrier.start(Ledger(), 0.0)
        assert carrier.step(1.0).past is None

        store.change_past(noting(USUAL, 5.0), Event(5.0, "ladder-changed"))

        assert carrier.step(6.0).past == store.past()
        assert carrier.step(7.0).past is None
        carrier.close()
