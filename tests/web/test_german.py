"""What a German reader sees is German: every page over a played fleet, and whatever a decision may say."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from html.parser import HTMLParser
from itertools import product, zip_longest
from pathlib import Path

import pytest
from browsing import account, client, csrf, house, learn, log_in, site
from fleet_site import NOW, play
from msgspec.structs import replace
from policy_cases import KEY, SERVER

from wehr.catalogue import Catalogue, links, load
from wehr.catalogue.types import Note, State
from wehr.evidence import Confidence, Relation, Sighting
from wehr.ledger.rows import Event
from wehr.policy import Action, Decision, Episode, Mode, Policy, Reason, Scope, Standing, Stop, decide
from wehr.policy.compliance import Floor, Rules, complies
from wehr.policy.explain import Item, explain
from wehr.policy.phrases import Phrase
from wehr.policy.scope import Tenant
from wehr.policy.selection import LadderRule
from wehr.web import terms
from wehr.web.access.accounts import Accounts
from wehr.web.access.tokens import Scope as TokenScope
from wehr.web.access.tokens import Tokens
from wehr.web.languages import catalogs
from wehr.web.pages import PUBLIC_PAGES
from wehr.web.visit import Role, Visitor

CATALOGUE = load()
GERMAN = {"Accept-Language": "de"}
_ENGLISH = re.compile(
    r"(?<![\w.])(the|of|is|are|not|with|which|from|has|have|its|for|no|been|by|this|that|it|be|or|and|any|on|"
    r"after|there|who|what|how|when|yes|none|other|than|more|less|until|since|only|out|taken|refused|delayed|"
    r"first|last|hour|day|days|messages|stage|unknown|throttled|blocked|accept|block|report|enforce|"
    r"detected|relapsed|cured|added|compliant|paused|build is)(?![\w.])"
)
"""Words that are English and not German."""


class Text(HTMLParser):
    """The texts of a page, without stamps, code, and what is marked as being in another language."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self._open: list[bool] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Labels and descriptions are texts as well."""
        given = dict(attrs)
        self.found += [text for name in ("aria-label", "alt", "placeholder") if (text := given.get(name))]
        if tag not in {"meta", "link", "img", "input", "br", "rect"}:
            foreign = given.get("lang", "de") != "de" or tag in {"pre", "code", "style"}
            self._open.append(foreign or any(self._open[-1:]))

    def handle_endtag(self, tag: str) -> None:
        """Every element that is opened is closed."""
        if tag != "rect":
            self._open.pop()

    def handle_data(self, data: str) -> None:
        """What stands between the tags."""
        if not any(self._open[-1:]):
            self.found.append(" ".join(data.split()))


def english(page: str, foreign: set[str]) -> list[str]:
    """The texts of a page in which an English word stands, but for those that are foreign by right."""
    assert '<html lang="de">' in page
    found = []
    for text in Text(page).found:
        kept = re.sub(r"Received: .*|\([^()]*\.example[^()]*\)", "", text)
        for one in foreign:
            kept = kept.replace(one, "")
        if _ENGLISH.search(kept.lower()):
            found.append(text)
    return found


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state folder of the demonstration's fleet after a hundred days."""
    folder = tmp_path_factory.mktemp("fleet") / "state"
    play(folder)
    return folder


POLICY = Policy(
    mode=Mode.ENFORCE, tenants=(Tenant("university", domains=("uni.example.org",), mode=Mode.REPORT),)
)


def test_every_page_is_german(played: Path) -> None:
    """But for stamps, names, what is cited, and what a person wrote."""
    with house(played, NOW, POLICY) as (given, source, store):
        learn(source, store)
        refs = [row.ref for row in store.servers()]
        foreign = {
            *CATALOGUE.sources.values(),
            *(link.name for link in links.break_in("exchange", "de")),
            *(link.name for name in ("exchange", "mdaemon") if (link := links.updates(name))),
            *(pause.why for pause in store.pauses()),
            *(it.reason for it in store.exemptions().values()),
        }
        with client(given) as browser:
            browser.headers.update(GERMAN)
            paths = (
                "/", "/report?out_of_date=&limit=100", "/policy", "/catalogue", "/nothing", "/report?sort=x",
                "/policy/what-if?mode=report", "/policy/what-if?grace_days=99999",
                "/policy/what-if?floor_builds=15.2&floor_least=15.2.2562.53&floor_since=2026-12-01",
                "/policy/what-if?floor_builds=15.2", *(f"/servers/{ref}" for ref in refs),
                f"/deeds/pause?ref={refs[0]}&days=5", f"/deeds/pause?ref={refs[0]}&days=500",
                "/deeds/pause?tenant=university&days=9", f"/deeds/exempt?ref={refs[0]}",
                f"/deeds/exempt?ref={refs[0]}&until=2026-01-01", f"/deeds/write?ref={refs[0]}",
            )  # fmt: skip
            texts = {path: browser.get(path).text for path in paths}
        with client(given, Visitor(), PUBLIC_PAGES) as browser:
            browser.headers.update(GERMAN)
            texts |= {ref: browser.get(f"/s/{ref}").text for ref in (*refs, "a" * 16)}

    assert {path: found for path, text in texts.items() if (found := english(text, foreign))} == {}
    assert re.search(r"zuerst erkannt am <time [^>]*Z\">\d+\. \w+\.? 2026, \d\d:\d\d UTC</time>", str(texts))


