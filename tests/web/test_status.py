"""The public page behind the link in a refusal."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from browsing import Standing, client, house, learn
from ledger_stories import NEW, at, entry, key_of, sighting
from starlette.testclient import TestClient

from wehr.evidence.build import Build
from wehr.ledger import Store
from wehr.ledger.journal import Entry, Position
from wehr.ledger.memory import reference
from wehr.ledger.rows import Event
from wehr.policy import Policy
from wehr.policy.compliance import Rules
from wehr.policy.pauses import Pause
from wehr.policy.types import Mode
from wehr.web.pages import PUBLIC_PAGES
from wehr.web.rate import Rate
from wehr.web.visit import Visitor

KEY = key_of(sighting(0))


def enforced(day: float, *, name: str = KEY.name) -> Entry:
    """A message of the out-of-date server, where enforcement is on."""
    plain = entry(sighting(day, name=name))
    return msgspec.structs.replace(plain, decision=msgspec.structs.replace(plain.decision, enforced=True))


@contextlib.contextmanager
def page(
    folder: Path, *entries: Entry, day: float, mode: Mode = Mode.ENFORCE, **rules: Any
) -> Iterator[tuple[TestClient, str, Standing, Store]]:
    """The public pages over these messages, with the path of the server's own."""
    policy = Policy(mode=mode, **rules)
    with house(folder, at(day), policy) as (given, source, store):
        store.carry("mx1", Position(), entries, Position(1, 1), at(day))
        learn(source, store)
        with client(given, Visitor(), PUBLIC_PAGES) as browser:
            yield browser, f"/s/{reference(KEY, store.secret)}", source, store


def test_it_tells_what_was_seen_why_what_to_install_and_when(tmp_path: Path) -> None:
    """The Received line, missing updates with their articles, builds to install, stages with dates."""
    with page(tmp_path, enforced(0), enforced(35), day=35) as (browser, path, _, _):
        text = browser.get(path).text

    for part in (
        "Received: from ex by mail.example.org with Microsoft SMTP Server",
        "192.0.2.25",
        "15.1.2507.6",
        "Exchange Server 2016 CU23",
        "https://support.microsoft.com/help/",
        "the least that is accepted",
        "delayed (450) for 5 minutes of every hour",
        "all mail is refused (550)",
        'aria-current="step"',
        "postmaster@example.org",
    ):
        assert part in text, part


def test_what_is_accepted_but_leaves_an_exploited_hole_open_says_so(tmp_path: Path) -> None:
    """So nobody installs the least, and stays open; what is recommended leaves none."""
    with page(tmp_path, enforced(730), day=730) as (browser, path, _, _):
        wanted = browser.get(path).text.partition("What to install")[2].partition("</ul>")[0]
        german = browser.get(path, params={"lang": "de"}).text

    least, *recommended = wanted.split("<li>")[1:]
    assert "15.1.2507.61" in least
    assert "leaves open what attackers use: CVE-2026-42897" in least
    assert recommended
    assert "leaves open" not in "".join(recommended)
    assert "lässt offen, was Angreifer nutzen: CVE-2026-42897" in german


@pytest.mark.parametrize(
    ("day", "mode", "said"),
    [
        (5, Mode.ENFORCE, "At this moment its mail is taken"),
        (95, Mode.ENFORCE, "At this moment its mail is refused"),
        (95, Mode.REPORT, "it is only reported"),
    ],
)
def test_it_says_what_mail_meets_now(day: int, mode: Mode, said: str, tmp_path: Path) -> None:
    """By stage, and only where enforcement is on."""
    seen = [enforced(float(number)) for number in range(0, day + 1, 5)]
    if mode is Mode.REPORT:
        seen = [entry(sighting(float(number))) for number in range(0, day + 1, 5)]
    with page(tmp_path, *seen, day=day, mode=mode) as (browser, path, _, _):
        text = browser.get(path).text

    assert said in text


