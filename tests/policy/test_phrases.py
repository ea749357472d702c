"""Phrases: English texts that know what they were made of."""

import copy
import pickle
from datetime import UTC, date, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wehr.policy.phrases import Phrase, encoded, joined


def test_it_is_the_english_text() -> None:
    """Days as ISO 8601 has them, moments to the minute and with their zone, phrases in phrases."""
    values = {
        "server": "mail.example.org",
        "count": 3,
        "day": date(2026, 11, 22),
        "at": datetime(2026, 11, 22, 9, 30, 59, tzinfo=UTC),
        "state": Phrase("outdated"),
    }
    phrase = Phrase("%(server)s %(count)s %(day)s %(at)s %(state)s", values)

    assert phrase == "mail.example.org 3 2026-11-22 2026-11-22 09:30 UTC outdated"
    assert phrase.text == "%(server)s %(count)s %(day)s %(at)s %(state)s"
    assert phrase.values == values


@given(st.text())
def test_what_a_stranger_wrote_is_no_pattern(name: str) -> None:
    """Neither as a text without places nor as what stands in one."""
    assert Phrase(name) == name
    assert Phrase("%(name)s", {"name": name}) == name
    assert joined("; ", [name, name], ".") == f"{name}; {name}."


def test_parts_in_a_row() -> None:
    """None of them, one, several; an end to them."""
    assert joined(", ", []) == ""
    assert joined(", ", [Phrase("one")]) == "one"
    assert joined(", ", ["a", date(2026, 1, 2), 3], ".") == "a, 2026-01-02, 3."


def test_json_has_the_english_text() -> None:
    """And nothing else becomes a text by the way."""
    phrase = Phrase("released %(day)s", {"day": date(2026, 1, 2)})

    assert msgspec.json.encode({"why": phrase}, enc_hook=encoded) == b'{"why":"released 2026-01-02"}'
    with pytest.raises(NotImplementedError):
        encoded(object())


def test_it_survives_copying() -> None:
    """As it does between processes."""
    phrase = Phrase("%(share)s%% of %(state)s", {"share": 5, "state": Phrase("100%")})
    for same in (copy.deepcopy(phrase), pickle.loads(pickle.dumps(phrase))):  # noqa: S301 - our own
        assert (same, same.text, same.values) == (phrase, phrase.text, phrase.values)
