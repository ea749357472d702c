"""What the pages show is in the API, from the same functions: catalogue, policy, overview, one server."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest
from browsing import house, learn, site, token
from ledger_stories import NEW, OLD, at, entry, key_of, sighting

from wehr.catalogue import load
from wehr.ledger import deeds
from wehr.ledger.journal import Entry, Position
from wehr.ledger.memory import reference
from wehr.policy import Policy
from wehr.policy.compliance import MICROSOFT_FLOORS, Floor, Rules
from wehr.policy.scope import Connector, Tenant
from wehr.policy.selection import LadderRule, Wave
from wehr.policy.types import Action, Mode
from wehr.web.access.tokens import Scope

NOW = at(62)
DAY = date(2024, 1, 1)
POLICY = Policy(
    mode=Mode.ENFORCE,
    compliance=Rules(floors=(Floor("15.1", DAY, "15.1.2507.6"),), demand_esu=True),
    ladder_rules=(LadderRule(use="urgent", cves=("CVE-2099-1",)),),
    waves=(Wave(products=("Exchange Server 2016",), since=DAY),),
    tenants=(Tenant("mine", ("mine.example",)), Tenant("theirs", ("theirs.example",), mode=Mode.OFF)),
    connectors=(Connector("way", networks=("198.51.100.0/24",), tenant="theirs", mode=Mode.REPORT),),
)
REF_OF = key_of(sighting(0))


def refused(day: float) -> Entry:
    """A message that was delayed."""
    plain = entry(sighting(day))
    decision = msgspec.structs.replace(plain.decision, action=Action.THROTTLE, enforced=True)
    return msgspec.structs.replace(plain, decision=decision)


class Asking(msgspec.Struct):
    """How the API is asked, and the reference of a server in stage 5, which once showed a patched build."""

    browser: Any
    store: Any
    ref: str = ""

    def __call__(self, path: str, tenants: tuple[str, ...] = (), **query: Any) -> Any:
        """The answer's value."""
        mine = {"Authorization": f"Bearer {token(self.store, Scope.READ, tenants, now=NOW)}"}
        answer = self.browser.get(f"/api/v1{path}", headers=mine, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture(name="ask")
def _ask(tmp_path: Path) -> Iterator[Asking]:
    with house(tmp_path, NOW, POLICY) as (given, source, store):
        entries = [entry(sighting(day)) for day in (0, 20, 40, 61.5)]
        store.carry("mx1", Position(), [*entries, refused(61.9)], Position(1, 1), NOW)
        store.carry("mx2", Position(), [], Position(1, 1), at(60))
        learn(source, store)
        with site(given) as browser:
            yield Asking(browser, store, reference(REF_OF, store.secret))


def pages_of(ask: Asking, path: str, **query: Any) -> tuple[list[dict[str, Any]], set[int]]:
    """All items of a list, from page to page, and the totals that are told."""
    found, totals, after = [], set(), ""
    while True:
        answer = ask(path, after=after, **query)
        found += answer["items"]
        totals.add(answer["total"])
        after = answer["next"]
        if not after:
            return found, totals


def test_every_build_of_the_catalogue_is_listed_with_its_article(ask: Asking) -> None:
    """From page to page, without gap or repetition; or those of a product or branch."""
    found, totals = pages_of(ask, "/catalogue/builds", limit=150)
    shown = sum(branch["builds"] for it in ask("/catalogue")["products"] for branch in it["branches"])

    assert totals == {len(found)} == {shown}
    assert len({(it["product"], it["branch"], it["build"]) for it in found}) == len(found)
    one = next(it for it in found if it["build"] == "15.1.2507.61")
    assert (one["product"], one["branch"], one["update"]) == ("Exchange Server 2016", "CU23", "Oct25SU")
    assert one["security"]
    assert one["article"] == f"https://support.microsoft.com/help/{one['kb'].removeprefix('KB')}"
    branch = {"product": "Exchange Server 2016", "branch": "CU23"}
    assert pages_of(ask, "/catalogue/builds", **branch)[0] == [
        it for it in found if branch.items() <= it.items()
    ]
    assert ask("/catalogue/builds", software="none") == {"items": [], "next": None, "total": 0}


def test_every_hole_of_the_catalogue_is_listed_with_its_fixes(ask: Asking) -> None:
    """Those that are exploited first."""
    found, _ = pages_of(ask, "/catalogue/holes", limit=100)
    exploited, _ = pages_of(ask, "/catalogue/holes", exploited="true")

    assert {it["cve"] for it in found} == {it.cve for it in load().flaws}
    assert exploited
    assert found[: len(exploited)] == exploited
    assert all(it["exploited_since"] for it in exploited)
    assert not any(it["exploited_since"] for it in found[len(exploited) :])
    one = next(it for it in exploited if it["cve"] == "CVE-2021-26855")
    assert "15.1.2176.9" in one["fixed_in"]["Exchange Server 2016"]


def test_the_whole_policy_is_told(ask: Asking) -> None:
    """Floors in force, waves, ladder rules, ways in, and what is remembered for how long."""
    found = ask("/policy")

    assert [it["builds"] for it in found["floors"]] == ["15.1", *(it.builds for it in MICROSOFT_FLOORS)]
    assert found["floors"][0]["least"] == "15.1.2507.6"
    assert found["waves"] == [
        {"software": "exchange", "products": ["Exchange Server 2016"], "builds": [], "since": "2024-01-01"}
    ]
    assert [(it["use"], it["cves"]) for it in found["ladder_rules"]] == [("urgent", ["CVE-2099-1"])]
    assert found["connectors"] == [{"name": "way", "tenant": "theirs", "mode": "report"}]
    assert {it["name"]: it["mode"] for it in found["tenants"]} == {"mine": "enforce", "theirs": "off"}
    assert (found["mixed"], found["memory_days"], found["demand_esu"]) == ("report", 30, True)


def test_of_the_policy_one_tenants_token_reads_no_others_part(ask: Asking) -> None:
    """Neither tenant nor way in."""
    found = ask("/policy", ("mine",))

    assert [it["name"] for it in found["tenants"]] == ["mine"]
    assert found["connectors"] == []


def test_messages_are_counted_by_day_and_hour(ask: Asking) -> None:
    """Thirty days of all servers, forty-eight hours of one; what was not there is nought."""
    days, hours = ask("/summary/days"), ask(f"/servers/{ask.ref}/hours")

    assert len(days) == 30
    assert [it["day"] for it in days] == sorted({it["day"] for it in days})
    assert sum(it["taken"] + it["delayed"] for it in days[-2:]) == 2
    assert len(hours) == 48
    delayed = [it for it in hours if it["delayed"]]
    assert [(it["taken"], it["delayed"], it["refused"], it["would_be_refused"]) for it in delayed] == [
        (0, 1, 0, 0)
    ]
    assert sum(it["taken"] for it in hours) == 1
    assert sum(it["taken"] for it in ask("/summary/days", ("mine",))) == 0


def test_a_node_that_lags_is_told(ask: Asking) -> None:
    """When each last carried something in."""
    found = {it["name"]: it["quiet"] for it in ask("/nodes")}

    assert found == {"mx1": False, "mx2": True}


def test_a_server_is_told_with_its_stages_windows_and_builds(ask: Asking) -> None:
    """Dates of the ladder, when its mail is refused in this hour and the next, what it showed and lacks."""
    found = ask(f"/servers/{ask.ref}")
    stages, windows = found["stages"], found["windows"]

    assert [it["stage"] for it in stages] == list(range(1, 9))
    (current,) = [it for it in stages if it["current"]]
    assert current["stage"] == found["server"]["stage"] == 5
    assert current["start"] < stages[5]["start"] == current["end"]
    assert (found["ladder"], found["enforced"], found["clock_stands"]) == ("exchange-online", True, False)
    assert len(windows) == 2
    for it in windows:
        assert it["blocked_from"] < it["throttled_from"] < it["taken_from"]
    (build,) = found["builds"]
    assert (build["build"], build["days"], build["compliant"]) == (".".join(map(str, OLD)), 5, False)
    assert build["first_seen"] < build["last_seen"]
    assert any(it["kb"] for it in found["assessment"]["missing_updates"])
    assert (found["pauses"], found["exemptions"]) == ([], [])


def test_a_servers_pauses_and_exemptions_are_told_with_it(ask: Asking) -> None:
    """Its own, and those of its tenant."""
    server = ask.store.server(ask.ref)
    deeds.pause(
        ask.store, tenant="", server=server, start=None, days=3, quota=90, why="w", by="anna", now=NOW
    )
    deeds.exempt(ask.store, domain="example.org", why="known", by="anna", now=NOW)
    deeds.exempt(ask.store, domain="example.net", why="another", by="anna", now=NOW)
    found = ask(f"/servers/{ask.ref}")

    assert found["clock_stands"]
    assert found["windows"] == []
    assert [it["why"] for it in found["pauses"]] == ["w"]
    assert [it["reason"] for it in found["exemptions"]] == ["known"]


def test_a_server_that_is_in_order_stands_on_no_ladder(ask: Asking) -> None:
    """No stages, no windows."""
    new = entry(sighting(62, NEW, name="new.example.org"), compliant=True)
    ask.store.carry("mx1", Position(1, 1), [new], Position(2, 1), NOW)
    found = ask(f"/servers/{reference(new.key, ask.store.secret)}")

    assert (found["ladder"], found["stages"], found["windows"]) == (None, [], [])
    assert found["server"]["state"] == "current"