def test_in_the_window_it_names_the_minute_from_which_mail_is_taken(tmp_path: Path) -> None:
    """Exactly within the minutes of the hour, and in no other."""
    with page(tmp_path, enforced(0), enforced(31), day=31) as (browser, path, source, _):
        start = at(31)
        said = []
        for minute in range(60):
            source.time = start + minute * 60
            said.append("its mail is delayed" in (text := browser.get(path).text))
            assert ("taken again from" in text) == said[-1]

    assert sum(said) == 5


def test_a_cured_server_reads_that_its_mail_is_taken(tmp_path: Path) -> None:
    """From the first message that shows the update."""
    cured = entry(sighting(40, NEW), compliant=True)
    with page(tmp_path, enforced(0), cured, day=40) as (browser, path, _, _):
        text = browser.get(path).text

    assert "up to date. Its mail is taken" in text
    assert "What to install" not in text


@pytest.mark.parametrize(
    ("mixed", "said"),
    [
        ("report", "Its mail is taken. It shows an old version beside a new one."),
        ("enforce", "At this moment its mail is refused"),
    ],
)
def test_a_mixed_server_reads_what_the_policy_does_with_it(mixed: str, said: str, tmp_path: Path) -> None:
    """Left alone, or refused like any other that is out of date."""
    days = [float(day) for day in range(0, 96, 5)]
    both = [it for day in days for it in (enforced(day), entry(sighting(day + 0.1, NEW), compliant=True))]
    with page(tmp_path, *both, day=96, mixed=mixed) as (browser, path, _, _):
        text = browser.get(path).text

    assert said in text
    assert "up to date" not in text
    beside = text.partition("<dt>Beside it</dt>")[2].partition("</dd>")[0]
    assert ("15.1.2507.6<" in beside, "15.1.2507.61<" in beside) == (mixed == "report", mixed == "enforce")
    assert "each of them needs the update" in text


def test_while_nobody_is_refused_it_says_so(tmp_path: Path) -> None:
    """Where the service doubts itself, mail of the last stage is taken, too."""
    seen = [enforced(float(day)) for day in range(0, 96, 5)]
    with page(tmp_path, *seen, day=95) as (browser, path, source, _):
        source.value = msgspec.structs.replace(source.value, doubt="the clock is wrong")
        text = browser.get(path).text

    assert "At this moment its mail is taken" in text
    assert "the clock is wrong" not in text


def test_a_pause_is_told_with_its_end(tmp_path: Path) -> None:
    """An exception, and how long it lasts."""
    with page(tmp_path, enforced(0), enforced(95), day=95) as (browser, path, source, store):
        pause = Pause("p1", "default", at(94), 10, at(94), by="anna", why="change freeze")
        store.change_pauses(lambda before: (*before, pause), Event(at(94), "pause-added"))
        learn(source, store)
        text = browser.get(path).text

    assert "by an exception" in text
    assert "change freeze" not in text


TODAY = 779.0
"""22 November 2026."""
UNPAID = (15, 1, 2507, 61)
"""The last of Exchange Server 2016 that everybody got; a hole of it has been used since."""


@pytest.mark.parametrize(
    ("build", "said", "not_said"),
    [
        (
            UNPAID,
            (
                "Its mail is taken.",
                "Yet its version is not up to date",
                "CVE-2026-42897",
                "Look for a break-in",
                "For sale (ESU), and not asked for: Dec25SU, ",
                "What to install",
            ),
            ("Missing:", "the least that is accepted", "What happens when"),
        ),
        (
            (15, 1, 9999, 7),
            ("Its mail is taken.", "Whether its version is up to date is not known here"),
            ("What to install",),
        ),
        ((15, 9, 9999, 7), ("Whether its version is up to date is not known here",), ("What to install",)),
        (None, ("Whether its version is up to date is not known here",), ("What to install",)),
    ],
)
def test_only_what_lacks_nothing_is_called_up_to_date(
    build: Build | None, said: tuple[str, ...], not_said: tuple[str, ...], tmp_path: Path
) -> None:
    """That the policy takes no offence is another matter: what is known is said, holes too."""
    with page(tmp_path, entry(sighting(TODAY, build), compliant=None), day=TODAY) as (browser, path, _, _):
        text = browser.get(path).text

    assert [part for part in said if part not in text] == []
    assert [part for part in ("This server is up to date", *not_said) if part in text] == []


