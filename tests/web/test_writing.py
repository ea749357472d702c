"""Writing to administrators by page and by API, with the real notices behind."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from browsing import PASSWORD, Standing, account, house, log_in, site, token
from notice_stories import START, carry, seen
from starlette.testclient import TestClient

from wehr.ledger import Store
from wehr.ledger.outbox import Outbox, State
from wehr.notices.by_hand import Bar
from wehr.notices.settings import Contact, Notices
from wehr.notices.types import Reason
from wehr.policy import Mode, Policy
from wehr.policy.scope import Tenant
from wehr.service.config import parse
from wehr.service.letters import Letters
from wehr.web.access.tokens import Scope
from wehr.web.letters import BARS, REASONS
from wehr.web.settings import WebSettings
from wehr.web.visit import Role

NOW = START + 7200
CONFIG = """
[notices]
tenants = ["default"]
sender = "postmaster@receiver.test"
submission = { host = "127.0.0.1", tls = "none" }
"""
POLICY = Policy(mode=Mode.ENFORCE, tenants=(Tenant("school", ("school.example",)),))


class World:
    """The whole site over servers of two organisations, with an operator logged in."""

    def __init__(self, browser: TestClient, source: Standing, store: Store, config: Any) -> None:
        self.browser = browser
        self.source = source
        self.store = store
        self.config = config
        self.refs = {row.key.name: row.ref for row in store.servers()}
        self.ref = self.refs["mail.example.org"]

    # As the service, which writes

    def present(self) -> Any:
        """What is in force."""
        return self.source.present()

    def now(self) -> float:
        """The time."""
        return self.source.now()

    # As a person and a program

    def look(self, name: str = "mail.example.org", **more: str) -> Any:
        """The page that shows the message."""
        return self.browser.get("/deeds/write", params={"ref": self.refs[name], **more})

    def confirm(self, shown: Any, **form: str) -> Any:
        """Send the form on it."""
        fields = dict(
            re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', shown.text.partition("<main")[2])
        )
        return self.browser.post(str(shown.url), data={**fields, "why": "they called", **form})

    def ask(
        self, ref: str = "", scope: Scope = Scope.OPERATE, tenants: tuple[str, ...] = (), **more: Any
    ) -> Any:
        """The API, with a new token."""
        headers = {"Authorization": f"Bearer {token(self.store, scope, tenants, now=NOW)}"}
        method = "POST" if "json" in more else "GET"
        return self.browser.request(
            method, f"/api/v1/servers/{ref or self.ref}/notice", headers=headers, **more
        )

    def settings(self, **changes: Any) -> None:
        """Other settings of the notices."""
        notices: Notices = msgspec.structs.replace(self.config.notices, **changes)
        self.config = msgspec.structs.replace(self.config, notices=notices)


@contextlib.contextmanager
def world(folder: Path) -> Iterator[World]:
    """The site, with letters."""
    with house(folder, NOW, POLICY) as (given, source, store):
        carry(
            store,
            [seen(), seen("mx2.example.org", ip="192.0.2.26"), seen("a.example.net", ip="198.51.100.1")],
        )
        for key, state in store.load_states():
            source.ledger.merge(key, state)
        account(store, "olga", Role.OPERATOR, now=NOW)
        with site(given, WebSettings(api_per_minute=10_000)) as browser:
            it = World(browser, source, store, parse(CONFIG, "test"))
            given.letters = Letters(it, folder)
            log_in(browser, "olga", PASSWORD)
            yield it


def test_every_reason_and_every_bar_has_its_words() -> None:
    """The pages' sets are those of the notices, and what only the service or the pages find."""
    assert set(REASONS) == set(Reason)
    assert set(BARS) == {*Bar, "off", "tenant", "doubt", "template"}


def test_readers_and_text_are_shown_before_anything_is_sent(tmp_path: Path) -> None:
    """All servers of the organisation are in the one message; another's are not."""
    with world(tmp_path) as it:
        shown = it.look()

        assert shown.status_code == 200
        for part in (
            "postmaster@example.org",
            "mail.example.org, mx2.example.org",
            "15.1.2507.16",
            "never twice",
        ):
            assert part in shown.text, part
        assert "example.net" not in shown.text
        assert Outbox(it.store).items() == []


