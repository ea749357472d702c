"""What operators do by the pages: said first, done when it is confirmed, once, with reason and name."""

import contextlib
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from typing import Any

import msgspec
import pytest
from browsing import OPERATOR, PASSWORD, VIEWER, Standing, account, client, house, learn, log_in, site
from ledger_stories import at, entry, key_of, sighting
from starlette.testclient import TestClient

from wehr.ledger import Store, deeds
from wehr.ledger.journal import Position
from wehr.ledger.memory import reference
from wehr.policy import Mode, Policy
from wehr.policy.scope import Tenant
from wehr.web.deed import DONE_ALREADY
from wehr.web.pages.deeds import DEEDS
from wehr.web.visit import Need, Role, Visitor

KEY = key_of(sighting(0))
POLICY = Policy(mode=Mode.ENFORCE, tenants=(Tenant("school", ("school.example",)),))
WHY = {"why": "change freeze"}


class World(msgspec.Struct):
    """A browser over one out-of-date server of the tenant default; `DAY` 35 of its episode, in stage 2."""

    browser: TestClient
    store: Store
    source: Standing

    @property
    def ref(self) -> str:
        """The server's reference."""
        return reference(KEY, self.store.secret)

    def look(self, deed: str, **asked: str) -> Any:
        """The page that says what would happen."""
        return self.browser.get(f"/deeds/{deed}", params=asked)

    def confirm(self, shown: Any, **form: str) -> Any:
        """Send the form on that page, with a reason unless another is given."""
        fields = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', main(shown)))
        return self.browser.post(str(shown.url), data={**fields, **WHY, **form})

    def do(self, deed: str, **asked: str) -> Any:
        """Both, one after the other."""
        shown = self.look(deed, **asked)
        assert shown.status_code == 200, shown.text
        done = self.confirm(shown)
        learn(self.source, self.store)
        return done

    def events(self) -> list[tuple[str, str, object]]:
        """What is in the audit of deeds, the first one first: kind, doer, reason."""
        found = [
            (it.kind, it.actor, it.detail.get("why") or it.detail.get("reason")) for it in self.store.events()
        ]
        return [it for it in reversed(found) if it[1] != "wehr"]


def main(answer: Any) -> str:
    """What a page is about."""
    return str(answer.text.partition("<main")[2].partition("</main>")[0])