def test_a_version_that_distributions_mend_convicts_nobody(tmp_path: Path) -> None:
    """What is known of it is said, and that it may not be so."""
    plain = entry(sighting(TODAY, (4, 94, 2)), compliant=None)
    seen = msgspec.structs.replace(
        plain, sighting=msgspec.structs.replace(plain.sighting, software="exim", version="4.94.2")
    )
    with page(tmp_path, seen, day=TODAY) as (browser, path, _, _):
        text = browser.get(path).text

    assert "Its version does not show whether it is up to date." in text
    assert "Distributions mend this software without a new version." in text
    assert "not up to date" not in text


def test_paid_updates_are_asked_for_where_the_policy_demands_them(tmp_path: Path) -> None:
    """And are told from the others."""
    seen = [enforced(TODAY - 1), entry(sighting(TODAY, UNPAID), compliant=False)]
    with page(tmp_path, *seen, day=TODAY, compliance=Rules(demand_esu=True)) as (browser, path, _, _):
        text = browser.get(path).text

    assert "The server is out of date." in text
    assert "Missing: Sep26SUv2" in text
    assert text.count('<span class="tag">paid (ESU)</span>') == 6
    assert "not asked for" not in text


def test_it_speaks_the_readers_language(tmp_path: Path) -> None:
    """German by the browser's wish, all of it."""
    with page(tmp_path, enforced(0), enforced(35), day=35) as (browser, path, _, _):
        text = browser.get(path, headers={"Accept-Language": "de-DE,de;q=0.9"}).text

    assert '<html lang="de">' in text
    assert "Was zu installieren ist" in text
    assert "minutes of every hour" not in text


def test_only_the_reference_opens_it(tmp_path: Path) -> None:
    """Neither a name, an address nor another server's reference leads to a server."""
    with page(tmp_path, enforced(0), day=1) as (browser, path, _, _):
        wrong = [
            browser.get(f"/s/{what}")
            for what in (
                KEY.name,
                "192.0.2.25",
                path[3:].upper(),
                path[3:-1],
                "a" * 16,
                "x" * 5000,
                "%00",
                "%ff",
            )
        ]
        others = browser.get(path).text

    assert {answer.status_code for answer in wrong} == {404}
    assert all(KEY.name not in answer.text for answer in wrong)
    assert "ex99" not in others


def test_what_a_stranger_wrote_is_no_markup(tmp_path: Path) -> None:
    """A forged field is shown as text."""
    forged = enforced(0)
    line = "from <script>alert(1)</script> by mail.example.org"
    forged = msgspec.structs.replace(forged, sighting=msgspec.structs.replace(forged.sighting, line=line))
    with page(tmp_path, forged, day=1) as (browser, path, _, _):
        text = browser.get(path).text

    assert "<script" not in text
    assert "&lt;script&gt;" in text


def test_it_is_found_by_no_search_engine_and_leaks_no_way_in(tmp_path: Path) -> None:
    """The link is for its reader alone; the pages of operators are not on the public listener."""
    with page(tmp_path, enforced(0), day=1) as (browser, path, _, _):
        answer = browser.get(path)
        inside = browser.get("/")

    assert "noindex" in answer.headers["X-Robots-Tag"]
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert inside.status_code == 404


def test_a_network_that_asks_too_often_is_told_to_wait(tmp_path: Path) -> None:
    """429 after a minute's worth, and served again later."""
    with page(tmp_path, enforced(0), day=1) as (browser, path, source, _):
        codes = [browser.get(path).status_code for _ in range(70)]
        source.time += 60
        later = browser.get(path).status_code

    assert codes.count(200) == 60
    assert codes[-1] == 429
    assert later == 200


def test_the_rate_is_bounded_in_memory_and_refills() -> None:
    """Each network has its own; the oldest are forgotten."""
    rate = Rate(2)

    assert [rate.allows("a", 0.0) for _ in range(3)] == [True, True, False]
    assert rate.allows("b", 0.0)
    assert rate.allows("a", 30.0)
    assert not rate.allows("a", 30.0)
    for number in range(20_000):
        rate.allows(str(number), 31.0)
    assert len(rate._left) == 10_000
