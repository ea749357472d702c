"""Every template in every language for every reason, and the messages made of them."""

import csv
import io
import json
import re
from datetime import date
from email import message_from_bytes, policy
from email.message import EmailMessage
from html.parser import HTMLParser
from pathlib import Path

import pytest
import xarf
from jinja2 import TemplateError
from msgspec.structs import replace
from notice_stories import DAY, START, server

from wehr.catalogue.types import Vulnerability
from wehr.notices import letters
from wehr.notices.attachments import COLUMNS, table
from wehr.notices.attachments import xarf as report
from wehr.notices.letters import Thread, Writer
from wehr.notices.render import Letter, Templates, layout, to_html
from wehr.notices.servers import Server
from wehr.notices.settings import LANGUAGES, Language
from wehr.notices.types import Reason
from wehr.policy.timeline import Entry as Stage

WRITER = Writer(
    "postmaster@receiver.test", "hilfe@receiver.test", "Müller & Söhne <GmbH>", "mx.receiver.test"
)
TEMPLATES = Templates()
_BARE = server(
    name="",
    client_name="",
    installed="",
    line="",
    detected=None,
    missing=(),
    missing_more=0,
    missing_since=None,
    unsupported_since=None,
    holes=(),
    least=None,
    recommended=(),
    stages=(),
    link="",
)
_CROWD = tuple(server(ref=f"s{number}", name=f"s{number}.example.org") for number in range(60))
_MANY = (server(), server(ref="b", name="b.example.org"), server(ref="c", name="c.example.org", paused=True))


def letter(
    reason: Reason = Reason.DETECTED, organisation: str = "xn--mller-kva.example", **changes: object
) -> Letter:
    """A letter on the full example server."""
    floor = date(2026, 9, 8) if reason is Reason.FLOOR else None
    one = Letter(
        reason,
        organisation,
        (server(),),
        ("CVE-2023-21529",),
        floor,
        WRITER.operator,
        WRITER.host,
        WRITER.reply_to,
        START,
    )
    return replace(one, **changes)


def message(one: Letter, languages: tuple[Language, ...] = LANGUAGES, **thread: str) -> EmailMessage:
    """The letter as a receiver reads it."""
    texts = [TEMPLATES.notice(one, language) for language in languages]
    kept = Thread("id@receiver.test", "root@receiver.test", **thread)
    content = letters.notice(
        one, texts, WRITER, ("postmaster@xn--mller-kva.example",), thread=kept, now=START
    )
    found: EmailMessage = message_from_bytes(content, policy=policy.default)  # type: ignore[assignment]
    return found


@pytest.mark.parametrize("servers", [(server(),), (_BARE,), _MANY], ids=["all", "nothing", "many"])
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_in_every_language(
    reason: Reason, language: Language, servers: tuple[object, ...]
) -> None:
    """No value is missing, no line is too long but for a page's address, nothing is left of a template."""
    text = TEMPLATES.notice(letter(reason, servers=servers), language)

    assert text.subject
    assert len(text.subject) < 150
    assert "müller.example" in text.text
    for line in text.text.splitlines():
        assert len(line) <= 72 or "https://" in line, line
        assert line == line.rstrip()
    for forbidden in ("None", "{", "}", "<built", "Undefined", "\n\n\n", "  -  ", "( )", " ,", ", ,"):
        assert forbidden not in text.text, text.text
    assert WRITER.reply_to in text.text


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_the_administrators_are_told(language: Language) -> None:
    """The server, its line, what is missing, the holes, the update and its page, the stages, the link."""
    text = " ".join(TEMPLATES.notice(letter(), language).text.split())

    for fact in (
        "mail.example.org",
        "192.0.2.25",
        "15.1.2507.16",
        "Received: from ex by mail.example.org",
        "Oct25SU (KB5066369)",
        "https://support.microsoft.com/help/5066369",
        "CVE-2023-21529",
        "https://www.cve.org/CVERecord?id=CVE-2023-21529",
        "15.1.2507.61",
        "15.2.2562.53",
        "https://wehr.receiver.test/s/abcdefghij234567",
        "https://aka.ms/ExchangeHealthChecker",
        "cisa.gov",
        WRITER.reply_to,
        WRITER.host,
    ):
        assert fact in text, fact
    stages = {
        "en": (
            "from 30 November 2025 mail is delayed for 5 minutes of every hour",
            "from 9 January 2026 mail is delayed for 30 minutes of every hour and rejected for another 5",
            "from 8 February 2026 all mail is rejected",
            "let in at once",
        ),
        "de": (
            "ab dem 30. November 2025 verzögern wir E-Mails während 5 Minuten jeder Stunde",
            "ab dem 9. Januar 2026 verzögern wir E-Mails während 30 Minuten jeder Stunde und weisen sie",
            "ab dem 8. Februar 2026 weisen wir alle E-Mails ab",
            "sofort wieder angenommen",
        ),
    }
    for fact in stages[language]:
        assert fact in text, text