def said(answer: Any) -> str:
    """The same as text."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", main(answer))).replace(" .", ".").split())


@contextlib.contextmanager
def world(folder: Path, visitor: Visitor = OPERATOR, policy: Policy = POLICY) -> Iterator[World]:
    """The pages, seen by a visitor."""
    with house(folder, at(35), policy) as (given, source, store):
        store.carry("mx1", Position(), [entry(sighting(day)) for day in (0, 34)], Position(1, 1), at(35))
        learn(source, store)
        with client(given, visitor) as browser:
            yield World(browser, store, source)


def test_asking_changes_nothing_and_says_what_a_pause_would_mean(tmp_path: Path) -> None:
    """Which server, until when, in which stage, when mail is delayed again, what is left of the year."""
    with world(tmp_path) as it:
        shown = it.look("pause", ref=it.ref, days="3")
        text = said(shown)

        assert shown.status_code == 200
        assert "mail.example.org (tenant default) is paused from now until 11 Nov 2024, 00:00 UTC" in text
        assert "It stays in stage 2" in text
        assert "From 11 Nov 2024, 00:00 UTC on its mail is delayed for 5 and refused for 0 minutes" in text
        assert "Stage 3 begins on" in text
        assert "quota of 2024 that it takes: 3. Left after it: 87." in text
        assert it.store.pauses() == ()
        assert it.events() == []


def test_a_pause_is_made_extended_and_ended_each_with_its_reason(tmp_path: Path) -> None:
    """All three are in the audit, found with the server, and its page says what was done."""
    with world(tmp_path) as it:
        made = it.do("pause", ref=it.ref, days="3")
        assert (made.status_code, made.headers["location"]) == (303, f"/servers/{it.ref}?done=pause")
        assert DEEDS["pause"].done in it.browser.get(made.headers["location"]).text
        (pause,) = it.store.pauses()
        assert (pause.days, pause.by, pause.why, pause.server) == (3, "olga", "change freeze", KEY)

        shown = it.look("extend", ref=it.ref, pause=pause.id, days="2")
        assert "ends on 13 Nov 2024, 00:00 UTC instead of 11 Nov 2024, 00:00 UTC" in said(shown)
        assert "takes: 2. Left after it: 85." in said(shown)
        assert it.confirm(shown).status_code == 303
        learn(it.source, it.store)

        it.source.time += 60
        shown = it.look("end-pause", ref=it.ref, pause=pause.id)
        assert "given back to the tenant: 4." in said(shown)
        assert "Its clock goes on at once, in stage 2: its mail is delayed for 5" in said(shown)
        assert it.confirm(shown).status_code == 303

        assert it.events() == [
            ("pause-added", "olga", "change freeze"),
            ("pause-extended", "olga", "change freeze"),
            ("pause-cancelled", "olga", "change freeze"),
        ]
        assert {event.ref for event in it.store.events() if event.actor == "olga"} == {it.ref}


def test_a_pause_may_begin_on_a_day_to_come(tmp_path: Path) -> None:
    """At its midnight; its end is counted from there."""
    with world(tmp_path) as it:
        shown = it.look("pause", ref=it.ref, days="2", **{"from": "2024-12-31"})
        assert "from 31 Dec 2024, 00:00 UTC until 2 Jan 2025, 00:00 UTC" in said(shown)
        assert "quota of 2024 that it takes: 1. Left after it: 89." in said(shown)
        assert "quota of 2025 that it takes: 1. Left after it: 89." in said(shown)
        assert "While a clock stands" in said(shown)  # which stage it is in by then, nobody knows
        it.confirm(shown)
        (pause,) = it.store.pauses()

    assert pause.start % 86_400 == 0


def test_a_server_is_exempt_until_the_end_of_a_day_and_the_exemption_is_ended(tmp_path: Path) -> None:
    """The exemption names the server and its network."""
    with world(tmp_path) as it:
        shown = it.look("exempt", ref=it.ref, until="2024-12-24")
        assert (
            "mail.example.org in the network 192.0.2.0/24 (tenant default) is left alone until 24 Dec 2024"
            in (said(shown))
        )
        it.confirm(shown)
        learn(it.source, it.store)
        ((ident, exemption),) = it.store.exemptions().items()
        assert (exemption.server, exemption.network, exemption.by) == (KEY.name, KEY.network, "olga")
        assert f"{exemption.until:%Y-%m-%d %H:%M}" == "2024-12-24 23:59"

        it.source.time += 60
        shown = it.look("end-exemption", ref=it.ref, exemption=ident)
        assert "Its clock goes on at once, in stage 2" in said(shown)
        assert it.confirm(shown).status_code == 303
        assert it.look("end-exemption", ref=it.ref, exemption=ident).status_code == 409
        assert it.events() == [
            ("exemption-added", "olga", "change freeze"),
            ("exemption-cancelled", "olga", "change freeze"),
        ]


def test_an_exemption_without_an_end_says_so(tmp_path: Path) -> None:
    """And when it is made once more, that it is there."""
    with world(tmp_path) as it:
        assert "until somebody ends the exemption" in said(it.look("exempt", ref=it.ref))
        it.do("exempt", ref=it.ref)
        assert "exempt already" in said(it.look("exempt", ref=it.ref, until="2024-12-24"))


def test_an_exemption_holds_from_the_moment_it_is_made(tmp_path: Path) -> None:
    """At a fraction of a second, too, that no date and time can tell."""
    times = (at(35) + part / 7 for part in range(1, 7))
    time = next(it for it in times if datetime.fromtimestamp(it, UTC).timestamp() > it)
    with world(tmp_path) as it:
        it.source.time = time
        shown = it.look("exempt", ref=it.ref)
        assert "It stays in stage 2, and meanwhile nothing of it is delayed or refused" in said(shown)
        assert it.confirm(shown).status_code == 303


def test_what_is_only_reported_is_not_said_to_be_refused(tmp_path: Path) -> None:
    """The page tells what the policy does, not what the ladder could."""
    with world(tmp_path, policy=Policy()) as it:
        it.do("pause", ref=it.ref, days="3")
        assert "only reported" in said(it.look("end-pause", ref=it.ref, pause=it.store.pauses()[0].id))
        assert "refused again" not in said(
            it.look("extend", ref=it.ref, pause=it.store.pauses()[0].id, days="1")
        )


def test_a_whole_tenant_is_paused_on_the_policy_page(tmp_path: Path) -> None:
    """It counts whom it concerns, comes back to that page, and can be extended and ended there."""
    with world(tmp_path) as it:
        assert "Pause this tenant" in it.browser.get("/policy").text
        shown = it.look("pause", tenant="default", days="10")
        assert "All servers of the tenant default are paused from now until 18 Nov 2024" in said(shown)
        assert "out of date now: 1." in said(shown)
        assert it.confirm(shown).headers["location"] == "/policy?done=pause"
        learn(it.source, it.store)
        (pause,) = it.store.pauses()
        assert (pause.tenant, pause.server) == ("default", None)

        listed = it.browser.get("/policy").text
        assert "change freeze" in listed
        assert f'name="pause" value="{pause.id}"' in listed
        assert "all servers of the tenant" in it.browser.get(f"/servers/{it.ref}").text
        assert it.do("extend", pause=pause.id, days="1").headers["location"] == "/policy?done=extend"
        assert it.do("end-pause", pause=pause.id).headers["location"] == "/policy?done=end-pause"
        assert "Nobody is paused" in it.browser.get("/policy").text


@pytest.mark.parametrize(
    ("deed", "asked", "code", "words"),
    [
        ("pause", {"days": "0"}, 400, "from 1 to 366"),
        ("pause", {"days": "many"}, 400, "from 1 to 366"),
        ("pause", {"days": "9" * 5000}, 400, "from 1 to 366"),
        ("pause", {}, 400, "from 1 to 366"),
        ("pause", {"days": "300"}, 409, "has 90 more in 2025"),
        ("pause", {"days": "3", "from": "2001-01-01"}, 400, "first day has passed"),
        ("pause", {"days": "3", "from": "soon"}, 400, "YYYY-MM-DD"),
        ("exempt", {"until": "soon"}, 400, "YYYY-MM-DD"),
        ("exempt", {"until": "2001-01-01"}, 400, "last day has passed"),
        ("exempt", {"until": "9999-12-31"}, 400, "YYYY-MM-DD"),
        ("pause", {"days": "366", "from": "9999-12-31"}, 400, "YYYY-MM-DD"),
        ("write", {}, 409, "not set up"),
    ],
)
def test_what_cannot_be_is_said_in_words(
    deed: str, asked: dict[str, str], code: int, words: str, tmp_path: Path
) -> None:
    """With the way back, and nothing is changed."""
    with world(tmp_path) as it:
        answer = it.look(deed, ref=it.ref, **asked)

        assert answer.status_code == code
        assert 'role="alert"' in answer.text
        assert words in said(answer)
        assert f'href="/servers/{it.ref}"' in main(answer)
        assert it.events() == []


@pytest.mark.parametrize("why", ["", " \t", "x" * 1001])
@pytest.mark.parametrize("deed", ["pause", "extend", "end-pause", "exempt", "end-exemption"])
def test_no_deed_without_a_reason(deed: str, why: str, tmp_path: Path) -> None:
    """The page is shown again and asks for one; what ends a thing too. Every node remembers it: no book."""
    with world(tmp_path) as it:
        it.do("pause", ref=it.ref, days="3")
        it.do("exempt", ref=it.ref, until="2024-12-24")
        before = it.events()
        asked = {
            "pause": {"days": "5"},
            "extend": {"pause": it.store.pauses()[0].id, "days": "5"},
            "end-pause": {"pause": it.store.pauses()[0].id},
            "exempt": {"until": ""},
            "end-exemption": {"exemption": next(iter(it.store.exemptions()))},
        }
        answer = it.confirm(it.look(deed, ref=it.ref, **asked[deed]), why=why)

        assert answer.status_code == 400
        assert "Give a reason" in said(answer)
        assert it.events() == before


@pytest.mark.parametrize("deed", ["pause", "extend", "end-pause", "exempt", "end-exemption"])
def test_confirmed_twice_is_done_once_and_the_second_is_told(deed: str, tmp_path: Path) -> None:
    """A form that is sent again, and one that another operator had open at the same time."""
    with world(tmp_path) as it:
        if deed in {"extend", "end-pause"}:
            it.do("pause", ref=it.ref, days="3")
        if deed == "end-exemption":
            it.do("exempt", ref=it.ref)
        pauses, exemptions = it.store.pauses(), it.store.exemptions()
        asked = {
            "pause": lambda: {"days": "5"},
            "extend": lambda: {"pause": pauses[0].id, "days": "5"},
            "end-pause": lambda: {"pause": pauses[0].id},
            "exempt": lambda: {"until": ""},
            "end-exemption": lambda: {"exemption": next(iter(exemptions))},
        }[deed]()
        mine, another = (it.look(deed, ref=it.ref, **asked) for _ in range(2))
        assert it.confirm(mine).status_code == 303
        once = it.events()
        it.source.time += 1
        again = [it.confirm(mine), it.confirm(another)]

        assert [answer.status_code for answer in again] == [409, 409]
        assert all('role="alert"' in answer.text for answer in again)
        assert it.events() == once


def test_what_would_not_happen_as_it_was_said_is_said_again(tmp_path: Path) -> None:
    """Somebody else has used days of the year meanwhile: the figure on the page was not true any more."""
    with world(tmp_path) as it:
        shown = it.look("pause", ref=it.ref, days="3")
        it.do("pause", tenant="default", days="1")
        answer = it.confirm(shown)
        assert answer.status_code == 409
        assert "changed meanwhile" in said(answer)
        assert "change freeze" in main(answer)  # need not be typed again
        assert it.confirm(answer).status_code == 303
        assert sorted(pause.days for pause in it.store.pauses()) == [1, 3]


def test_somebody_who_is_quicker_between_plan_and_deed_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store decides: nothing is done twice, and the page is shown as things are then."""
    with world(tmp_path) as it:
        shown = it.look("pause", ref=it.ref, days="3")
        plain = Store.change_pauses
        busy: list[bool] = []

        def late(store: Store, change: Any, event: Any) -> Any:
            if not busy:
                busy.append(True)
                it.confirm(shown)
            return plain(store, change, event)

        monkeypatch.setattr(Store, "change_pauses", late)
        answer = it.confirm(shown)

        assert answer.status_code == 409
        assert DONE_ALREADY in said(answer)
        assert len(it.store.pauses()) == 1