def test_the_way_in_is_german(tmp_path: Path) -> None:
    """Log-in, invitation, account, access, and their errors."""
    with house(tmp_path, NOW, POLICY) as (given, _, store), site(given) as browser:
        browser.headers.update(GERMAN)
        account(store, "anna", now=NOW)
        Tokens(store).create("Skript", TokenScope.READ, (), days=90, by="anna", now=NOW)
        secret = Accounts(store).invite("", Role.VIEWER, (), by="anna", now=NOW)
        wrong = {"csrf": csrf(browser.get("/login")), "name": "anna", "password": "falsch"}
        pages = [
            browser.get("/login"),
            browser.post("/login", data=wrong),
            browser.get("/invitation/nothing"),
            browser.get(f"/invitation/{secret}"),
        ]
        log_in(browser, "anna")
        pages += [browser.get(path) for path in ("/account", "/access", "/nothing")]
    for page in pages:
        assert english(page.text, set()) == [], page.url


@cache
def known() -> frozenset[str]:
    """The texts that have a German one."""
    return frozenset(str(message.id) for catalog in catalogs("de") for message in catalog if message.id)


def untranslated(text: str) -> Iterator[str]:
    """The texts, of all that one is made of, that have words and are not translated."""
    if isinstance(text, Phrase):
        if text.text not in known() and re.search("[a-z]", re.sub(r"%\(\w+\)s", "", text.text)):
            yield text.text
        for value in text.values.values():
            if isinstance(value, str):
                yield from untranslated(value)


RULES = (
    Rules(),
    Rules(require=()),
    *(Rules(require=(name,)) for name in ("supported", "current", "floor", "not-exploited")),
    Rules(require=("current", "supported"), demand_esu=True, grace_days=0),
    Rules(preset="none", floors=(Floor("15.1", datetime(2024, 1, 1, tzinfo=UTC).date(), "15.1.2507.61"),)),
)
TODAY = datetime.fromtimestamp(NOW, UTC).date()
BUILDS = [
    (one.software, row.build)
    for one in CATALOGUE.products
    for branch in one.branches
    for row in branch.builds
]
BUILDS += [
    ("exchange", (15, 2, 9999, 1)),
    ("exchange", (15, 1, 2507, 62)),
    ("exchange", (3, 1)),
    ("nix", (1, 2)),
]


def test_every_verdict_can_be_said_in_german() -> None:
    """Of every build in the catalogue, and of some that are not in it, by every rule."""
    said = {
        complies(CATALOGUE.assess(build, TODAY, software), rules, TODAY).why
        for (software, build), rules in product(BUILDS, RULES)
    }

    assert len({why.text for why in said}) > 12
    assert [text for why in said for text in untranslated(why)] == []


Build = tuple[int, ...]
Case = tuple[tuple[str, Build | None], Relation, int, tuple[Stop, ...], Rules, Catalogue | None]


def explained(case: Case) -> tuple[Item, ...]:
    """The explanation of a message of a server that was detected so many days before."""
    (software, build), relation, days, stops, rules, catalogue = case
    seen = Sighting(
        at=NOW, name=SERVER.name, network=SERVER.network, software=software, build=build, relation=relation,
        confidence=Confidence.PLAUSIBLE, line="" if days else "by mail.example.org",
    )  # fmt: skip
    assessment = CATALOGUE.assess(build, TODAY, software) if build else None
    episode = Episode(NOW - days * 86_400, ((NOW - days * 86_400, None),))
    standing = Standing(episode.started, NOW, build, episode)
    policy = Policy(compliance=rules)
    scope = Scope(mode=Mode.REPORT if days == 65 else Mode.ENFORCE)
    common = {"policy": policy, "stops": stops, "key": KEY, "now": NOW}
    decision = decide(seen, assessment, standing, assessment, scope=scope, **common)
    return explain(decision, seen, assessment, standing, server=SERVER, catalogue=catalogue, **common)