def test_no_break_in_is_spoken_of_where_no_hole_was_exploited() -> None:
    """Nobody is frightened without a reason."""
    text = TEMPLATES.notice(letter(servers=(server(holes=()),)), "en").text

    assert "break-in" not in text
    assert "HealthChecker" not in text


def test_the_headers_that_automatic_mail_owes() -> None:
    """RFC 3834, 2919, 2369 and 5322; and one thread for an organisation."""
    found = message(letter(), previous="before@receiver.test")

    assert found["Auto-Submitted"] == "auto-generated"
    assert found["Date"] == "Mon, 10 Nov 2025 10:00:00 +0000"
    assert found["Message-ID"] == "<id@receiver.test>"
    assert found["References"] == "<root@receiver.test> <before@receiver.test>"
    assert found["In-Reply-To"] == "<before@receiver.test>"
    assert found["Reply-To"] == "hilfe@receiver.test"
    assert found["From"].addresses[0].display_name == "Müller & Söhne <GmbH>"
    assert found["To"] == "postmaster@xn--mller-kva.example"
    assert "<notices.mx.receiver.test>" in found["List-Id"]
    assert found["List-Unsubscribe"].startswith("<mailto:hilfe@receiver.test")
    assert found["Precedence"] is None  # RFC 3834 section 3.1.8 advises against it


def test_the_parts_of_a_message() -> None:
    """Text with an HTML alternative in both languages, the table, and the report."""
    found = message(letter())

    kinds = [part.get_content_type() for part in found.walk()]
    assert kinds == [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "text/html",
        "text/csv",
        "application/json",
    ]
    names = [part.get_filename() for part in found.iter_attachments()]
    assert names == ["müller.example.csv", "xarf-mail.example.org.json"]
    body = found.get_body(("plain",))
    assert body is not None
    assert "Änderung" not in body.get_content()
    assert "Sicherheitsupdates" in body.get_content()
    assert "security updates" in body.get_content()


def test_the_bytes_are_seven_bit_with_short_lines() -> None:
    """Umlauts as RFC 2047, RFC 2231 and quoted-printable have them; SMTP takes it everywhere."""
    texts = [TEMPLATES.notice(letter(servers=_MANY), language) for language in LANGUAGES]
    content = letters.notice(
        letter(servers=_MANY), texts, WRITER, ("a@b.test",), thread=Thread("i@d", "r@d"), now=0
    )

    assert content.isascii()
    assert max(map(len, content.split(b"\r\n"))) <= 78
    assert b"\n" not in content.replace(b"\r\n", b"")
    assert b"=?utf-8?q?" in content.lower()
    assert b"filename*=utf-8''m%C3%BCller.example.csv" in content


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        if tag not in ("meta", "br", "hr"):
            self.open.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("reason", list(Reason))
