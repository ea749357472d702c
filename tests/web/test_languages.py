"""Every text of the pages is there in every language, and nothing else is."""

import re
from collections import Counter
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir

import wehr.web
from wehr.web.languages import LANGUAGES, catalogs, choose, translations

ROOM = Path(wehr.web.__file__).parent
_KEYWORDS = {"N_": None, "_": None, "gettext": None, "ngettext": (1, 2)}
_PLACE = re.compile(r"%\((\w+)\)[sd]")
OTHERS = [language for language in LANGUAGES if language != "en"]


def _marked() -> set[str]:
    """All texts that are marked for translation; of those with a plural, the singular."""
    methods = [("**.py", "python"), ("**.html", "jinja2")]
    found = set()
    for _, _, message, _, _ in extract_from_dir(ROOM, methods, keywords=_KEYWORDS, directory_filter=None):
        found.add(message[0] if isinstance(message, tuple) else message)
    return found


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
    assert sorted(set(known) - marked) == [], "no longer used"
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
