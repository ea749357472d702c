"""Accounts, sessions and tokens in either engine of the store."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from wehr.ledger import Store, open_store
from wehr.ledger.schema import invitations, sessions
from wehr.web.access.accounts import AccountError, Accounts
from wehr.web.access.sessions import Lifetime, Sessions
from wehr.web.access.tokens import Scope, Tokens
from wehr.web.visit import Role

NOW = 1_795_000_000.0
HOUR = 3600.0
DAY = 86_400.0


@pytest.fixture(name="store", params=["sqlite", "postgresql"])
def _store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """An empty store."""
    if request.param == "sqlite":
        with open_store(f"sqlite:///{tmp_path / 'wehr.sqlite'}") as store:
            yield store
        return
    cluster, name = request.getfixturevalue("postgres"), f"wehr-{uuid.uuid4().hex}"
    with open_store(cluster.create(name)) as store:
        yield store
    cluster.drop(name)


def test_an_account_from_its_invitation_to_its_end(store: Store) -> None:
    """In any case of letters, beyond ASCII too as it was written."""
    accounts = Accounts(store)
    made = accounts.add("Ärztin", Role.TENANT_OPERATOR, ["school", "city", ""], by="root", now=NOW)
    secret = accounts.invite(made.name, made.role, made.tenants, by="root", now=NOW)
    accounts.accept(secret, "", "hash", NOW)
    accounts.disable("Ärztin", by="root", now=NOW)

    found = accounts.get("Ärztin")
    assert found is not None
    assert found.tenants == ("city", "school")
    assert found.disabled
    assert found.password == "hash"
    with pytest.raises(AccountError, match="no longer valid"):
        accounts.accept(secret, "", "other", NOW)
    assert len(store.events()) == 4


def test_a_name_of_blanks_is_a_tenant_as_any_other(store: Store) -> None:
    """As the configuration takes it: a token for it alone opens no others."""
    token, _ = Tokens(store, (" ",)).create("ci", Scope.READ, [" "], days=1, by="root", now=NOW)
    made = Accounts(store, (" ",)).add("anna", Role.TENANT_OPERATOR, [" "], by="root", now=NOW)

    assert token.tenants == made.tenants == (" ",)


def test_sessions_are_bounded_and_swept(store: Store) -> None:
    """Fifty of an account; what is over goes when the next begins."""
    accounts = Accounts(store)
    account = accounts.add("anna", Role.VIEWER, (), by="root", now=NOW)
    held = Sessions(store, Lifetime(12 * HOUR, HOUR))
    secrets = [held.begin(account, "192.0.2.1", "browser", "", NOW + number) for number in range(60)]

    assert len(held.of("anna", NOW + 60)) == 50
    assert held.find(secrets[0], NOW + 60) is None
    assert held.find(secrets[-1], NOW + 60) is not None
    held.begin(account, "192.0.2.1", "browser", "", NOW + DAY)
    with store.reading() as connection:
        assert connection.scalar(select(func.count()).select_from(sessions)) == 1


def test_invitations_that_are_over_are_swept(store: Store) -> None:
    """When the next is made; each account has one at most."""
    accounts = Accounts(store)
    for number in range(3):
        accounts.invite("", Role.VIEWER, by="root", now=NOW + number)
    accounts.invite("anna", Role.VIEWER, by="root", now=NOW + 2 * DAY)

    with store.reading() as connection:
        assert connection.scalar(select(func.count()).select_from(invitations)) == 1


def test_a_token_says_about_when_it_was_used(store: Store) -> None:
    """Not at each request, or each would be a write."""
    tokens = Tokens(store)
    text = tokens.create("ci", Scope.OPERATE, ["school"], days=10, by="root", now=NOW)[1]
    for at in (NOW + 1, NOW + 10, NOW + 400):
        assert tokens.find(text, at) is not None

    assert tokens.every()[0].used == NOW + 400
    assert tokens.find(text, NOW + 10 * DAY) is None
    assert tokens.find("wehr_" + "\x00_\x00", NOW) is None


@pytest.mark.parametrize("days", [0, 3661])
def test_a_token_does_not_last_for_ever(days: int, store: Store) -> None:
    """Ten years at most."""
    with pytest.raises(AccountError, match="lasts"):
        Tokens(store).create("ci", Scope.READ, (), days=days, by="root", now=NOW)