def test_the_html_is_well_formed_and_loads_nothing(reason: Reason) -> None:
    """Each tag is closed, nothing comes from elsewhere, and there is no script."""
    texts = [TEMPLATES.notice(letter(reason, servers=_MANY), language) for language in LANGUAGES]
    tags = _Tags()
    tags.feed(letters.page(texts))

    assert tags.open == []
    assert tags.seen <= {
        "html",
        "head",
        "meta",
        "title",
        "body",
        "div",
        "hr",
        "p",
        "h3",
        "ul",
        "li",
        "br",
        "a",
    }
    assert all(link.startswith("https://") for link in tags.links)


def test_what_a_stranger_stamped_is_no_markup_and_no_link() -> None:
    """Names and lines are a stranger's words."""
    bad = server(name="<script>alert(1)</script>", line='by "><img src=x onerror=y> https://evil.test/"><b>')
    texts = [TEMPLATES.notice(letter(servers=(bad,)), "en")]
    html = letters.page(texts)

    assert "evil.test" in html
    assert "://evil.test" not in html + texts[0].text
    assert "<script" not in html
    assert "<img" not in html
    assert "<b>" not in html


def test_a_subject_holds_no_line_break() -> None:
    """A stamped name cannot add a header."""
    found = message(letter(servers=(server(name="a\r\nBcc: x@example.net"),)))

    assert found["Bcc"] is None


def test_german_declines() -> None:
    """One server and many, in the subject and in the text."""

    def subject(reason: Reason, *servers: Server) -> str:
        return TEMPLATES.notice(letter(reason, servers=servers), "de").subject

    assert subject(Reason.DETECTED, server()) == "mail.example.org ist veraltet"
    assert subject(Reason.DETECTED, *_MANY) == "3 Mailserver von müller.example sind veraltet"
    assert (
        subject(Reason.THROTTLED, *_MANY)
        == "E-Mails von 3 Mailservern von müller.example werden jetzt verzögert"
    )
    minute = Stage(2, START + DAY, None, 1, 0, current=False)
    text = TEMPLATES.notice(letter(servers=(server(stages=(minute,)),)), "de").text
    assert "während 1 Minute jeder Stunde" in " ".join(text.split())


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_crowd_of_servers_makes_no_endless_letter(language: Language) -> None:
    """Twenty are told of, all are counted, and the table has all."""
    text = TEMPLATES.notice(letter(servers=_CROWD), language).text

    assert "60 " in text
    assert "40 " in text
    assert "s19.example.org" in text
    assert "s20.example.org" not in text
    assert b"s59.example.org" in table(_CROWD)


def test_the_report_is_what_the_library_takes() -> None:
    """XARF v4, kind vulnerability/cve; none where no exploited hole is known."""
    content = report(server(), operator="Receiver", contact="abuse@receiver.test", domain="receiver.test")
    assert content is not None
    found = xarf.parse(content.decode(), strict=False)

    assert found.errors == []
    facts = json.loads(content)
    assert (facts["category"], facts["type"], facts["cve_id"]) == ("vulnerability", "cve", "CVE-2023-21529")
    assert (facts["source_identifier"], facts["service_version"]) == ("192.0.2.25", "15.1.2507.16")
    assert content == report(
        server(), operator="Receiver", contact="abuse@receiver.test", domain="receiver.test"
    )
    assert report(_BARE, operator="R", contact="a@r.test", domain="r.test") is None


def _hole(name: str) -> Vulnerability:
    return Vulnerability(name, (15, 1, 2507, 17), date(2026, 4, 13), True)


@pytest.mark.parametrize(
    ("changes", "cves"),
    [
        ({"holes": (_hole("ADV990001"), _hole("CVE-2023-21529"))}, ["CVE-2023-21529"]),
        ({"holes": (_hole("ADV990001"),)}, None),
        ({"holes": (_hole("CVE-2023-21529"), _hole("CVE-2023-21529"))}, None),
        ({"name": "x" * 5000}, None),
    ],
)
def test_what_xarf_cannot_say_holds_up_no_notice(changes: dict[str, object], cves: list[str] | None) -> None:
    """An overlay's holes without a CVE, a name beyond measure: the report is missing, the notice is there."""
    one = server(**changes)
    content = report(one, operator="R", contact="a@r.test", domain="r.test")
    texts = [TEMPLATES.notice(letter(servers=(one,)), "en")]

    assert (content and json.loads(content)["cve_ids"]) == cves
    assert letters.notice(
        letter(servers=(one,)), texts, WRITER, ("a@b.test",), thread=Thread("i@d", "r@d"), now=0
    )


