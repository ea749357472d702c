"""Templates to pages, in the visitor's language; dates and numbers as it writes them."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from functools import cache
from importlib.resources import files
from typing import Final

from babel.dates import format_date, format_datetime
from babel.numbers import format_decimal
from jinja2 import DictLoader, Environment, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape

from wehr.evidence import format_build
from wehr.evidence.build import Build
from wehr.policy.phrases import Phrase, Value
from wehr.web.languages import LANGUAGES, N_, translations
from wehr.web.static import assets, static_url
from wehr.web.terms import details


class Renderer:
    """Renders templates in one language."""

    def __init__(self, language: str, shared: Mapping[str, object]) -> None:
        """Prepare.

        Args:
            language: one of `LANGUAGES`.
            shared: what every template is given.
        """
        self.language = language
        self._shared = shared

    def render(self, template: str, values: Mapping[str, object]) -> str:
        """A template's text; whatever is put into it is escaped."""
        return _environment(self.language).get_template(template).render(**self._shared, **values)

    def translate(self, text: str) -> str:
        """A marked text in this language."""
        return translations(self.language).gettext(text)


def prepare() -> None:
    """Read all files that pages are made of: an upgrade changes them under a service that is running."""
    assets()
    for language in LANGUAGES:
        _environment(language)


@cache
def _templates() -> dict[str, str]:
    folder = files("wehr.web") / "templates"
    return {file.name: file.read_text("utf-8") for file in folder.iterdir() if file.name.endswith(".html")}


@cache
def _environment(language: str) -> Environment:
    environment = Environment(
        loader=DictLoader(_templates()),
        autoescape=True,
        undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    # Not the new style: that marks whatever is translated as safe, even what a visitor wrote.
    environment.install_gettext_translations(  # type: ignore[attr-defined]
        translations(language), newstyle=False
    )
    environment.globals.update(static=static_url, language=language, languages=LANGUAGES)
    environment.filters.update(
        when=_when,
        day=_day,
        number=_number,
        build=_build,
        host=_host,
        ladder=_ladder,
        minutes=_minutes,
        iso=_iso,
        clock=_clock,
        said=_said,
        details=details,
    )
    return environment


_DAYS: Final = {"en": "d MMM y", "de": "d. MMM y"}
"""How a day is written; Babel's own short forms are all digits."""
SHORT_DAYS: Final = {language: form.removesuffix(" y") for language, form in _DAYS.items()}
"""The same without the year."""
Time = datetime | float | int | None


def _moment(at: datetime | float) -> datetime:
    return at.astimezone(UTC) if isinstance(at, datetime) else datetime.fromtimestamp(at, UTC)


def _iso(at: Time) -> str:
    """A time as programs write it (RFC 3339)."""
    return "" if at is None else f"{_moment(at):%Y-%m-%dT%H:%M:%SZ}"


@pass_context
def _when(context: Context, at: Time) -> Markup:
    """A time with its zone, exact for programs in ``datetime``."""
    if at is None:
        return Markup()
    language = context["language"]
    text = format_datetime(_moment(at), f"{_DAYS[language]}, HH:mm", locale=language)
    return Markup('<time datetime="{}">{} UTC</time>').format(_iso(at), text)


def _clock(at: float) -> str:
    """The time of day (UTC)."""
    return f"{_moment(at):%H:%M}"


@pass_context
def _day(context: Context, at: date | Time, *, zone: bool = True) -> Markup:
    """A day; that of a time is UTC's and says so, unless the head of its column does (``zone`` false)."""
    if at is None:
        return Markup()
    if isinstance(at, date) and not isinstance(at, datetime):
        day, named = at, ""
    else:
        day, named = _moment(at).date(), " UTC" if zone else ""
    text = format_date(day, _DAYS[context["language"]], locale=context["language"])
    return Markup('<time datetime="{}">{}{}</time>').format(day.isoformat(), text, named)


@pass_context
def _number(context: Context, value: float | None) -> str:
    return "" if value is None else str(format_decimal(value, locale=context["language"]))


def _build(value: Build | str | None) -> str:
    if not value:
        return ""
    return value if isinstance(value, str) else format_build(value)


def _host(name: str) -> Markup:
    """A host's name, which is broken after a dot where it must be."""
    return escape(name).replace(".", Markup(".<wbr>"))


_LADDERS: Final = (N_("gentle"), N_("urgent"))
"""Names of shipped ladders that are words."""


@pass_context
def _ladder(context: Context, name: str) -> str:
    """A ladder as it is called in the configuration, and what that means in the reader's language."""
    told = translations(context["language"]).gettext(name) if name in _LADDERS else name
    return name if told == name else f"{name} ({told})"


@pass_context
def _minutes(context: Context, value: int | None) -> str:
    """Minutes of each hour."""
    if value is None:
        return ""
    return translations(context["language"]).gettext(N_("%(minutes)s min/h")) % {"minutes": value}


@pass_context
def _said(context: Context, text: str) -> Markup:
    """A text in the reader's language if it is a `Phrase`, else as it is.

    What stands in its places is escaped like everything else, and said as what it is: a time with its zone, a
    day, a number as the language writes it.
    """
    if not isinstance(text, Phrase):
        return escape(text)

    def shown(value: Value) -> str:
        if isinstance(value, datetime):
            return _when(context, value)
        if isinstance(value, date):
            return _day(context, value)
        return _number(context, value) if isinstance(value, int) else _said(context, value)

    translated = escape(translations(context["language"]).gettext(text.text)) if text.text else Markup()
    return translated % {name: shown(it) for name, it in text.values.items()} if text.values else translated
