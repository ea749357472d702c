"""``wehr user`` and ``wehr token``, and the store's commands on what they make."""

import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from wehr.cli import main
from wehr.ledger import open_store
from wehr.web.access.accounts import Accounts
from wehr.web.access.tokens import Scope, Tokens
from wehr.web.visit import Role

CONFIG = """
[[policy.tenants]]
name = "school"

[[policy.tenants]]
name = "münchen & co"
"""


def run(folder: Path, *arguments: str) -> Result:
    """A command on the store and by the configuration of a folder, if it has one."""
    file = folder / "wehr.toml"
    given = ["--config", str(file)] if file.exists() else []
    return CliRunner(env={"COLUMNS": "200"}).invoke(main, [*arguments, "--state", str(folder), *given])


@pytest.fixture(name="state")
def _state(tmp_path: Path) -> Path:
    """A folder with an empty store, and a configuration with two tenants."""
    (tmp_path / "wehr.toml").write_text(CONFIG, encoding="utf-8")
    assert run(tmp_path, "store", "migrate").exit_code == 0
    return tmp_path


def test_a_user_is_added_invited_listed_changed_and_shut(state: Path) -> None:
    """Each step is in the audit, with who did it."""
    added = run(
        state,
        "user",
        "add",
        "olga",
        "--role",
        "tenant-operator",
        "--tenant",
        "school",
        "--json",
        "--by",
        "root",
    )
    link = json.loads(added.stdout)["link"]
    assert link.startswith("http://127.0.0.1:8894/invitation/")
    again = json.loads(run(state, "user", "invite", "Olga", "--json", "--by", "root").stdout)["link"]
    with open_store(f"sqlite:///{state}/wehr.sqlite") as store:
        accounts, now = Accounts(store), time.time()
        assert accounts.invitation(link.rpartition("/")[2], now) is None
        accounts.accept(again.rpartition("/")[2], "", "hash", now)
    assert "olga is operator" in run(state, "user", "role", "olga", "operator", "--by", "root").stdout
    assert run(state, "user", "disable", "olga", "--by", "root").exit_code == 0

    found = json.loads(run(state, "user", "list", "--json").stdout)
    assert [(it["name"], it["role"], it["state"]) for it in found] == [("olga", "operator", "disabled")]
    events = [json.loads(line) for line in run(state, "events", "--json").stdout.splitlines()]
    assert [it["kind"] for it in reversed(events)] == [
        "account-added",
        "invitation-made",
        "invitation-made",
        "password-set",
        "account-changed",
        "account-disabled",
    ]
    assert {it["actor"] for it in events} == {"root", "olga"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("user", "invite", "nobody"), "there is no account 'nobody'"),
        (("user", "role", "nobody", "viewer"), "there is no account 'nobody'"),
        (("user", "disable", "nobody"), "there is no account 'nobody'"),
        (("user", "add", "olga", "--role", "tenant-operator"), "a tenant operator needs tenants"),
        (("user", "add", "wehr"), "'wehr' is taken"),
        (("token", "create", "ci", "--scope", "admin", "--tenant", "school"), "cannot be bound to tenants"),
        (
            ("token", "create", "ci", "--tenant", "scool"),
            "no tenant is called 'scool'; there are default, school, münchen & co",
        ),
        (("token", "create", "ci", "--tenant", ""), "no tenant is called ''"),
        (
            ("user", "add", "olga", "--role", "tenant-operator", "--tenant", "scool"),
            "no tenant is called 'scool'; there are default, school, münchen & co",
        ),
        (("token", "revoke", "none"), "there is no token 'none'"),
    ],
)
def test_what_cannot_be_is_one_line_and_exit_code_2(
    arguments: tuple[str, ...], said: str, state: Path
) -> None:
    """And nothing is changed."""
    result = run(state, *arguments)

    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_tenant_that_is_gone_is_kept_or_dropped_and_given_to_nobody_else(state: Path) -> None:
    """Whoever has it can be changed otherwise, and be rid of it; once it is dropped it does not come back."""
    operator = ("--role", "tenant-operator", "--tenant", "school")
    assert run(state, "user", "add", "olga", *operator).exit_code == 0
    assert run(state, "user", "add", "otto").exit_code == 0
    (state / "wehr.toml").write_text(CONFIG.replace("school", "city"), encoding="utf-8")

    both = ("tenant-operator", "--tenant", "school", "--tenant", "münchen & co")
    assert run(state, "user", "role", "olga", *both).exit_code == 0
    refused = run(state, "user", "role", "otto", *both)
    assert "no tenant is called 'school'; there are default, city, münchen & co" in refused.stderr
    assert run(state, "user", "invite", "olga").exit_code == 0
    found = json.loads(run(state, "user", "list", "--json").stdout)
    assert {it["name"]: it["tenants"] for it in found} == {"olga": ["münchen & co", "school"], "otto": []}
    assert "münchen & co, school" in run(state, "user", "list").stdout
    assert run(state, "user", "role", "olga", "tenant-operator", "--tenant", "city").exit_code == 0
    assert run(state, "user", "role", "olga", *both).exit_code == 2


def test_a_token_is_shown_once_listed_and_revoked(state: Path) -> None:
    """The list shows no secret."""
    made = json.loads(
        run(state, "token", "create", "ci", "--days", "5", "--tenant", "school", "--json").stdout
    )
    secret = made["token"].split("_", 2)[2]
    listed = run(state, "token", "list", "--json").stdout
    assert secret not in listed
    assert json.loads(listed)[0]["tenants"] == ["school"]
    with open_store(f"sqlite:///{state}/wehr.sqlite") as store:
        known = Tokens(store).find(made["token"], time.time())
        assert known is not None
        assert known.scope is Scope.READ
    assert run(state, "token", "revoke", made["id"]).exit_code == 0
    with open_store(f"sqlite:///{state}/wehr.sqlite") as store:
        assert Tokens(store).find(made["token"], time.time()) is None
    assert "revoked" in run(state, "token", "list").stdout


def test_accounts_and_tokens_go_with_the_store(state: Path, tmp_path: Path) -> None:
    """Into a backup and a copy; and the store is sound with them."""
    text = json.loads(run(state, "token", "create", "ci", "--json").stdout)["token"]
    run(state, "user", "add", "olga")
    backup, copy = tmp_path / "backup.sqlite", tmp_path / "copy.sqlite"
    assert run(state, "store", "check").exit_code == 0
    assert run(state, "store", "backup", str(backup)).exit_code == 0
    copied = CliRunner().invoke(main, ["store", "copy", str(state / "wehr.sqlite"), str(copy)])
    assert copied.exit_code == 0, copied.stderr

    for file in (backup, copy):
        with open_store(f"sqlite:///{file}") as store:
            assert Tokens(store).find(text, time.time()) is not None
            assert [it.role for it in Accounts(store).every()] == [Role.VIEWER]