def test_a_confirmed_message_is_in_the_outbox_once_with_name_and_reason(tmp_path: Path) -> None:
    """A second one, by page or API, by this or the other server's page, is told that it waits."""
    with world(tmp_path) as it:
        shown, other = it.look(), it.look("mx2.example.org")
        done = it.confirm(shown)
        assert done.headers["location"] == f"/servers/{it.ref}?done=write"
        assert "in the outbox" in it.browser.get(done.headers["location"]).text
        again = [it.confirm(shown), it.confirm(other), it.look()]

        assert [answer.status_code for answer in again] == [409] * 3
        assert all("waits to be sent already" in answer.text for answer in again)
        assert it.ask(json={"why": "x"}).status_code == 409
        (item,) = Outbox(it.store).items()
        assert (item.state, item.recipients) == (State.WAITING, ("postmaster@example.org",))
        (event,) = it.store.events(ref=it.ref, kinds=("notice-planned",))
        assert (event.actor, event.detail["why"]) == ("olga", "they called")


def test_the_api_shows_and_sends_the_same(tmp_path: Path) -> None:
    """GET shows it, POST puts it into the outbox; who asks twice is told why not."""
    with world(tmp_path) as it:
        shown = it.ask(scope=Scope.READ)
        sent = it.ask(json={"why": "they called"})
        again = it.ask(json={"why": "they called"})

        assert (shown.status_code, sent.status_code, again.status_code) == (200, 202, 409)
        assert shown.json() == sent.json()
        assert sent.json()["to"] == ["postmaster@example.org"]
        assert sent.json()["reason"] == "detected"
        assert "15.1.2507.16" in sent.json()["texts"][0]["text"]
        assert "waits to be sent already (postmaster@example.org)" in again.json()["detail"]
        assert again.headers["Content-Type"] == "application/problem+json"
        (event,) = it.store.events(ref=it.ref, kinds=("notice-planned",))
        assert (event.actor, event.detail["why"]) == ("token test", "they called")


def test_who_may_not_cannot(tmp_path: Path) -> None:
    """Without the scope 403, without a reason 422, of another tenant's server 404; no form without token."""
    with world(tmp_path) as it:
        assert it.ask(scope=Scope.READ, json={"why": "x"}).status_code == 403
        assert it.ask(json={"why": " "}).status_code == 422
        assert it.ask(json={}).status_code == 422
        assert it.ask("abcdefghabcdefgh", json={"why": "x"}).status_code == 404
        assert it.ask(tenants=("school",), json={"why": "x"}).status_code == 404
        assert it.ask(tenants=("school",)).status_code == 404
        assert it.confirm(it.look(), csrf="x").status_code == 403
        assert it.confirm(it.look(), why="").status_code == 400
        assert Outbox(it.store).items() == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tenants": ()}, "not set up"),
        ({"tenants": ("school",)}, "this tenant"),
        ({"postmaster": False}, "No address"),
        ({"contacts": (Contact(to=(), domains=("example.org",)),)}, "not to be written to"),
        ({"templates": "templates"}, "template"),
    ],
)
def test_why_it_cannot_be_is_said_by_page_and_api(
    changes: dict[str, Any], words: str, tmp_path: Path
) -> None:
    """In the same words, and nothing is written."""
    (tmp_path / "templates" / "en").mkdir(parents=True)
    (tmp_path / "templates" / "en" / "notice.txt.j2").write_text("{{ nonsense }}")
    with world(tmp_path) as it:
        it.settings(**changes)
        page, program = it.look(), it.ask(json={"why": "x"})

        assert (page.status_code, program.status_code) == (409, 409)
        assert words in page.text
        assert words in program.json()["detail"]
        assert Outbox(it.store).items() == []


def test_the_kill_switch_and_doubt_hold_for_people_too(tmp_path: Path) -> None:
    """With who threw it, and why."""
    with world(tmp_path) as it:
        Outbox(it.store).stop(NOW, "eve", "complaints")
        assert "by eve: complaints" in it.ask().json()["detail"]
        assert "von eve angehalten: complaints" in it.look(lang="de").text
        Outbox(it.store).start(NOW, "eve")
        it.source.value = msgspec.structs.replace(it.source.value, doubt="the clock is wrong")
        assert "the clock is wrong" in it.look(lang="en").text


def test_a_pause_of_a_moment_ago_counts(tmp_path: Path) -> None:
    """Though this node does not go by it yet: an exempt server is not written about."""
    with world(tmp_path) as it:
        shown = it.look()
        more = it.browser.get("/deeds/exempt", params={"ref": it.ref})
        assert it.confirm(more).status_code == 303
        answer = it.confirm(shown)
        assert answer.status_code == 409
        assert Outbox(it.store).items() == []
