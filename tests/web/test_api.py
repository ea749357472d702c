"""The API: who sees what, pages of lists, what is done and told, and how often one may ask."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from browsing import Standing, account, house, learn, log_in, site, token
from ledger_stories import NEW, OLD, at, entry, sighting
from starlette.testclient import TestClient

from wehr.ledger import Store
from wehr.ledger.journal import Entry, Position
from wehr.ledger.state import DAY
from wehr.policy import Policy
from wehr.policy.scope import Tenant
from wehr.web.access.tokens import Scope, Tokens
from wehr.web.api import forecast
from wehr.web.pages import home
from wehr.web.settings import WebSettings
from wehr.web.visit import Role

NOW = at(40)
POLICY = Policy(tenants=(Tenant("school", ("school.example",)), Tenant("city", ("city.example",))))


def of(tenant: str, name: str, day: float = 40, build: tuple[int, ...] = OLD) -> Entry:
    """A message for a tenant."""
    plain = entry(sighting(day, build, name=name))
    return msgspec.structs.replace(plain, key=msgspec.structs.replace(plain.key, tenant=tenant))


class World(msgspec.Struct):
    """A site, its store and clock."""

    browser: TestClient
    store: Store
    source: Standing

    def ask(self, path: str, scope: Scope = Scope.READ, tenants: tuple[str, ...] = (), **more: Any) -> Any:
        """Ask with a new token; with ``json``, send it by POST."""
        text = token(self.store, scope, tenants, now=NOW)
        headers = {"Authorization": f"Bearer {text}", **more.pop("headers", {})}
        method = more.pop("method", "POST" if "json" in more else "GET")
        return self.browser.request(method, f"/api/v1{path}", headers=headers, **more)

    def servers(self, tenants: tuple[str, ...] = (), **query: Any) -> list[str]:
        """The names of the servers that are found."""
        answer = self.ask("/servers", tenants=tenants, params=query)
        assert answer.status_code == 200, answer.text
        return [row["server_fqdn"] for row in answer.json()["items"]]


@pytest.fixture(name="world")
def _world(tmp_path: Path) -> Iterator[World]:
    """Two tenants: a school with two servers, one patched, and a city with one."""
    entries = [
        of("school", "old.school.example", 0),
        of("school", "old.school.example"),
        of("school", "new.school.example", build=NEW),
        of("city", "mail.city.example"),
    ]
    with house(tmp_path, NOW, POLICY) as (given, source, store):
        store.carry("mx1", Position(), entries, Position(1, 1), NOW)
        learn(source, store)
        with site(given, WebSettings(api_per_minute=1000)) as browser:
            yield World(browser, store, source)


def test_the_report_is_filtered_sorted_and_counted(world: World) -> None:
    """By every filter, alone and together; the out-of-date ones first."""
    assert world.servers() == ["old.school.example", "mail.city.example", "new.school.example"]
    assert world.servers(out_of_date="false") == ["new.school.example"]
    assert world.servers(state="current") == ["new.school.example"]
    assert world.servers(stage=3) == ["old.school.example"]
    assert world.servers(tenant="city") == ["mail.city.example"]
    assert world.servers(text="SCHOOL", out_of_date="true") == ["old.school.example"]
    assert world.servers(product="Exchange Server 2019") == []
    assert len(world.servers(product="Exchange Server 2016", branch="15.1.2507")) == 3
    assert world.servers(branch="15.1.250") == []
    assert world.servers(build="15.1.2507.61") == ["new.school.example"]
    assert world.servers(build="15.1.2507") == []
    assert world.servers(entering="throttling", within_days=30) == ["mail.city.example"]
    assert world.servers(entering="blocking", within_days=20) == ["old.school.example"]  # by the next but one
    assert world.servers(entering="blocking", within_days=19) == []
    assert world.servers(entering="refusing", within_days=49) == []
    assert world.servers(entering="refusing", within_days=50) == ["old.school.example"]
    assert world.servers(cve="CVE-2021-26855") == []
    assert world.servers(exploited="false") == ["new.school.example"]
    assert world.servers(sort="name", order="descending")[0] == "old.school.example"


@pytest.mark.parametrize("sort", ["standing", "name", "build", "last_seen", "next_stage"])
@pytest.mark.parametrize("order", ["ascending", "descending"])
def test_pages_follow_each_other_without_gap_or_repetition(sort: str, order: str, world: World) -> None:
    """As the Link field says, and the same servers as on one page."""
    whole = world.servers(sort=sort, order=order)
    found: list[str] = []
    path = f"/servers?sort={sort}&order={order}&limit=1"
    for _ in range(3):
        answer = world.ask(path)
        found += [row["server_fqdn"] for row in answer.json()["items"]]
        assert answer.json()["total"] == 3
        link = answer.headers.get("Link", "")
        path = link[len("</api/v1") : link.index(">")] if link else ""

    assert not path
    assert found == whole


def test_histories_and_events_are_paged_as_well(world: World) -> None:
    """Newest first."""
    ref = world.ask("/servers", params={"text": "old.school"}).json()["items"][0]["reference"]
    first = world.ask(f"/servers/{ref}/messages", params={"limit": 1}).json()
    second = world.ask(f"/servers/{ref}/messages", params={"limit": 1, "after": first["next"]}).json()

    assert first["items"][0]["at"] > second["items"][0]["at"]
    assert world.ask("/events", params={"limit": 1}).json()["next"]


def test_what_has_not_changed_is_not_sent_again(world: World) -> None:
    """ETag and If-None-Match, in every spelling."""
    first = world.ask("/policy")
    tag = first.headers["ETag"]
    for said in (tag, f"W/{tag}", f'"other", {tag}'):
        again = world.ask("/policy", headers={"If-None-Match": said})
        assert again.status_code == 304
        assert again.content == b""

    assert world.ask("/policy", headers={"If-None-Match": '"other"'}).status_code == 200


def test_a_token_of_a_tenant_sees_and_touches_nothing_of_another(world: World) -> None:
    """Servers, events, pauses, exemptions, messages: what is another's is not there."""
    every = world.ask("/servers").json()["items"]
    city = next(row["reference"] for row in every if row["tenant"] == "city")
    made = world.ask("/pauses", Scope.OPERATE, json={"tenant": "city", "days": 3, "why": "holidays"}).json()
    exempt = world.ask(
        "/exemptions", Scope.OPERATE, json={"server": "mail.city.example", "tenant": "city", "why": "ours"}
    ).json()
    school = ("school",)

    assert world.servers(school) == ["old.school.example", "new.school.example"]
    assert world.servers(school, tenant="city") == []
    for path in ("", "/messages", "/events", "/explanation"):
        assert world.ask(f"/servers/{city}{path}", tenants=school).status_code == 404
    events = world.ask("/events", tenants=school).json()["items"]
    assert {event["tenant"] for event in events} == {"school"}
    assert world.ask("/pauses", tenants=school).json()["items"] == []
    assert set(world.ask("/pauses", tenants=school).json()["days_left"]) == {"school"}
    assert world.ask("/exemptions", tenants=school).json() == []
    assert [it["name"] for it in world.ask("/policy", tenants=school).json()["tenants"]] == ["school"]
    assert world.ask("/messages/Q1/explanation", tenants=("city",)).status_code in {200, 404}
    for path, body, status in (
        (f"/pauses/{made['id']}/cancellation", {"why": "mine"}, 404),
        (f"/pauses/{made['id']}/extension", {"why": "mine", "days": 1}, 404),
        (f"/exemptions/{exempt['id']}/cancellation", {"why": "mine"}, 404),
        ("/pauses", {"tenant": "city", "days": 1, "why": "x"}, 422),
        ("/pauses", {"server": city, "days": 1, "why": "x"}, 404),
        ("/exemptions", {"domain": "example.org", "why": "x"}, 403),
        ("/exemptions", {"domain": "example.org", "tenant": "city", "why": "x"}, 422),
    ):
        assert world.ask(path, Scope.OPERATE, school, json=body).status_code == status, path
    assert [pause.cancelled for pause in world.store.pauses()] == [None]