@pytest.mark.parametrize("deed", DEEDS)
def test_who_only_reads_may_neither_ask_nor_do(deed: str, tmp_path: Path) -> None:
    """403 for both."""
    with world(tmp_path, VIEWER) as it:
        asked = {"ref": it.ref, "days": "1"}
        answers = [
            it.look(deed, **asked),
            it.browser.post(f"/deeds/{deed}", params=asked, data={**WHY, "once": "0" * 8}),
        ]
        assert {answer.status_code for answer in answers} == {403}
        assert it.events() == []


@pytest.mark.parametrize("deed", DEEDS)
def test_what_is_another_tenants_is_not_there(deed: str, tmp_path: Path) -> None:
    """404 for its server, its pauses, its exemptions, and itself."""
    with world(tmp_path) as it:
        it.do("pause", ref=it.ref, days="3")
        it.do("exempt", ref=it.ref)
        before = it.events()
        pause, exemption = it.store.pauses()[0].id, next(iter(it.store.exemptions()))
    stranger = Visitor("tom", Need.OPERATE, frozenset({"school"}), "token")
    with house(tmp_path, at(35), POLICY) as (given, source, store), client(given, stranger) as browser:
        there = World(browser, store, source)
        for ref in (there.ref, "", "nonsense"):
            more = {"ref": ref, "pause": pause, "exemption": exemption, "days": "1", "tenant": "default"}
            asked = f"/deeds/{deed}"
            answers = [
                browser.get(asked, params=more),
                browser.post(asked, params=more, data={**WHY, "once": "0" * 8, "seen": "x"}),
            ]
            assert {answer.status_code for answer in answers} == {404}
        assert there.events() == before
        assert pause not in browser.get("/policy").text
        assert there.do("pause", tenant="school", days="1").status_code == 303


