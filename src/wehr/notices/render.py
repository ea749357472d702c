"""Templates to text: every text is a file that the operator may replace, in each language."""

import re
import textwrap
from collections.abc import Mapping
from datetime import UTC, date, datetime
from html import escape
from pathlib import Path
from typing import Any, Final

from babel.dates import format_date
from jinja2 import ChoiceLoader, Environment, FileSystemLoader, PackageLoader, StrictUndefined
from msgspec import Struct

from wehr.catalogue import links
from wehr.notices.address import readable_domain
from wehr.notices.servers import Server
from wehr.notices.settings import Language
from wehr.notices.types import Reason

WIDTH: Final = 72
"""Columns; ticket systems quote."""
_MOST_SERVERS: Final = 20
"""In one text; the table has all."""
_LOCALES: Final[dict[Language, str]] = {"de": "de_DE", "en": "en_GB"}
_BULLET: Final = re.compile(r"( *)- (.*)")
_URL: Final = re.compile(r"https?://[^\s<>\"]+[^\s<>\".,;:)]")


class Letter(Struct, frozen=True):
    """All that a notice's templates are given."""

    reason: Reason
    organisation: str
    servers: tuple[Server, ...]
    cves: tuple[str, ...]
    floor: date | None
    operator: str
    """Whose mail system writes."""
    host: str
    reply_to: str
    now: float
    """UTC seconds since 1970."""


class Rendered(Struct, frozen=True):
    """A text in one language, in both of its forms."""

    language: Language
    subject: str
    text: str
    html: str
    """A fragment: what stands inside of a page."""


class Templates:
    """The templates: those of a folder first, then those that come with Wehr."""

    def __init__(self, folder: Path | None = None) -> None:
        own = [FileSystemLoader(folder)] if folder else []
        loader = ChoiceLoader([*own, PackageLoader("wehr.notices")])
        self._of = {language: _environment(loader, language) for language in _LOCALES}

    def notice(self, letter: Letter, language: Language) -> Rendered:
        """A notice in one language.

        Raises:
            jinja2.TemplateError: a template is wrong, or asks for what there is not.
        """
        environment = self._of[language]
        facts = _facts(letter, language)
        words: Any = environment.get_template(f"{language}/words.j2").make_module(facts)
        for server in facts["servers"]:
            server["sentences"] = [_joined(words.stage(stage)) for stage in server["stages"]]
        said: Any = environment.get_template(f"{language}/reasons/{letter.reason}.j2").make_module(facts)
        opening = [_joined(part) for part in said.opening().split("\n\n") if part.strip()]
        source = environment.get_template(f"{language}/notice.txt.j2").render(**facts, opening=opening)
        return Rendered(language, _joined(said.subject()), layout(source), to_html(source))

    def text(self, name: str, language: Language, facts: Mapping[str, object]) -> Rendered:
        """Another text: its first line is the subject.

        Raises:
            jinja2.TemplateError: a template is wrong, or asks for what there is not.
        """
        subject, rest = self.bare(name, language, facts)
        return Rendered(language, subject, layout(rest), to_html(rest))

    def bare(self, name: str, language: Language, facts: Mapping[str, object]) -> tuple[str, str]:
        """The same as subject and source, whose lines are as the template has them.

        Raises:
            jinja2.TemplateError: a template is wrong, or asks for what there is not.
        """
        source = self._of[language].get_template(f"{language}/{name}.txt.j2").render(**facts)
        subject, _, rest = source.strip().partition("\n")
        return _joined(subject), rest


def _environment(loader: ChoiceLoader, language: Language) -> Environment:
    # What goes into HTML is escaped by `to_html`, all of it.
    environment = Environment(
        loader=loader,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 - plain text
    )

    def day(at: date | float) -> str:
        moment = at if isinstance(at, date) else datetime.fromtimestamp(at, UTC)
        return format_date(moment, "long", locale=_LOCALES[language])

    def moment(at: float) -> str:
        time = datetime.fromtimestamp(at, UTC)
        return f"{day(at)}, {time:%H:%M} UTC" if language == "en" else f"{day(at)} um {time:%H:%M} Uhr UTC"

    environment.filters |= {
        "day": day,
        "moment": moment,
        "article": links.article,
        "vulnerability": links.vulnerability,
        "evidence": evidence,
    }
    return environment


