"""Webhooks to a real HTTP server: signed, by the schema, at least once."""

import asyncio
import base64
import hmac
import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import jsonschema
import pytest
from msgspec.structs import replace
from notice_stories import DAY, SETTINGS, START, Hook, carry, hook, look, seen

from wehr.ledger import Event, Store
from wehr.ledger.outbox import Kind, Outbox, State
from wehr.notices.courier import Courier, Errand
from wehr.notices.office import plan_notices, plan_webhooks
from wehr.notices.settings import Notices, Webhook
from wehr.notices.webhook import SCHEMA, read_secret, sign

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef").decode()


@pytest.fixture(name="box")
def _box() -> Iterator[Hook]:
    with hook() as box:
        yield box


def run(store: Store, folder: Path, box: Hook, day: float, **changes: object) -> list[Errand]:
    """Plan and deliver, so many days after the start."""
    (folder / "secret").write_text(SECRET + "\n")
    target = Webhook(box.url, "secret")
    settings = replace(SETTINGS, webhooks=(replace(target, **changes),))
    now = START + day * DAY
    plan_webhooks(settings, "mx.receiver.test", Outbox(store), now)
    courier = Courier(Outbox(store), settings, folder, node="n", clock=lambda: now)
    errands = []

    async def all_of_it() -> None:
        while errand := await courier.deliver_next():
            errands.append(errand)

    asyncio.run(all_of_it())
    return errands


def test_each_event_is_told_once_signed_and_by_the_schema(sqlite: Store, tmp_path: Path, box: Hook) -> None:
    """A detection, a pause, a notice: whatever is in the audit."""
    run(sqlite, tmp_path, box, 0)
    carry(sqlite, [seen()])
    sqlite.add_event(Event(START, "pause-added", "default", actor="eve", detail={"days": 30, "server": None}))
    plan_notices(look(sqlite, 2), Outbox(sqlite))
    # The notice itself has no submission host here.
    errands = [one for one in run(sqlite, tmp_path, box, 2) if one.item.kind is Kind.WEBHOOK]
    again = [one for one in run(sqlite, tmp_path, box, 2) if one.item.kind is Kind.WEBHOOK]

    assert [one.item.reason for one in errands] == ["detected", "pause-added", "notice-planned"]
    assert again == []
    for headers, body in box.requests:
        found = json.loads(body)
        jsonschema.validate(found, SCHEMA, format_checker=jsonschema.FormatChecker())
        signed = f"{found['id']}.{headers['webhook-timestamp']}.".encode() + body
        expected = base64.b64encode(hmac.digest(b"0123456789abcdef", signed, sha256)).decode()
        assert headers["webhook-signature"] == f"v1,{expected}"
        assert headers["webhook-id"] == found["id"]
        assert headers["content-type"] == "application/json"
    first = json.loads(box.requests[0][1])
    assert (first["type"], first["server"], first["receiver"]) == (
        "detected",
        "mail.example.org",
        "mx.receiver.test",
    )
    assert first["at"] == "2025-11-10T10:00:00Z"


def test_what_is_not_taken_is_sent_again_with_the_same_id(sqlite: Store, tmp_path: Path, box: Hook) -> None:
    """500, then a redirection, which is not followed, then 204."""
    run(sqlite, tmp_path, box, 0)
    sqlite.add_event(Event(START, "cured", name="mail.example.org"))
    box.answers = [500, 301]

    states = [one.state for day in (1.0, 1.01, 1.02) for one in run(sqlite, tmp_path, box, day)]

    assert states == [State.WAITING, State.WAITING, State.SENT]
    assert len({headers["webhook-id"] for headers, _ in box.requests}) == 1
    assert len({headers["webhook-timestamp"] for headers, _ in box.requests}) == 3


def test_a_receiver_that_is_away_is_asked_once_a_round(sqlite: Store, tmp_path: Path, box: Hook) -> None:
    """However much waits for it: nothing else is to wait for its silence."""
    run(sqlite, tmp_path, box, 0)
    for number in range(9):
        sqlite.add_event(Event(START, "cured", name=f"{number}.example.org"))
    box.answers = [503]

    assert [one.state for one in run(sqlite, tmp_path, box, 1)] == [State.WAITING]
    assert [one.state for one in run(sqlite, tmp_path, box, 1.01)] == [State.SENT] * 9


def test_a_receiver_that_is_gone_for_a_week_is_given_up(sqlite: Store, tmp_path: Path, box: Hook) -> None:
    """And only then; a secret that cannot be read is mended in time."""
    run(sqlite, tmp_path, box, 0)
    sqlite.add_event(Event(START, "cured"))
    box.answers = [503] * 9

    assert [one.state for one in run(sqlite, tmp_path, box, 1)] == [State.WAITING]
    assert [one.state for one in run(sqlite, tmp_path, box, 2, secret_file="missing")] == [State.WAITING]
    assert [one.state for one in run(sqlite, tmp_path, box, 9)] == [State.REFUSED]


def test_only_the_kinds_that_are_asked_for(sqlite: Store, tmp_path: Path, box: Hook) -> None:
    """The others are passed over for good."""
    run(sqlite, tmp_path, box, 0, events=("cured",))
    sqlite.add_event(Event(START, "detected"))
    sqlite.add_event(Event(START, "cured"))

    assert [one.item.reason for one in run(sqlite, tmp_path, box, 1, events=("cured",))] == ["cured"]


def test_a_webhook_that_is_no_longer_configured_is_withdrawn(
    sqlite: Store, tmp_path: Path, box: Hook
) -> None:
    """What waits for it goes nowhere."""
    run(sqlite, tmp_path, box, 0)
    sqlite.add_event(Event(START, "cured"))
    box.answers = [500]
    run(sqlite, tmp_path, box, 1)
    courier = Courier(Outbox(sqlite), SETTINGS, tmp_path, node="n", clock=lambda: START + 2 * DAY)

    errand = asyncio.run(courier.deliver_next())

    assert errand is not None
    assert errand.state is State.WITHDRAWN


@pytest.mark.parametrize(
    "url",
    ["http://example.org/", "ftp://localhost/", "https://u:p@example.org/", "https://example.org/#x", "x"],
)
def test_an_address_that_would_leak_is_refused(url: str) -> None:
    """Plain HTTP leaves loopback never."""
    with pytest.raises(ValueError, match="webhook"):
        Webhook(url, "secret")


def test_secrets() -> None:
    """With and without the prefix; a short one is none."""
    assert read_secret(SECRET) == b"0123456789abcdef"
    assert read_secret("a plain secret of some length\n") == b"a plain secret of some length"
    with pytest.raises(ValueError, match="16 bytes"):
        read_secret("short")


def test_the_signature_of_the_standards_example() -> None:
    """The figures of Standard Webhooks' own libraries."""
    secret = read_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'

    found = sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)

    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_settings_of_mail_need_somebody_who_takes_it() -> None:
    """An error at the start, not silence later."""
    with pytest.raises(ValueError, match=r"submission\.host"):
        Notices(tenants=("default",), sender="a@b.test")
