"""The policy and the catalogue as pages, and what another policy would change."""

import asyncio
import contextlib
import re
import threading
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from browsing import VIEWER, client, house, learn
from ledger_stories import at, entry, sighting
from msgspec.structs import replace
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from wehr.catalogue import load
from wehr.ledger import deeds
from wehr.ledger.journal import Position
from wehr.policy import Policy
from wehr.policy.scope import Connector, Tenant
from wehr.policy.selection import Wave
from wehr.policy.types import Mode
from wehr.web import house as house_of_pages
from wehr.web import plans
from wehr.web.house import House
from wehr.web.plans import plan
from wehr.web.stores import Busy
from wehr.web.visit import Need, Visitor


@contextlib.contextmanager
def browsing(folder: Path, visitor: Visitor = VIEWER, policy: Policy | None = None) -> Iterator[TestClient]:
    """The pages over one server that is out of date, and one that is not."""
    entries = [
        *(entry(sighting(float(day))) for day in (*range(0, 35, 7), 34)),  # the 28th is a week ago
        entry(sighting(34, (15, 1, 2507, 37), name="good.example.org"), compliant=True),
    ]
    with house(folder, at(35), policy) as (given, source, store):
        store.carry("mx1", Position(), entries, Position(1, 1), at(35))
        learn(source, store)
        with client(given, visitor) as browser:
            yield browser


def test_the_policy_is_told_in_words_with_its_ladder(tmp_path: Path) -> None:
    """Mode, rules, floors with their sources, the stages."""
    with browsing(tmp_path) as browser:
        text = browser.get("/policy").text

    for part in ("nothing is refused; what would be is recorded", "No security update has been missing",
                 "exchange-online", "30 min/h", "15.1.2507"):  # fmt: skip
        assert part in text, part


def test_a_mode_that_enforces_touches_who_is_out_of_date(tmp_path: Path) -> None:
    """And who will be, when the next update is out for a month; with the days and last week's messages."""
    with browsing(tmp_path) as browser:
        text = browser.get("/policy/what-if?mode=enforce").text

    result = text.partition('role="status"')[2]
    assert "2 servers would be treated otherwise within 120 days: 2 more harshly, 0 more mildly" in result
    assert "2 messages of the last week came from them" in result
    assert 0 < result.index("mail.example.org") < result.index("good.example.org")


def test_a_floor_above_the_newest_touches_who_was_in_order(tmp_path: Path) -> None:
    """From the day of the floor."""
    asked = "mode=enforce&floor_builds=15.1.2507&floor_least=15.1.2507.90&floor_since=2024-12-01"
    with browsing(tmp_path) as browser:
        text = browser.get(f"/policy/what-if?{asked}").text

    assert "good.example.org" in text.partition('role="status"')[2]


@pytest.mark.parametrize(
    ("milder", "count"), [("mode=report", 2), ("mode=off", 2), ("grace_days=365", 1), ("ladder=gentle", 2)]
)
def test_a_milder_plan_touches_who_is_treated_more_mildly(milder: str, count: int, tmp_path: Path) -> None:
    """Whoever is refused now and would not be, or is out of date now and would not count as that."""
    with browsing(tmp_path, policy=Policy(mode=Mode.ENFORCE)) as browser:
        text = browser.get(f"/policy/what-if?{milder}").text

    result = text.partition('role="status"')[2]
    assert f"would be treated otherwise within 120 days: 0 more harshly, {count} more mildly" in result
    assert f"{count} message" in result