def test_a_pause_is_made_extended_and_ended_and_the_audit_tells_who_and_why(world: World) -> None:
    """With the days that it uses of the year."""
    body = {"tenant": "school", "days": 10, "why": "moving house"}
    made = world.ask("/pauses", Scope.OPERATE, json=body)
    assert made.status_code == 201
    ident = made.json()["id"]
    longer = world.ask(f"/pauses/{ident}/extension", Scope.OPERATE, json={"days": 5, "why": "still moving"})
    assert longer.json()["days"] == 15
    assert world.ask("/pauses").json()["days_left"]["school"] == 75
    over = world.ask(f"/pauses/{ident}/cancellation", Scope.OPERATE, json={"why": "done"})
    assert over.json()["cancelled"] is not None
    again = world.ask(f"/pauses/{ident}/cancellation", Scope.OPERATE, json={"why": "done"})
    assert again.status_code == 422

    told = [event for event in reversed(world.store.events()) if event.kind.startswith("pause-")]
    assert [(it.kind, it.actor, it.detail["why"]) for it in told] == [
        ("pause-added", "token test", "moving house"),
        ("pause-extended", "token test", "still moving"),
        ("pause-cancelled", "token test", "done"),
    ]


@pytest.mark.parametrize("more", [{}, {"start": "2024-12-24T00:00:00Z"}])
def test_a_pause_that_is_asked_for_again_is_made_once(more: dict[str, str], world: World) -> None:
    """Who did not hear the answer is told which one there is; ended, it can be had anew."""
    body = {"tenant": "school", "days": 10, "why": "moving house", **more}
    ident = world.ask("/pauses", Scope.OPERATE, json=body).json()["id"]
    world.source.time += 60
    again = world.ask("/pauses", Scope.OPERATE, json=body)
    shorter = world.ask("/pauses", Scope.OPERATE, json={**body, "days": 9})
    longer = world.ask("/pauses", Scope.OPERATE, json={**body, "days": 11})

    assert (again.status_code, shorter.status_code, longer.status_code) == (409, 409, 201)
    assert ident in again.json()["detail"]
    for known in (ident, longer.json()["id"]):
        world.ask(f"/pauses/{known}/cancellation", Scope.OPERATE, json={"why": "over"})
    assert world.ask("/pauses", Scope.OPERATE, json=body).status_code == 201


