"""``wehr notices`` and ``wehr announce``, as a person types them."""

import json
import time
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner, Result
from notice_stories import mailbox

from wehr.cli import main
from wehr.ledger import open_store
from wehr.ledger.outbox import Outbox, State

CONFIG = """
host_name = "mx.receiver.test"
contact = "postmaster@receiver.test"
status_url = "https://wehr.receiver.test"
policy.mode = "enforce"
[notices]
tenants = ["default"]
sender = "postmaster@receiver.test"
submission = {{ host = "127.0.0.1", port = {port}, tls = "none", timeout = 5 }}
[[notices.contacts]]
networks = ["192.0.2.0/24"]
to = ["admin@bakery.test"]
languages = ["de"]
"""


@pytest.fixture(name="played", scope="module")
def _played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "state"
    CliRunner().invoke(main, ["demo", "--seconds", "0", "--keep", str(folder)], catch_exceptions=False)
    return folder


@pytest.fixture(name="state")
def _state(played: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir()
    arguments = ["store", "backup", str(folder / "wehr.sqlite"), "--state", str(played)]
    CliRunner().invoke(main, arguments, catch_exceptions=False)
    (folder / "wehr.toml").write_text(CONFIG.format(port=1))
    return folder


def run(state: Path, *arguments: str, code: int = 0, text: str | bytes | None = None) -> Result:
    """A command that must end with a code."""
    where = ["--state", str(state), "--config", str(state / "wehr.toml")]
    result = CliRunner(env={"COLUMNS": "220"}).invoke(
        main, [*arguments, *where], catch_exceptions=False, input=text
    )
    assert result.exit_code == code, result.output
    return result


def outbox(state: Path) -> list[State]:
    """What is in it."""
    with open_store(f"sqlite:///{state}/wehr.sqlite") as store:
        return [item.state for item in Outbox(store).items()]


def test_send_is_a_dry_run_unless_told_otherwise(state: Path) -> None:
    """It says who would get what, and nothing is written."""
    shown = run(state, "notices", "send").stdout
    found = json.loads(run(state, "notices", "send", "--json").stdout)

    assert "dry run" in shown
    assert "admin@bakery.test" in shown
    bakery = next(one for one in found if one["servers"] == ["ex01.bakery.example"])
    assert (bakery["reason"], bakery["to"], bakery["languages"]) == (
        "shut-out",
        ["admin@bakery.test"],
        ["de"],
    )
    assert bakery["subject"] == "E-Mails von ex01.bakery.example werden jetzt abgewiesen"
    assert outbox(state) == []


def test_send_really_sends_once(state: Path) -> None:
    """What has no address is kept for a person."""
    with mailbox() as box:
        (state / "wehr.toml").write_text(CONFIG.format(port=box.port))
        run(state, "notices", "send", "--really")
        run(state, "notices", "send", "--really")

        assert [envelope.rcpt_tos for envelope in box.envelopes] == [["admin@bakery.test"]]
    listed = json.loads(run(state, "notices", "list", "--json").stdout)
    assert sorted(item["state"] for item in listed["items"]) == ["sent", "unaddressed"]
    assert "admin@bakery.test" in run(state, "notices", "list").stdout
    assert "notice-sent" in run(state, "events").stdout


def test_a_person_has_one_server_written_about(state: Path) -> None:
    """Into the outbox, with name and reason, once; why not is one line."""
    written = run(
        state, "notices", "write", "ex01.bakery.example", "--why", "they called", "--by", "eve"
    ).stdout
    assert "shut-out" in written
    assert "To: admin@bakery.test" in written
    assert outbox(state) == [State.WAITING]
    assert "they called" in run(state, "events", "--json").stdout

    again = run(state, "notices", "write", "ex01.bakery.example", "--why", "x", code=2)
    assert "waits in the outbox" in again.stderr
    (state / "wehr.toml").write_text("")
    off = run(state, "notices", "write", "ex01.bakery.example", "--why", "x", code=2)
    assert "nobody is to be written to" in off.stderr


def test_a_failed_delivery_has_exit_code_1_and_is_kept(state: Path) -> None:
    """Nobody listens there."""
    run(state, "notices", "send", "--really", code=1)

    assert State.WAITING in outbox(state)


def test_nobody_is_written_to_without_a_tenant(state: Path) -> None:
    """The default: one line and exit code 2."""
    (state / "wehr.toml").write_text("")

    assert "nobody" in run(state, "notices", "send", "--really", code=2).stderr


def test_the_kill_switch(state: Path) -> None:
    """Stop, and start again; both with a name."""
    run(state, "notices", "stop", "--why", "complaints", "--by", "eve")

    assert "complaints" in run(state, "notices", "send", "--really", code=2).stderr
    assert "eve" in run(state, "notices", "list").stdout
    assert "again" in run(state, "notices", "start", "--by", "eve").stdout
    assert "not stopped" in run(state, "notices", "start").stdout


@pytest.mark.parametrize("reason", ["detected", "week-before", "throttled", "blocked", "shut-out", "cured"])
def test_preview_shows_any_notice(state: Path, reason: str) -> None:
    """As text, in each language, whether it is due or not."""
    for language, word in (("de", "automatisch"), ("en", "automatically")):
        options = ("--reason", reason, "--language", language)
        found = run(state, "notices", "preview", "mail.clinic.example", *options)
        assert found.stdout.startswith("To: nobody")
        assert word in found.stdout
    found = run(state, "notices", "preview", "ex01.bakery.example", "--reason", reason)
    assert found.stdout.startswith("To: admin@bakery.test\nSubject: ")


def test_preview_as_a_message_and_as_a_page(state: Path) -> None:
    """With headers and attachments; what is not there is said in one line."""
    message = run(state, "notices", "preview", "ex01.bakery.example", "--eml").stdout
    assert "Auto-Submitted: auto-generated" in message
    assert "xarf-ex01.bakery.example.json" in message
    unknown = run(state, "notices", "preview", "mail.clinic.example", "--eml").stdout
    assert "To: nobody@unknown.invalid" in unknown
    assert "<li>" in run(state, "notices", "preview", "ex01.bakery.example", "--html").stdout
    assert "no server" in run(state, "notices", "preview", "nobody.example", code=2).stderr
    assert (
        "hole"
        in run(state, "notices", "preview", "mail.clinic.example", "--reason", "exploited", code=2).stderr
    )


def test_what_waits_is_settled_by_hand(state: Path) -> None:
    """Withdrawn by its number; an unknown number is bad use."""
    run(state, "notices", "send", "--really", code=1)
    listed = json.loads(run(state, "notices", "list", "--json").stdout)["items"]
    item = next(it for it in listed if it["state"] == "waiting")

    run(state, "notices", "withdraw", str(item["id"]), "--by", "eve")

    assert "cannot" not in run(state, "notices", "list").stdout
    assert State.WAITING not in outbox(state)
    assert "no notice" in run(state, "notices", "retry", "999", code=2).stderr


def test_a_bounce_by_a_pipe_always_ends_well(state: Path) -> None:
    """Whatever it is, the mail system is not to bounce it again."""
    assert "No bounce" in run(state, "notices", "bounce", text=b"\x00\xff nonsense").stdout
    with mailbox() as box:
        (state / "wehr.toml").write_text(CONFIG.format(port=box.port))
        run(state, "notices", "send", "--really")
        message_id = box.messages[0]["Message-ID"]
    bounce = (
        'Content-Type: multipart/report; boundary="x"\n\n--x\nContent-Type: message/delivery-status\n\n'
        "Reporting-MTA: dns; a.test\n\n"
        "Final-Recipient: rfc822; admin@bakery.test\nAction: failed\nStatus: 5.1.1\n\n"
        f"--x\nContent-Type: text/rfc822-headers\n\nMessage-ID: {message_id}\n\n--x--\n"
    )
    assert "admin@bakery.test" in run(state, "notices", "bounce", text=bounce).stdout
    assert "admin@bakery.test" in run(state, "notices", "resume").stdout
    run(state, "notices", "resume", "admin@bakery.test")
    assert "never stopped" in run(state, "notices", "resume", "admin@bakery.test", code=2).stderr
    (state / "wehr.sqlite").unlink()
    run(state, "notices", "bounce", text=bounce, code=75)


def test_the_schema_of_webhooks() -> None:
    """Is one."""
    result = CliRunner().invoke(main, ["notices", "schema"], catch_exceptions=False)

    jsonschema.Draft202012Validator.check_schema(json.loads(result.stdout))


def test_announce_makes_page_texts_and_list(state: Path, tmp_path: Path) -> None:
    """In both languages; the list is for the operator, not in the page."""
    plan = tmp_path / "plan.toml"
    day = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 60 * 86_400))
    floors = f'policy.compliance.floors = [{{ builds = "15.2", since = {day}, least = "15.2.9999.1" }}]\n'
    plan.write_text(f'policy.mode = "enforce"\n{floors}')

    found = run(state, "announce", "--plan", str(plan), "--out", str(tmp_path / "out"))

    assert "mail.clinic.example" in found.stdout
    page = (tmp_path / "out" / "announcement.html").read_text("utf-8")
    assert 'lang="de"' in page
    assert 'lang="en"' in page
    assert "clinic" not in page
    assert "15.2.9999.1" in (tmp_path / "out" / "announcement.de.txt").read_text("utf-8")
    assert "mail.clinic.example" in (tmp_path / "out" / "servers.csv").read_text("utf-8")
    told = run(state, "announce", "--plan", str(plan), "--lead-days", "90", "--json", code=1)
    assert json.loads(told.stdout)["lead_days"] == 60
    assert "alters nothing" in run(state, "announce", "--plan", str(state / "wehr.toml"), code=2).stderr
