"""The first page: what needs attention, how things stand, what comes."""

import contextlib
import html
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest
from browsing import VIEWER, Standing, client, house, learn
from ledger_stories import NEW, at, entry, sighting
from starlette.testclient import TestClient

from wehr.ledger import open_store
from wehr.ledger.journal import Entry, Position
from wehr.policy import Policy
from wehr.policy.scope import Connector, Tenant
from wehr.policy.types import Action, Mode
from wehr.web.pages import home
from wehr.web.visit import Need, Visitor

SCHOOL = Tenant("school", ("school.example",), Mode.REPORT)
OF_SCHOOL = Visitor("tom", Need.READ, frozenset({"school"}))


def refused(day: float, action: Action, *, enforced: bool) -> Entry:
    """A message that was refused, or would have been."""
    plain = entry(sighting(day))
    return msgspec.structs.replace(
        plain, decision=msgspec.structs.replace(plain.decision, action=action, enforced=enforced)
    )


@contextlib.contextmanager
def browsing(
    folder: Path, *entries: Entry, day: float, visitor: Visitor = VIEWER
) -> Iterator[tuple[TestClient, Standing]]:
    """The pages on a day."""
    with house(folder, at(day)) as (given, source, store):
        if entries:
            store.carry("mx1", Position(), entries, Position(1, 1), at(day))
        learn(source, store)
        with client(given, visitor) as browser:
            yield browser, source


def test_an_empty_house_has_a_page(tmp_path: Path) -> None:
    """That says what is missing, without empty charts; whoever asks for the pictures gets pictures."""
    with browsing(tmp_path, day=0) as (browser, _):
        answer = browser.get("/")
        pictures = [browser.get(f"/charts/{name}.svg") for name in ("messages", "products")]

    assert answer.status_code == 200
    assert "No mail has shown the version of a server yet." in answer.text
    assert "/charts/" not in answer.text
    for picture in pictures:
        assert ElementTree.fromstring(picture.content).tag.endswith("svg")  # noqa: S314 - it is our own


def test_it_counts_messages_by_what_became_of_them(tmp_path: Path) -> None:
    """Taken, delayed, refused, and what would have been, each by itself."""
    entries = (
        entry(sighting(0)),
        refused(1, Action.THROTTLE, enforced=True),
        refused(1.1, Action.BLOCK, enforced=True),
        refused(1.2, Action.BLOCK, enforced=False),
        refused(1.3, Action.THROTTLE, enforced=False),
    )
    with browsing(tmp_path, *entries, day=2) as (browser, _):
        text = browser.get("/").text

    days = text.partition('aria-label="Messages by day"')[2].partition("</table>")[0]
    rows = [
        [cell.partition("<")[0] for cell in row.split('<td class="number">')[1:]]
        for row in days.split("<tr>")
    ]
    assert [row for row in rows if row and set(row) != {"0"}] == [["1", "0", "0", "0"], ["0", "1", "1", "2"]]


def test_it_says_who_enters_which_stage_within_a_month(tmp_path: Path) -> None:
    """On day 25 throttling is five days ahead, blocking thirty-five."""
    with browsing(tmp_path, entry(sighting(0)), entry(sighting(24)), day=25) as (browser, _):
        text = browser.get("/").text

    assert "Throttled within 30 days: 1" in text
    assert "Blocked within 30 days: 0" in text
    assert text.count(">mail.example.org<") == 1


def test_a_month_may_bring_more_than_the_next_stage(tmp_path: Path) -> None:
    """On day 65 the last stage is two stages and twenty-five days ahead."""
    seen = [entry(sighting(float(day))) for day in range(0, 66, 5)]
    with browsing(tmp_path, *seen, day=65) as (browser, _):
        text = browser.get("/").text

    assert "Shut out within 30 days: 1" in text
    assert '>mail.example.org</a>, <time datetime="2025-01-02">2 Jan 2025 UTC</time>' in text


def test_an_old_catalogue_and_doubt_are_told_loudly(tmp_path: Path) -> None:
    """Where people look first."""
    with browsing(tmp_path, day=2000) as (browser, source):
        source.value = msgspec.structs.replace(source.value, doubt="the clock is 90 s off")
        text = browser.get("/").text

    assert "The catalogue is " in text
    assert "import a newer one" in text
    assert "the clock is 90 s off" in text