def test_a_pause_of_a_server_stands_beside_its_tenants(world: World) -> None:
    """The one may be ended before the other."""
    row = world.ask("/servers", params={"text": "old.school"}).json()["items"][0]
    asked = (
        {"tenant": "school"},
        {"server": row["reference"]},
        {"server": row["reference"]},
        {"tenant": "city"},
    )
    answers = [
        world.ask("/pauses", Scope.OPERATE, json={**whose, "days": 5, "why": "x"}).status_code
        for whose in asked
    ]

    assert answers == [201, 201, 409, 201]


def test_an_extension_that_is_asked_for_again_is_made_once(world: World) -> None:
    """If it says how many days the pause had."""
    made = world.ask("/pauses", Scope.OPERATE, json={"tenant": "school", "days": 10, "why": "x"}).json()
    body = {"days": 5, "why": "x", "was": 10}
    answers = [world.ask(f"/pauses/{made['id']}/extension", Scope.OPERATE, json=body) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 409]
    assert [pause.days for pause in world.store.pauses()] == [15]


@pytest.mark.parametrize("more", [{}, {"until": "2025-01-31T00:00:00Z"}])
def test_an_exemption_that_is_asked_for_again_is_made_once(more: dict[str, str], world: World) -> None:
    """Who did not hear the answer is told which one there is; ended, it can be had anew."""
    body = {"domain": "city.example", "why": "talking to them", **more}
    ident = world.ask("/exemptions", Scope.OPERATE, json=body).json()["id"]
    world.source.time += 60
    again = world.ask("/exemptions", Scope.OPERATE, json=body)
    other = world.ask("/exemptions", Scope.OPERATE, json={**body, "tenant": "city"})

    assert (again.status_code, other.status_code) == (409, 201)
    assert ident in again.json()["detail"]
    world.ask(f"/exemptions/{ident}/cancellation", Scope.OPERATE, json={"why": "talked"})
    world.source.time += 60
    assert world.ask("/exemptions", Scope.OPERATE, json=body).status_code == 201