def test_what_is_for_all_tenants_is_no_single_tenants_to_end(tmp_path: Path) -> None:
    """Though its server is hers: an exemption of everybody's is neither shown nor ended."""
    hers = Visitor("dora", Need.OPERATE, frozenset({"default"}), "token")
    with world(tmp_path, hers) as it:
        ident, _ = deeds.exempt(
            it.store, domain="example.org", why="between us", by="olga", now=at(35), until=at(60)
        )
        answer = it.look("end-exemption", ref=it.ref, exemption=ident)

        assert answer.status_code == 404
        assert "example.org ends" not in answer.text
        assert ident in it.store.exemptions()


def test_forms_are_checked_like_all_others(tmp_path: Path) -> None:
    """No deed without the session's token, however right all else is."""
    with house(tmp_path, at(35), POLICY) as (given, source, store):
        store.carry("mx1", Position(), [entry(sighting(day)) for day in (0, 34)], Position(1, 1), at(35))
        learn(source, store)
        account(store, "olga", Role.OPERATOR, now=at(35))
        with site(given) as browser:
            log_in(browser, "olga", PASSWORD)
            it = World(browser, store, source)
            shown = it.look("pause", ref=it.ref, days="3")
            assert it.confirm(shown, csrf="").status_code == 403
            assert it.confirm(shown, csrf="0" * 64).status_code == 403
            assert store.pauses() == ()
            assert it.confirm(shown).status_code == 303