def _facts(letter: Letter, language: Language) -> dict[str, Any]:
    """What templates are given, by name."""
    servers = [
        {name: getattr(server, name) for name in Server.__struct_fields__}
        | {"name": unlinked(server.name) or server.client_ip, "client_name": unlinked(server.client_name)}
        for server in letter.servers[:_MOST_SERVERS]
    ]
    stages = [stage for server in letter.servers for stage in server.stages if stage.start]
    kinds = dict.fromkeys(server.software for server in letter.servers)
    attacked = [server.software for server in letter.servers if server.holes]
    return {
        "reason": letter.reason.value,
        "organisation": readable_domain(letter.organisation),
        "servers": servers,
        "count": len(letter.servers),
        "cves": list(letter.cves),
        "floor": letter.floor,
        "first": min(stages, key=lambda stage: stage.start or 0.0, default=None),
        "updates": [link for kind in kinds if (link := links.updates(kind))],
        "break_in": links.break_in(attacked[0], language) if attacked else (),
        "operator": letter.operator,
        "host": letter.host,
        "reply_to": letter.reply_to,
        "now": letter.now,
    }


def unlinked(text: str) -> str:
    """A stranger's words, in which no mail program finds a page to go to, nor a turn of the line."""
    return "".join(it if it.isprintable() else "?" for it in " ".join(text.split())).replace("://", ":/ /")


def evidence(line: str, indent: int) -> str:
    """A Received field as indented lines of bounded length."""
    lines = textwrap.wrap(
        f"Received: {unlinked(line)}", WIDTH - indent, subsequent_indent="  ", break_on_hyphens=False
    )
    return "\n".join(" " * indent + one for one in lines)


def layout(text: str) -> str:
    """A text with its long lines broken, but for addresses of pages, and no more than one blank line."""
    lines: list[str] = []
    for line in text.strip().splitlines():
        line = line.rstrip()  # noqa: PLW2901
        if not line and (not lines or not lines[-1]):
            continue
        found = _BULLET.fullmatch(line)
        indent = " " * (len(line) - len(line.lstrip()))
        lines += textwrap.wrap(
            line.strip(),
            WIDTH,
            initial_indent=indent,
            subsequent_indent=indent + ("  " if found else ""),
            break_long_words=False,
            break_on_hyphens=False,
        ) or [""]
    return "\n".join(lines) + "\n"


def to_html(text: str) -> str:
    """The same text as HTML: paragraphs, underlined headings, lists with ``- ``, and links."""
    out: list[str] = []
    depth = 0
    lines = [line.rstrip() for line in text.strip().splitlines()]
    for number, line in enumerate(lines):
        found = _BULLET.fullmatch(line)
        if found:
            level = min(len(found[1]) // 2 + 1, depth + 1)
            out += ["<ul>"] if level > depth else ["</li>", *(["</ul></li>"] * (depth - level))]
            depth = level
            out.append(f"<li>{_linked(found[2])}")
        elif depth and line.startswith(" "):
            out.append(f"<br>{_linked(line.strip())}")
        elif line and not set(line) <= {"-"}:
            out += ["</li></ul>"] * depth
            depth = 0
            below = lines[number + 1] if number + 1 < len(lines) else ""
            tag = "h3" if len(below) > 1 and set(below) == {"-"} else "p"
            out.append(f"<{tag}>{_linked(line)}</{tag}>")
    return "\n".join([*out, *(["</li></ul>"] * depth)])


def _linked(text: str) -> str:
    """Escaped, with links; only addresses of pages become links, and they show where they lead."""
    parts, last = [], 0
    for found in _URL.finditer(text):
        parts.append(escape(text[last : found.start()]))
        parts.append(f'<a href="{escape(found[0])}">{escape(found[0])}</a>')
        last = found.end()
    return "".join([*parts, escape(text[last:])])


def _joined(text: str) -> str:
    """On one line."""
    return " ".join(text.split())