def test_a_pause_beyond_the_quota_is_a_conflict_that_says_what_is_left(world: World) -> None:
    """And nothing is written."""
    answer = world.ask("/pauses", Scope.OPERATE, json={"tenant": "school", "days": 300, "why": "x"})

    assert answer.status_code == 409
    assert "left" in answer.json()["detail"]
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert world.store.pauses() == ()


def test_an_exemption_is_made_and_ended(world: World) -> None:
    """Ended ones stay in the list."""
    body = {"domain": "city.example", "why": "talking to them"}
    ident = world.ask("/exemptions", Scope.OPERATE, json=body).json()["id"]
    ended = world.ask(f"/exemptions/{ident}/cancellation", Scope.OPERATE, json={"why": "talked"})

    assert ended.status_code == 200
    assert ended.json()["until"] is not None
    assert [it["id"] for it in world.ask("/exemptions").json()] == [ident]


def test_a_decision_is_explained_for_a_server_and_for_a_message(world: World) -> None:
    """With the same paragraphs as on the command line."""
    row = world.ask("/servers", params={"text": "old.school"}).json()["items"][0]
    found = world.ask(f"/servers/{row['reference']}/explanation").json()
    message = world.ask(f"/servers/{row['reference']}/messages").json()["items"][0]
    past = world.ask(f"/messages/{message['queue_id']}/explanation").json()

    assert found["server"] == "old.school.example"
    assert {"topic", "heading", "text"} <= set(found["items"][0])
    assert any(it["reference"] == row["reference"] for it in past)


def test_a_message_is_looked_for_as_far_back_as_is_asked(world: World) -> None:
    """A week, if nothing is said: the whole history would take long."""
    row = world.ask("/servers", params={"text": "old.school"}).json()["items"][0]
    message = world.ask(f"/servers/{row['reference']}/messages").json()["items"][0]
    path = f"/messages/{message['queue_id']}/explanation"

    world.source.time += 8 * DAY
    assert world.ask(path).status_code == 404
    assert world.ask(path, params={"since": message["at"]}).status_code == 200
    assert world.ask(path, params={"since": "2100-01-01T00:00:00Z"}).status_code == 404
    assert world.ask(path, params={"since": "yesterday"}).status_code == 400


def test_a_token_opens_nothing_when_it_is_over_revoked_or_changed(world: World) -> None:
    """401, and a challenge that says how to do it."""
    text = token(world.store, now=NOW)
    known = Tokens(world.store).every()[0]

    def status(shown: str) -> int:
        answer = world.browser.get("/api/v1/policy", headers={"Authorization": shown})
        if answer.status_code == 401:
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        return int(answer.status_code)

    assert status(f"Bearer {text}") == 200
    for wrong in (
        f"Bearer {text}x",
        f"Basic {text}",
        "Bearer",
        f"Bearer wehr_{known.id}_",
        "Bearer a_b_c",
        "",
    ):
        assert status(wrong) == 401
    world.source.time += 91 * 86_400
    assert status(f"Bearer {text}") == 401
    world.source.time -= 91 * 86_400
    Tokens(world.store).revoke(known.id, by="anna", now=NOW)
    assert status(f"Bearer {text}") == 401