def test_pictures_hold_no_script_and_nothing_from_elsewhere(tmp_path: Path) -> None:
    """And a policy that lets none in."""
    with browsing(tmp_path, entry(sighting(0)), day=1) as (browser, _):
        pictures = [browser.get(f"/charts/{name}.svg") for name in ("messages", "products")]

    for picture in pictures:
        assert b"<script" not in picture.content
        assert b"href=" not in picture.content
        assert picture.headers["Content-Security-Policy"].startswith("default-src 'none'")


@pytest.mark.parametrize("name", ["messages", "products"])
def test_a_phone_is_sent_a_narrow_picture(name: str, tmp_path: Path) -> None:
    """Drawn for its width, not made smaller; the page says when."""
    with browsing(tmp_path, entry(sighting(0)), day=1) as (browser, _):
        page = browser.get("/").text
        path = f"/charts/{name}.svg?lang=en"
        wide, narrow = (browser.get(it).text for it in (path, f"{path}&narrow=1"))

    assert f'media="(max-width: 30rem)" srcset="{path}&amp;narrow=1" width="340"' in page
    assert re.search(r'viewBox="0 0 760 \d+"', wide)
    assert re.search(r'viewBox="0 0 340 \d+"', narrow)


def test_another_tenants_servers_and_messages_do_not_count(tmp_path: Path) -> None:
    """In no figure and no picture."""
    stranger = Visitor("tom", Need.READ, frozenset({"other"}))
    entries = (entry(sighting(0)), entry(sighting(0.5, NEW, name="ex2.example.org"), compliant=True))
    with browsing(tmp_path, *entries, day=1, visitor=stranger) as (browser, _):
        text = browser.get("/").text
        picture = browser.get("/charts/products.svg").text

    assert "mail.example.org" not in text
    assert '<p class="figure">0</p>' in text
    assert "Exchange" not in picture
    assert not [cell for cell in text.split('<td class="number">')[1:] if not cell.startswith("0<")]


@pytest.mark.parametrize(
    ("policy", "only_reports"),
    [
        (Policy(), True),
        (Policy(mode=Mode.SIMULATE, tenants=(Tenant("school", ("school.example",), Mode.REPORT),)), True),
        (Policy(mode=Mode.ENFORCE), False),
        (Policy(tenants=(Tenant("school", ("school.example",), Mode.ENFORCE),)), False),
        (Policy(connectors=(Connector("partner", networks=("192.0.2.0/24",), mode=Mode.ENFORCE),)), False),
    ],
)
def test_that_nothing_is_refused_is_said_where_nobody_enforces(
    policy: Policy, only_reports: bool, tmp_path: Path
) -> None:
    """Neither the policy, nor a tenant, nor a connector."""
    with browsing(tmp_path, day=0) as (browser, source):
        source.value = msgspec.structs.replace(source.value, policy=policy)
        text = browser.get("/").text

    assert ("Nothing is refused: the policy only reports" in text) is only_reports


@pytest.mark.parametrize(
    ("visitor", "policy", "said"),
    [
        (
            VIEWER,
            Policy(mode=Mode.ENFORCE, tenants=(SCHOOL,)),
            "is refused for these tenants; what would be done is counted all the same: school<",
        ),
        (VIEWER, Policy(tenants=(msgspec.structs.replace(SCHOOL, mode=Mode.ENFORCE),)), "same: default<"),
        (OF_SCHOOL, Policy(mode=Mode.ENFORCE, tenants=(SCHOOL,)), "Nothing is refused: the policy only"),
        (OF_SCHOOL, Policy(mode=Mode.ENFORCE), ""),
        (
            VIEWER,
            Policy(
                mode=Mode.ENFORCE,
                tenants=(SCHOOL,),
                connectors=(
                    Connector("way", networks=("192.0.2.0/24",), mode=Mode.ENFORCE, tenant="school"),
                ),
            ),
            "",
        ),
    ],
)
def test_for_whom_nothing_is_refused_is_said_to_those_who_see_them(
    visitor: Visitor, policy: Policy, said: str, tmp_path: Path
) -> None:
    """By tenant, where others enforce; a way in that enforces counts for its tenant."""
    policy = msgspec.structs.replace(policy, tenants=policy.tenants or (Tenant("school"),))
    with browsing(tmp_path, day=0, visitor=visitor) as (browser, source):
        source.value = msgspec.structs.replace(source.value, policy=policy)
        text = browser.get("/").text

    assert said in text
    assert ("Nothing is refused" in text) is bool(said)