def test_the_table_has_a_line_for_each_server() -> None:
    """The columns that CERTs' tables share; no cell is a formula."""
    rows = list(csv.DictReader(io.StringIO(table([server(), server(name="=cmd()")]).decode())))

    assert tuple(rows[0]) == COLUMNS
    assert rows[0]["timestamp"] == "2025-11-10 10:00:00"
    assert rows[0]["ip"] == "192.0.2.25"
    assert rows[1]["servername"] == "'=cmd()"


def test_the_operators_own_template_goes_first(tmp_path: Path) -> None:
    """One file is replaced, all others stay."""
    (tmp_path / "en" / "reasons").mkdir(parents=True)
    (tmp_path / "en" / "reasons" / "detected.j2").write_text(
        "{% macro subject() %}Ours{% endmacro %}"
        "{% macro opening() %}Our words on {{ organisation }}.{% endmacro %}"
    )

    text = Templates(tmp_path).notice(letter(), "en")

    assert text.subject == "Ours"
    assert "Our words on müller.example." in text.text
    assert "CVE-2023-21529" in text.text


def test_a_template_that_asks_for_what_there_is_not_is_an_error(tmp_path: Path) -> None:
    """Nobody gets a message with holes."""
    (tmp_path / "en").mkdir()
    (tmp_path / "en" / "notice.txt.j2").write_text("{{ nothing_of_the_kind }}")

    with pytest.raises(TemplateError, match="nothing_of_the_kind"):
        Templates(tmp_path).notice(letter(), "en")


def test_both_languages_have_the_same_templates() -> None:
    """And each reason has its own."""
    folder = Path(letters.__file__).parent / "templates"
    files = {
        language: {str(file.relative_to(folder / language)) for file in (folder / language).rglob("*.j2")}
        for language in LANGUAGES
    }

    assert files["de"] == files["en"]
    assert {f"reasons/{reason}.j2" for reason in Reason} <= files["en"]


def test_layout_breaks_lines_but_not_addresses() -> None:
    """And leaves one blank line at most."""
    text = layout("- " + "word " * 30 + "https://example.org/" + "x" * 90 + "\n\n\n\nend")

    assert "https://example.org/" + "x" * 90 in text
    assert re.search(r"\n\n\n", text) is None
    assert text.splitlines()[1].startswith("  word")


def test_html_of_nested_lists() -> None:
    """A list inside of a list stands inside of its item."""
    assert re.sub(r"\n", "", to_html("- a\n  - b\n    more\n- c")) == (
        "<ul><li>a<ul><li>b<br>more</li></ul></li><li>c</li></ul>"
    )


def test_a_message_id_is_the_same_for_the_same_and_not_to_be_guessed() -> None:
    """Nodes agree on it; another secret gives another."""
    first = letters.identity(WRITER, b"x" * 32, "notice", "default", "example.org", "detected", "1")

    assert first == letters.identity(WRITER, b"x" * 32, "notice", "default", "example.org", "detected", "1")
    assert first != letters.identity(WRITER, b"y" * 32, "notice", "default", "example.org", "detected", "1")
    assert first.endswith("@receiver.test")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("field", ["name", "client_name", "line"])
def test_a_strangers_words_stay_on_their_line(field: str, language: Language) -> None:
    """No line that looks like another's, no direction turned about, no page to go to."""
    one = server(**{field: "a.example\r\n----\r\n\u202eX\x1b[2J https://evil.test/"})

    text = TEMPLATES.notice(letter(servers=(one,)), language)

    both = text.text + text.html + text.subject
    assert not set(both) & set("\r\x1b\u202e")
    assert "https://evil.test" not in both
    assert "a.example" in " ".join(text.text.split())
    assert "<h3>a.example</h3>" not in text.html