def test_the_store_holds_no_tokens_secret(world: World, tmp_path: Path) -> None:
    """Only its hash; and that it was used is told."""
    text = token(world.store, now=NOW)
    world.browser.get("/api/v1/policy", headers={"Authorization": f"Bearer {text}"})
    world.store.close()
    secret = text.rpartition("_")[2].encode() if text.count("_") == 2 else text.split("_", 2)[2].encode()

    held = b"".join(file.read_bytes() for file in tmp_path.iterdir() if file.is_file())
    assert secret not in held
    assert text.split("_")[1].encode() in held


def test_a_token_that_asks_too_often_waits_and_no_other_does(tmp_path: Path) -> None:
    """429 with Retry-After; a minute later it is let through again."""
    with (
        house(tmp_path, NOW) as (given, source, store),
        site(given, WebSettings(api_per_minute=3)) as browser,
    ):
        one, other = ({"Authorization": f"Bearer {token(store, now=NOW)}"} for _ in range(2))
        statuses = [browser.get("/api/v1/policy", headers=one).status_code for _ in range(5)]
        refused = browser.get("/api/v1/policy", headers=one)
        assert statuses == [200, 200, 200, 429, 429]
        assert int(refused.headers["Retry-After"]) >= 1
        assert browser.get("/api/v1/policy", headers=other).status_code == 200
        source.time += 60
        assert browser.get("/api/v1/policy", headers=one).status_code == 200


def test_who_shows_too_many_bad_tokens_is_not_looked_up_any_more(tmp_path: Path) -> None:
    """429 for his network, without a word to the store; a good token costs nothing of it."""
    with house(tmp_path, NOW) as (given, source, store), site(given, WebSettings()) as browser:
        good = {"Authorization": f"Bearer {token(store, now=NOW)}"}
        bad = {"Authorization": "Bearer wehr_0123456789ab_guessed"}

        def status(headers: dict[str, str]) -> int:
            return browser.get("/api/v1/policy", headers=headers).status_code

        assert [status(it) for it in (good, bad) * 30] == [200, 401] * 30
        assert [status(bad) for _ in range(32)] == [401] * 30 + [429] * 2
        refused = browser.get("/api/v1/policy", headers=good)
        assert refused.status_code == 429
        assert refused.headers["Retry-After"] == "60"
        assert refused.headers["Content-Type"] == "application/problem+json"
        assert browser.get("/api/v1/policy").status_code == 401  # nothing is looked up for it
        source.time += 60
        assert status(good) == 200


def test_a_proxy_that_is_trusted_names_the_account(tmp_path: Path) -> None:
    """Only one that is trusted, only accounts that there are, and forms need their token all the same."""
    settings = WebSettings(trusted_proxies=("192.0.2.0/24",), user_header="X-Forwarded-User")
    with house(tmp_path, NOW) as (given, _, store):
        account(store, "anna", Role.OPERATOR, now=NOW)
        with site(given, settings, "192.0.2.7") as browser:
            for name, status in (("anna", 200), ("nobody", 303), ("", 303)):
                answer = browser.get("/account", headers={"X-Forwarded-User": name})
                assert answer.status_code == status
            twice = [("X-Forwarded-User", "anna"), ("X-Forwarded-User", "anna")]
            assert browser.get("/account", headers=twice).status_code == 303
            form = browser.post("/account/sessions", headers={"X-Forwarded-User": "anna"}, data={})
            assert form.status_code == 403
        with site(given, settings, "198.51.100.7") as browser:
            assert browser.get("/account", headers={"X-Forwarded-User": "anna"}).status_code == 303