def test_who_has_no_tenant_of_the_configuration_is_told_so(tmp_path: Path) -> None:
    """And not that nothing is refused, as if the policy only reported."""
    policy = Policy(mode=Mode.ENFORCE, tenants=(Tenant("city", mode=Mode.ENFORCE),))
    gone = Visitor("tom", Need.READ, frozenset({"school", "old & <b>town</b>"}))
    with browsing(tmp_path, day=0, visitor=gone) as (browser, source):
        source.value = msgspec.structs.replace(source.value, policy=policy)
        text = browser.get("/").text

    told = "None of your tenants is in the configuration, so no mail comes in for them:"
    assert f"{told}</strong> old &amp; &lt;b&gt;town&lt;/b&gt;, school" in text
    assert "Nothing is refused" not in text


@pytest.mark.parametrize(("behind", "lags"), [(3600, False), (3601, True)])
def test_a_node_that_lags_is_told_where_people_look_first(behind: int, lags: bool, tmp_path: Path) -> None:
    """By name, once it has carried in nothing for an hour while others did; not for a quiet night of all."""
    with browsing(tmp_path, entry(sighting(0)), day=5) as (browser, _):
        with open_store(f"sqlite:///{tmp_path / 'wehr.sqlite'}") as store:
            store.carry("mx2", Position(), (entry(sighting(0)),), Position(1, 1), at(5) - behind)
        text = browser.get("/").text
        german = browser.get("/?lang=de").text

    told = "Nodes that have carried in nothing for an hour while others did:</strong> mx2</p>"
    assert (told in text) is lags
    assert ("Knoten, die seit einer Stunde nichts eingetragen haben" in german) is lags
    assert text.count("mx1") == 1


def test_each_figure_leads_to_the_servers_that_it_counts(tmp_path: Path) -> None:
    """A silent one is in none; this week one enters throttling and one blocking; one has no support.

    One is of a branch that nobody knows: of its product, but in the row of none of its branches.
    """
    seen = [
        entry(sighting(0, network="198.51.100.0/24", client_ip="198.51.100.5")),
        *(entry(sighting(day, name="a.example.org")) for day in (35.0, 60.0)),
        *(entry(sighting(day, name="b.example.org")) for day in (4.0, 30.0, 60.0)),
        entry(sighting(60, (15, 0, 1497, 2), name="c.example.org")),
        entry(sighting(60, NEW, name="d.example.org"), compliant=True),
        entry(sighting(60, (15, 1, 9999, 1), name="e.example.org"), compliant=True),
    ]
    with browsing(tmp_path, *seen, day=61) as (browser, _):
        text = browser.get("/").text
        figures = [
            *re.findall(r'class="figure[^"]*">(\d+)</p><p><a href="([^"]+)"', text),
            *(
                (count, link)
                for link, count in re.findall(r'href="(/report[^"]+)">[^<]+</a></th>.*?"number">(\d+)', text)
            ),
        ]
        found = {
            link: re.search(r"<p>(\d+) servers?</p>", browser.get(html.unescape(link)).text)
            for _, link in figures
        }

    assert [int(count) for count, _ in figures[:4]] == [3, 3, 1, 1]
    assert len(figures) == 4 + 4 + 2 + 3 + 4  # cards, states, stages, products, builds
    products = {html.unescape(link) for _, link in figures if "product_branch" in link}
    assert products == {
        f"/report?silent=false&out_of_date=&product_branch={name}"
        for name in ("Exchange+Server+2016+CU23", "Exchange+Server+2016", "Exchange+Server+2013+CU23")
    }
    assert {link: int(count) for count, link in figures} == {
        link: int(shown[1]) for link, shown in found.items() if shown
    }


def test_what_there_is_no_room_for_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Products as builds."""
    monkeypatch.setattr(home, "_PRODUCTS", 1)
    monkeypatch.setattr(home, "_BUILDS", 1)
    builds = ((15, 0, 1497, 2), (15, 1, 2507, 6), (15, 2, 986, 5))
    seen = [entry(sighting(0, build, name=f"mail{n}.example.org")) for n, build in enumerate(builds)]
    with browsing(tmp_path, *seen, day=1) as (browser, _):
        text = browser.get("/").text

    assert "and 2 more products" in text
    assert "and 2 more builds" in text


def test_a_summary_leaves_out_the_silent(tmp_path: Path) -> None:
    """Who has not been seen for a month is no work for today."""
    with browsing(tmp_path, entry(sighting(0)), day=60) as (browser, _):
        assert '<p class="figure">0</p>' in browser.get("/").text
