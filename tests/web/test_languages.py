"""Every text of the pages is there in every language, and nothing else is."""

import re
from collections import Counter
from pathlib import Path
from typing import get_args

import pytest
from babel.messages.extract import extract_from_dir

import wehr
from wehr.catalogue import load
from wehr.catalogue.types import State
from wehr.evidence import Confidence, Relation
from wehr.notices.types import Reason as NoticeReason
from wehr.policy import Action, Mode, Reason
from wehr.policy.compliance import MICROSOFT_FLOORS, RuleName
from wehr.policy.replies import SOFTWARE
from wehr.web.access.tokens import Scope
from wehr.web.languages import LANGUAGES, catalogs, choose, translations

HOUSE = Path(wehr.__file__).parent
_ROOMS = {
    "web": {"N_": None, "_": None, "gettext": None, "ngettext": (1, 2)},
    "policy": {"Phrase": (1,), "Compliance": (3,), "Entry": (1,), "Item": (2,)},
    "ledger": {"Phrase": (1,)},
    "service": {"Phrase": (1,)},
}
"""What marks a text: a function, and which of its arguments."""
_METHODS = [("**.py", "python"), ("**.html", "jinja2")]
_WORDS = {
    *Action, *Confidence, *Mode, *Reason, *Scope, *State, *get_args(RuleName),
    *(relation.replace("_", " ") for relation in Relation),
    *(reason.value for reason in NoticeReason),
    *SOFTWARE.values(),
    *(floor.source for floor in MICROSOFT_FLOORS),
    "newer", "unknown", "backported", "all",
}  # fmt: skip
"""What the pages say of values: words of closed sets. The last are rules that no policy names."""
_PLACE = re.compile(r"%\((\w+)\)[sd]")
OTHERS = [language for language in LANGUAGES if language != "en"]


def _marked() -> set[str]:
    """All texts that are to be translated; of those with a plural, the singular."""
    found = {str(word) for word in _WORDS}
    for room, keywords in _ROOMS.items():
        texts = extract_from_dir(HOUSE / room, _METHODS, keywords=keywords, directory_filter=None)
        found.update(text[0] if isinstance(text, tuple) else text for _, _, text, _, _ in texts)
    return {text for text in found if re.search("[a-z]", _PLACE.sub("", text))}


def _texts(message: object) -> tuple[str, ...]:
    return tuple(message) if isinstance(message, tuple | list) else (str(message),)


@pytest.mark.parametrize("language", OTHERS)
def test_every_text_is_translated_once_and_no_translation_is_stale(language: str) -> None:
    """In one of the language's catalogues; none of them is only guessed at ("fuzzy")."""
    known: Counter[str] = Counter()
    for catalog in catalogs(language):
        for message in catalog:
            if message.id:
                known[_texts(message.id)[0]] += 1
                assert all(_texts(message.string)), f"not translated: {message.id}"
                assert not message.fuzzy, f"only guessed: {message.id}"
    marked = _marked()

    assert sorted(marked - set(known)) == [], "not translated"
    assert sorted(set(known) - marked - set(load().sources.values())) == [], "no longer used"
    different = {text for text, times in known.items() if times > 1}
    assert sorted(different) == [], "translated twice"


@pytest.mark.parametrize("language", OTHERS)
def test_a_translation_has_the_places_of_its_text(language: str) -> None:
    """Or it would fail when it is shown."""
    for catalog in catalogs(language):
        for message in catalog:
            if message.id:
                places = set(_PLACE.findall(" ".join(_texts(message.id))))
                for text in _texts(message.string):
                    assert set(_PLACE.findall(text)) <= places, text


@pytest.mark.parametrize(
    ("wanted", "accepted", "language"),
    [
        ((None, None), "", "en"),
        ((None, None), "de", "de"),
        ((None, None), "de-AT,de;q=0.9,en;q=0.8", "de"),
        ((None, None), "fr, en;q=0.5, de;q=0.7", "de"),
        ((None, None), "de;q=0, en;q=0.1", "en"),
        ((None, None), "de;q=x,,;;q=,*", "en"),
        (("de", "en"), "en", "de"),
        (("xx", "de"), "en", "de"),
        ((None, None), "de," * 10_000, "de"),
    ],
)
def test_the_language_is_the_first_that_was_asked_for(
    wanted: tuple[str | None, ...], accepted: str, language: str
) -> None:
    """By the address, then the cookie, then what the browser accepts; else English."""
    assert choose(wanted, accepted) == language


def test_a_language_that_is_not_there_is_english() -> None:
    """Nothing fails."""
    assert translations("xx").gettext("Log in") == "Log in"
    assert translations("de").gettext("Log in") == "Anmelden"