@pytest.mark.parametrize(
    ("peer", "chain", "seen"),
    [
        ("192.0.2.7", "203.0.113.9", "203.0.113.9"),
        ("192.0.2.7", "10.9.9.9, 203.0.113.9, 192.0.2.8", "203.0.113.9"),
        ("192.0.2.7", "nonsense", "192.0.2.7"),
        ("198.51.100.7", "203.0.113.9", "198.51.100.7"),
    ],
)
def test_a_visitors_address_is_taken_from_trusted_proxies_only(
    peer: str, chain: str, seen: str, tmp_path: Path
) -> None:
    """The last one in the chain that is no proxy of ours: what stands before it, anybody can write."""
    settings = WebSettings(trusted_proxies=("192.0.2.0/24",))
    with house(tmp_path, NOW) as (given, _, store), site(given, settings, peer) as browser:
        account(store, "anna", now=NOW)
        browser.headers["X-Forwarded-For"] = chain
        log_in(browser, "anna")

        told = next(event for event in store.events() if event.kind == "logged-in")
        assert told.detail["client_ip"] == seen


def test_administrators_make_and_change_accounts_and_tokens(world: World) -> None:
    """With the same rules as on the command line."""
    invited = world.ask("/invitations", Scope.ADMIN, json={"account": "otto", "role": "operator"})
    assert invited.status_code == 201
    assert world.browser.get(invited.json()["path"]).status_code == 200
    account(world.store, "anna", now=NOW)
    gone = world.ask("/accounts/anna", Scope.ADMIN, method="PUT", json={"role": "viewer"})
    assert gone.status_code == 409
    assert world.ask("/accounts/none", Scope.ADMIN, method="PUT", json={"role": "viewer"}).status_code == 404
    made = world.ask("/tokens", Scope.ADMIN, json={"name": "ci", "days": 5}).json()
    mine = {"Authorization": f"Bearer {made['text']}"}
    assert world.browser.get("/api/v1/policy", headers=mine).status_code == 200
    revoked = world.ask(f"/tokens/{made['token']['id']}", Scope.ADMIN, method="DELETE")
    assert revoked.json()["revoked"] is True
    assert world.browser.get("/api/v1/policy", headers=mine).status_code == 401


@pytest.mark.parametrize("name", ["wehr", " wehr ", "a\u202eb", "a\nb"])
def test_nobody_is_invited_under_a_name_that_no_account_can_have(world: World, name: str) -> None:
    """Its link could not be taken."""
    answer = world.ask("/invitations", Scope.ADMIN, json={"account": name})

    assert answer.status_code == 422
    assert "a name has 1 to 100 printable characters" in answer.json()["detail"]
    assert not [it for it in world.store.events() if it.kind == "invitation-made"]


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/invitations", {"account": "olga", "role": "tenant-operator"}),
        ("/tokens", {"name": "a\u202eb"}),
        ("/tokens", {"name": "ci", "scope": "admin", "tenants": ["city"]}),
        ("/tokens", {"name": "ci", "tenants": ["city", "scool"]}),
        ("/tokens", {"name": "ci", "tenants": [""]}),
        ("/invitations", {"account": "olga", "role": "tenant-operator", "tenants": ["scool"]}),
    ],
)
def test_what_can_be_of_no_account_or_token_does_not_fit(
    world: World, path: str, asked: dict[str, object]
) -> None:
    """422, for nothing that is there has to do with it."""
    assert world.ask(path, Scope.ADMIN, json=asked).status_code == 422


def test_a_tenant_that_is_gone_is_kept_or_dropped_and_given_to_nobody(world: World) -> None:
    """By whoever has it; the answer names those that there are."""
    account(world.store, "olga", Role.TENANT_OPERATOR, ("gone",), now=NOW)

    def change(*tenants: str) -> Any:
        body = {"role": "tenant-operator", "tenants": tenants}
        return world.ask("/accounts/olga", Scope.ADMIN, method="PUT", json=body)

    assert change("gone", "city").json()["tenants"] == ["city", "gone"]
    assert change("city").json()["tenants"] == ["city"]
    refused = change("gone", "city")
    assert refused.status_code == 422
    assert refused.json()["detail"] == "no tenant is called 'gone'; there are default, school, city"