WRONG = {
    "": ("That is as it is now", "So ist es schon jetzt"),
    "mode=report": ("That is as it is now", "So ist es schon jetzt"),
    "mode=harsh": ("no mode harsh; write one of: off, report", "Modus harsh gibt es nicht"),
    "mode=%C3%BC": ("no mode ü; write one of: off, report", "Modus ü gibt es nicht"),
    "ladder=none-such": (
        "no ladder none-such; write one of: exchange",
        "Leiter none-such gibt es nicht",
    ),
    "ladder='x'": ("no ladder &#39;x&#39;; write", "Leiter &#39;x&#39; gibt es nicht"),
    "grace_days=many": ("Days of grace: write a whole number", "Schonfrist in Tagen: Schreiben Sie"),
    "grace_days=-1": ("Days of grace: write a whole number", "Schonfrist in Tagen: Schreiben Sie"),
    "grace_days=3651": ("Days of grace: write a whole number", "Schonfrist in Tagen: Schreiben Sie"),
    "floor_builds=15.1": ("Day of a floor: write", "Tag eines Mindeststands: Schreiben Sie"),
    "floor_builds=15.1&floor_since=soon": ("Day of a floor: write", "Tag eines Mindeststands: Schreiben Sie"),
    "floor_builds=x&floor_since=2024-12-01": (
        "Builds of a floor: write",
        "Builds eines Mindeststands",
    ),
    "floor_since=2024-12-01": ("Builds of a floor: write", "Builds eines Mindeststands: Schreiben Sie"),
    "floor_builds=15.1&floor_since=2024-12-01&floor_least=new": (
        "Least accepted: write",
        "Mindestens: Schr",
    ),
    "wave_product=Exim": ("Day of a wave: write", "Tag einer Welle: Schreiben Sie"),
    "wave_product=exim&wave_since=2024-12-01": (
        "There is no product exim; write one of: Exchange Server 4.0, ",
        "Ein Produkt exim gibt es nicht; schreiben Sie eines von: Exchange Server 4.0, ",
    ),
    "wave_since=2024-12-01": ("Product of a wave: write", "Produkt einer Welle: Schreiben Sie"),
}
"""What is asked, and what is said of it in English and German."""


@pytest.mark.parametrize("asked", WRONG)
def test_what_cannot_be_asked_is_said_on_the_page(asked: str, tmp_path: Path) -> None:
    """Of which field, and what to write there, in the reader's language; 400, with the form as it was."""
    with browsing(tmp_path) as browser:
        answers = [browser.get(f"/policy/what-if?{asked}&lang={language}") for language in ("en", "de")]

    for answer, said in zip(answers, WRONG[asked], strict=True):
        assert answer.status_code == 400
        assert said in answer.text.partition('role="alert">')[2].partition("</p>")[0]


@pytest.mark.parametrize("name", ["<b>soon</b>", "100%d", "%(name)s"])
def test_what_was_asked_is_repeated_as_text(name: str, tmp_path: Path) -> None:
    """No part of an address becomes markup, or a pattern to be filled in."""
    with browsing(tmp_path) as browser:
        answer = browser.get("/policy/what-if", params={"ladder": name})

    assert answer.status_code == 400
    assert "<b>soon" not in answer.text
    assert name.replace("<", "&lt;").replace(">", "&gt;") in answer.text.partition('role="alert"')[2]


def test_a_plan_changes_nothing_that_was_not_asked_for() -> None:
    """Each field by itself."""
    policy = Policy()

    products = load().products

    assert plan(policy, {"mode": "enforce", "ladder": ""}, products) == replace(policy, mode=Mode.ENFORCE)
    assert plan(policy, {"grace_days": "7"}, products).compliance.grace_days == 7
    assert plan(policy, {"ladder": "urgent"}, products).ladder == "urgent"


@pytest.mark.parametrize(("product", "software"), [("Exchange Server 2016", "exchange"), ("Exim", "exim")])
def test_a_wave_is_of_the_products_software(product: str, software: str) -> None:
    """Or it would fit no server at all."""
    (wave,) = plan(Policy(), {"wave_product": product, "wave_since": "2024-01-01"}, load().products).waves

    assert wave == Wave(software, (product,), since=date(2024, 1, 1))


def test_another_tenants_servers_are_not_looked_at(tmp_path: Path) -> None:
    """What if tells of one's own alone."""
    stranger = Visitor("tom", Need.READ, frozenset({"other"}))
    with browsing(tmp_path, stranger) as browser:
        text = browser.get("/policy/what-if?mode=enforce").text

    assert "0 servers would be" in text
    assert "mail.example.org" not in text