@pytest.mark.parametrize("form", [{"once": "x"}, {"once": ""}, {"once": "0" * 9}])
def test_a_form_that_no_page_gave_is_not_understood(form: dict[str, str], tmp_path: Path) -> None:
    """400; and a first submit with a reason does nothing as long as nothing was seen."""
    with world(tmp_path) as it:
        asked = {"ref": it.ref, "days": "3"}
        assert it.browser.post("/deeds/pause", params=asked, data={**WHY, **form}).status_code == 400
        assert it.browser.post("/deeds/pause", params=asked, data={**WHY, "once": "0" * 8}).status_code == 409
        assert it.browser.get("/deeds/nothing", params=asked).status_code == 404
        assert it.events() == []


def test_it_is_said_in_german_and_another_language_keeps_what_was_asked(tmp_path: Path) -> None:
    """With German dates; the link to the other language leads to the same deed."""
    with world(tmp_path) as it:
        shown = it.look("pause", ref=it.ref, days="3", lang="de")
        assert "ist von jetzt bis 11. Nov. 2024, 00:00 UTC in Pause" in said(shown)
        assert f"?ref={it.ref}&amp;days=3&amp;lang=en" in shown.text


def test_words_of_others_are_no_markup(tmp_path: Path) -> None:
    """A reason that is shown again, and one that is listed."""
    with world(tmp_path) as it:
        shown = it.look("pause", ref=it.ref, days="3")
        evil = "<script>alert(1)</script>%(end)s"
        again = it.confirm(shown, why=evil, seen="x")
        assert "<script>" not in again.text
        assert it.confirm(again, why=evil).status_code == 303
        assert "<script>" not in it.browser.get(f"/servers/{it.ref}").text
        assert "<script>" not in it.browser.get("/policy").text