def test_while_the_store_is_away_programs_are_told_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """503 as a problem, with Retry-After."""
    from wehr.ledger import StoreAway

    text = token(world.store, now=NOW)

    def away(*_: object) -> None:
        raise StoreAway("gone")

    monkeypatch.setattr(Tokens, "find", away)
    answer = world.browser.get("/api/v1/policy", headers={"Authorization": f"Bearer {text}"})

    assert answer.status_code == 503
    assert math.isclose(int(answer.headers["Retry-After"]), 10)
    assert answer.json()["title"] == "Service Unavailable"
    assert "gone" not in answer.text


def test_text_that_no_store_takes_is_refused_in_bodies_too(world: World) -> None:
    """NUL; a backslash and digits that only look like it are meant."""
    for text, status in (("a\0b", 422), ("a\\\\u0000b", 201)):
        body = {"domain": "city.example", "why": text}
        assert world.ask("/exemptions", Scope.OPERATE, json=body).status_code == status


def test_the_summary_counts_and_tells_what_is_coming(world: World) -> None:
    """For one tenant only its own."""
    found = world.ask("/summary").json()
    mine = world.ask("/summary", tenants=("city",)).json()

    assert (found["servers"], found["out_of_date"]) == (3, 2)
    assert (mine["servers"], mine["out_of_date"]) == (1, 1)
    assert found["stages"] == {"1": 1, "3": 1}
    month = next(it for it in found["coming"] if it["days"] == 30)
    assert "mail.city.example" in {it["server_fqdn"] for it in month["throttling"]}
    assert month["throttling_total"] == len(month["throttling"])


def test_the_summary_names_so_many_and_counts_the_rest(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large fleet's summary is no report."""
    monkeypatch.setattr(forecast, "_MOST", 0)
    monkeypatch.setattr(home, "_PRODUCTS", 0)
    found = world.ask("/summary").json()
    month = next(it for it in found["coming"] if it["days"] == 30)

    assert (month["throttling"], month["throttling_total"]) == ([], 1)
    assert (found["products"], found["products_more"]) == ([], 1)


def test_a_product_of_the_summary_is_asked_for_by_its_name(world: World) -> None:
    """With its branch; the servers are those that it counts."""
    (product,) = world.ask("/summary").json()["products"]

    assert product["product"] == "Exchange Server 2016 CU23"
    assert len(world.servers(product_branch=product["product"])) == product["servers"] == 3
    assert world.servers(product_branch="Exchange Server 2016") == []


def test_another_policy_is_played_before_it_is_in_force(world: World) -> None:
    """Which servers it treats otherwise, and how many of last week's messages; nothing is changed."""
    found = world.ask("/policy/what-if", params={"mode": "enforce"}).json()

    assert {it["server"] for it in found["servers"]} == {"old.school.example", "mail.city.example"}
    assert found["messages"] >= 2
    assert (found["harsher"], found["milder"], found["days"], found["left_out"]) == (2, 0, 120, 0)
    assert world.ask("/policy").json()["mode"] == "report"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, "That is as it is now"),
        ({"ladder": "none"}, "ladder: There is no ladder none; write one of: "),
        (
            {"wave_product": "Exchange 2016", "wave_since": "2027-01-01"},
            "wave_product: There is no product Exchange 2016; write one of: Exchange Server 4.0, ",
        ),
        ({"wave_product": "Exim"}, "wave_since: Day of a wave: write"),
    ],
)
def test_a_plan_that_cannot_be_is_a_problem_that_names_the_field(
    asked: dict[str, str], said: str, world: World
) -> None:
    """And what can be written there."""
    answer = world.ask("/policy/what-if", params=asked)

    assert answer.status_code == 422
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["detail"].startswith(said)
