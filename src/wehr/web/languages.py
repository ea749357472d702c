"""The languages of the pages, read from their catalogues (gettext .po) at the start: nothing to compile."""

from collections.abc import Iterable, Mapping
from functools import cache
from gettext import GNUTranslations, NullTranslations
from importlib.resources import files
from io import BytesIO
from typing import Final

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

LANGUAGES: Final[Mapping[str, str]] = {"en": "English", "de": "Deutsch"}
"""By code, each in its own words. The texts in the program are English."""
_ACCEPTED: Final = 10
"""Languages of a request that are looked at."""


def N_(text: str) -> str:  # noqa: N802 - gettext's own name for it
    """Mark a text for translation where it is not shown yet."""
    return text


@cache
def translations(language: str) -> NullTranslations:
    """What is said in a language; English for one that there is none of."""
    if language == "en" or language not in LANGUAGES:
        return NullTranslations()
    merged = Catalog(language)
    for catalog in catalogs(language):
        for message in catalog:
            # The first message is the head; it tells how plurals are made.
            merged[message.id] = message
    compiled = BytesIO()
    write_mo(compiled, merged)
    compiled.seek(0)
    return GNUTranslations(compiled)


def catalogs(language: str) -> list[Catalog]:
    """A language's catalogues, one for each part of the pages."""
    folder = files("wehr.web") / "locale" / language
    found = sorted((file for file in folder.iterdir() if file.name.endswith(".po")), key=lambda it: it.name)
    return [read_po(BytesIO(file.read_bytes()), locale=language) for file in found]


def choose(wanted: Iterable[str | None], accepted: str) -> str:
    """The language to answer in: the first that we have of those asked for, else of those accepted.

    ``accepted`` is an Accept-Language field (RFC 9110, 12.5.4); English if nothing fits.
    """
    for language in wanted:
        if language and language in LANGUAGES:
            return language
    ranges = []
    for number, part in enumerate(accepted[:500].split(",")[:_ACCEPTED]):
        tag, _, weight = part.partition(";")
        ranges.append((-_quality(weight), number, tag.strip().lower().split("-")[0]))
    return next((tag for quality, _, tag in sorted(ranges) if quality and tag in LANGUAGES), "en")


def _quality(weight: str) -> float:
    name, _, value = weight.strip().partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return min(1.0, max(0.0, float(value)))
    except ValueError:
        return 0.0