def test_every_explanation_can_be_said_in_german() -> None:
    """Of servers of all kinds in all stages, paused, exempt or neither."""
    held = ((), (Stop(NOW - 60, NOW + 60),), (Stop(NOW - 60, None, Reason.EXEMPT),))
    some = [*BUILDS[::25], *BUILDS[-4:], ("exchange", None), ("nix", None)]
    cases = product(some, Relation, (0, 45, 65, 95), held, RULES[:2], (CATALOGUE, None))
    items = {item for case in cases for item in explained(case)}
    missing = {text for item in items for text in untranslated(item.text)}

    assert {item.heading for item in items} <= known()
    assert missing <= set(CATALOGUE.sources.values())
    assert {"evidence", "assessment", "sources", "rule", "decision", "stage", "windows", "cure"} == {
        item.topic for item in items
    }


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_can_be_said_in_german(reason: Reason) -> None:
    """In its short form and as a sentence."""
    action = {Reason.THROTTLED: Action.THROTTLE, Reason.BLOCKED: Action.BLOCK}.get(reason, Action.ACCEPT)
    (item,) = explain(Decision(action, reason, until=NOW), None, None, None, policy=Policy(), now=NOW)

    assert list(untranslated(item.text)) == []
    assert {reason.value, action.value} <= known()


@pytest.mark.parametrize(("state", "note"), list(zip_longest(State, Note)))
def test_every_state_and_note_can_be_said_in_german(state: State | None, note: Note | None) -> None:
    """Whether or not a build of the catalogue happens to have it."""
    known_build = CATALOGUE.assess((15, 1, 2507, 6), TODAY, "exchange")
    assessment = replace(known_build, state=state or State.CURRENT, notes=(note,) if note else ())
    decision = Decision(Action.ACCEPT, Reason.COMPLIANT)
    items = explain(decision, None, assessment, None, policy=Policy(), now=NOW)

    assert [text for item in items for text in untranslated(item.text)] == []


@pytest.mark.parametrize("kind", terms.EVENTS)
def test_every_event_can_be_said_in_german(kind: str) -> None:
    """Times in its details with their zone, truths as words, and what a person wrote as it is."""
    detail = {"from": "2026-11-22T09:30:00Z", "enforced": True, "why": "moving house", "throttle": 5}
    said = terms.details(Event(NOW, kind, detail=detail))

    assert kind in known()
    assert said == "from: 2026-11-22 09:30 UTC, enforced: yes, reason: moving house, throttle: 5"
    assert list(untranslated(said)) == []


def test_why_a_notice_is_written_is_said_in_german() -> None:
    """It is one of our words, as what a person wrote is not."""
    planned = Event(NOW, "notice-planned", detail={"reason": "week-before", "why": "detected", "to": None})
    paused = Event(NOW, "pause-added", detail={"why": "detected"})

    assert [text for text in _said(planned) if text in known()] == ["reason", "week-before", "reason"]
    assert [text for text in _said(paused) if text in known()] == ["reason"]


def _said(event: Event) -> list[str]:
    """The texts of an event's details that are looked up."""
    parts = terms.details(event).values.values()
    return [
        word.text
        for part in parts
        if isinstance(part, Phrase)
        for word in part.values.values()
        if isinstance(word, Phrase)
    ]


@pytest.mark.parametrize(
    ("path", "headers", "said"),
    [
        ("/", {"Host": "evil.example"}, "Unbekannter Hostname"),
        ("/%00", {}, "Diese Seite gibt es nicht"),
        ("/login?next=%00", {}, "Kein Text darf NUL enthalten"),
        ("/", {"Content-Length": "9999999"}, "höchstens 1 MiB"),
    ],
)
def test_what_no_page_sees_is_refused_in_german(
    path: str, headers: dict[str, str], said: str, tmp_path: Path
) -> None:
    """As plain text; to programs it is English, as all that they are told."""
    with house(tmp_path, NOW) as (given, _, _), site(given) as browser:
        german = browser.get(path, headers={**GERMAN, **headers}).text
        program = browser.get(f"/api/v1{path}", headers={**GERMAN, **headers}).json()["detail"]

    assert said in german
    assert said not in program


def test_a_ladder_is_called_as_in_the_configuration_and_told_in_german(tmp_path: Path) -> None:
    """What is chosen is the name that the configuration has."""
    rules = (LadderRule(use="urgent", exploited=True),)
    with house(tmp_path, NOW, Policy(ladder_rules=rules)) as (given, _, _), client(given) as browser:
        german, english = (browser.get(f"/policy?lang={language}").text for language in ("de", "en"))

    assert "<h3>urgent (dringend)</h3>" in german
    assert '<option value="gentle">gentle (sanft)</option>' in german
    assert "<h3>urgent</h3>" in english