def test_a_fleet_that_takes_too_long_is_looked_at_in_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the page says so; the servers that are out of date come first."""
    monkeypatch.setattr(plans, "_SECONDS", -1.0)
    with browsing(tmp_path) as browser:
        text = browser.get("/policy/what-if?mode=enforce").text

    assert "came from them. Servers looked at: 1; left out: 1." in text
    assert "mail.example.org" in text


def test_who_asks_too_much_reads_so_and_fills_no_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store is not to blame."""
    monkeypatch.setattr(house_of_pages, "_LONG", 0)
    with browsing(tmp_path) as browser, capture_logs() as logs:
        answer = browser.get("/policy/what-if?mode=enforce")

    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    assert "Too much is asked" in answer.text
    assert logs == []


def test_few_wait_for_what_takes_long(tmp_path: Path) -> None:
    """One is done at a time, some wait, and the next is told to come again."""
    begun = threading.Semaphore(0)
    go = threading.Event()

    def task() -> int:
        begun.release()
        go.wait(10)
        return 1

    async def crowd(given: House) -> list[object]:
        tasks = [asyncio.create_task(given.work_long(task)) for _ in range(6)]
        await asyncio.to_thread(begun.acquire, timeout=10)
        alone = not await asyncio.to_thread(begun.acquire, timeout=0.05)
        go.set()
        return [alone, *await asyncio.gather(*tasks, return_exceptions=True)]

    with house(tmp_path, at(0)) as (given, _, _):
        alone, *answers = asyncio.run(crowd(given))

    assert alone
    assert answers.count(1) == 4
    assert [type(it) for it in answers[4:]] == [Busy, Busy]


def test_the_catalogue_names_products_updates_and_holes(tmp_path: Path) -> None:
    """With articles, support dates, what is exploited, and its age."""
    with browsing(tmp_path) as browser:
        text = browser.get("/catalogue").text

    for part in ("Exchange Server 2016", "CU23", "Oct25SU", "CVE-2021-26855", "support.microsoft.com/help/"):
        assert part in text, part
    assert all(product.name in text for product in load().products)


def test_the_catalogue_begins_with_exchange_and_tells_which_support_is_over(tmp_path: Path) -> None:
    """The latest product of each software first; in the autumn of 2024 some dates are to come."""
    with browsing(tmp_path) as browser:
        text = browser.get("/catalogue").text

    shown = re.findall(r"<summary>([^<]+?)\s*<", text)
    assert shown[:3] == ["Exchange Server SE", "Exchange Server 2019", "Exchange Server 2016"]
    said = {name: text.partition(f"<summary>{name}")[2].partition("</summary>")[0] for name in shown}
    assert "support ends" in said["Exchange Server 2016"]
    assert "support ended" in said["Exchange Server 2013"]


def test_a_pauses_end_is_told_to_the_minute(tmp_path: Path) -> None:
    """The day alone would be read as the last one of it."""
    with house(tmp_path, at(35)) as (given, _, store), client(given) as browser:
        deeds.pause(store, "default", None, start=None, days=2, why="x", by="anna", now=at(35), quota=90)
        text = browser.get("/policy").text

    held = text.partition('<ul class="held">')[2].partition("</ul>")[0]
    assert re.findall(r"<time[^>]*>([^<]*)<", held) == ["8 Nov 2024, 10:00 UTC", "10 Nov 2024, 00:00 UTC"]


def test_an_operator_of_one_tenant_reads_of_no_other(tmp_path: Path) -> None:
    """Neither its domains, its mode nor its ways in."""
    policy = Policy(
        tenants=(Tenant("mine", domains=("mine.example",)), Tenant("theirs", domains=("theirs.example",))),
        connectors=(Connector("their-way", networks=("192.0.2.0/24",), tenant="theirs"),),
    )
    other = tmp_path / "other"
    other.mkdir()
    mine = Visitor("tom", Need.OPERATE, frozenset({"mine"}), "token")
    with browsing(tmp_path, mine, policy) as browser:
        own = browser.get("/policy").text
    with browsing(other, VIEWER, policy) as browser:
        every = browser.get("/policy").text

    assert "mine.example" in own
    assert "theirs" not in own
    assert "their-way" not in own
    assert "theirs.example" in every
    assert "their-way" in every
