"""What is asked over HTTP and what is answered, by a real gate, in both forms."""

import base64
from datetime import UTC, datetime
from typing import Any

import gates
import messages
import pytest
from gates import Rig
from http_asking import Answered, answers, post
from hypothesis import given
from hypothesis import strategies as st
from recording_gate import RecordingGate

from wehr.doors.http import HttpServer
from wehr.doors.wire import MAX_DOMAINS, MAX_FIELD, MAX_FIELDS, MAX_TRACE

OUTDATED, PATCHED = "15.1.2507.16", "15.2.2562.53"
LINE = "450 4.7.230 Connecting server is throttled; retry after 14:25 UTC. See https://mx.example.org/s/abc"
KEYS = {
    *("action", "reason", "smtp_code", "enhanced_code", "text", "stage", "throttle_minutes", "block_minutes"),
    *("until", "server", "network", "tenant", "build"),
}
REPLY = {"smtp_code", "enhanced_code", "text"}


def _headers(text: str) -> list[tuple[str, str]]:
    """The fields of a message as mail systems hold them: folded values, line ends inside."""
    fields: list[tuple[str, str]] = []
    for line in text.rstrip("\n").split("\n"):
        if line[:1] in " \t":
            fields[-1] = (fields[-1][0], f"{fields[-1][1]}\n{line}")
        else:
            name, _, value = line.partition(":")
            fields.append((name, value.lstrip()))
    return fields


def _message(build: str, **extra: Any) -> dict[str, Any]:
    return {
        "client_ip": "203.0.113.10",
        "helo": "mail.example.com",
        "recipients": ["postmaster@example.org"],
        "queue_id": "4XyQueue",
        "headers": _headers(messages.exchange(build)),
        **extra,
    }


def _hook(build: str, **extra: Any) -> dict[str, Any]:
    """A request as Stalwart writes it, key by key."""
    return {
        "context": {
            "stage": "data",
            "client": {
                "ip": "203.0.113.10",
                "port": 34567,
                "ptr": "anything.example.net",
                "helo": "mail.example.com",
                "activeConnections": 1,
            },
            "tls": {"version": "TLSv1_3", "cipher": "TLS13_AES_256_GCM_SHA384"},
            "server": {"name": "Stalwart", "port": 25, "ip": "192.0.2.1"},
            "queue": {"id": "18f3a2b"},
            "protocol": {"version": 1},
        },
        "envelope": {
            "from": {"address": "a@example.com"},
            "to": [{"address": "postmaster@example.org"}],
        },
        "message": {
            "headers": _headers(messages.exchange(build)),
            "contents": "Hello\r\n",
            "size": 1234,
        },
        **extra,
    }


def _ask(gate: Any, path: str, body: Any, **options: Any) -> Answered:
    session = HttpServer(gate, **options).new_session()
    (found,) = answers(session.receive(post(path, body)))
    return found


def _at(rig: Rig, day: float, path: str, body: Any) -> Any:
    rig.clock.now = rig.start + day * gates.DAY
    found = _ask(rig.gate, path, body)
    assert found.status == 200
    return found.json


def test_a_server_is_throttled_blocked_and_let_in_again() -> None:
    """With reason, stage, server, build and the time from which mail is taken again."""
    rig = Rig()
    first = _at(rig, 0, "/v1/decide", _message(OUTDATED))
    _at(rig, 25, "/v1/decide", _message(OUTDATED))
    hour = [_at(rig, 51 + minute / 1440, "/v1/decide", _message(OUTDATED)) for minute in range(60)]
    throttled = [it for it in hour if it["action"] == "throttle"]
    _at(rig, 75, "/v1/decide", _message(OUTDATED))
    blocked = _at(rig, 95, "/v1/decide", _message(OUTDATED))
    cured = _at(rig, 95.1, "/v1/decide", _message(PATCHED))

    assert (first["action"], first["reason"]) == ("accept", "report-stage")
    assert (first["stage"], first["server"], first["build"]) == (1, "ex01.example.com", OUTDATED)
    assert len(throttled) == 20
    again = datetime.fromisoformat(throttled[0]["until"])
    assert again.tzinfo == UTC
    assert throttled[0]["until"].endswith("Z")
    assert (throttled[0]["smtp_code"], throttled[0]["enhanced_code"]) == (450, "4.7.230")
    assert f"retry after {again:%H:%M} UTC" in throttled[0]["text"]
    assert (throttled[0]["stage"], throttled[0]["throttle_minutes"]) == (4, 20)
    assert (blocked["action"], blocked["smtp_code"], blocked["reason"]) == ("block", 550, "blocked")
    assert (blocked["network"], blocked["tenant"]) == ("203.0.113.0/24", "default")
    assert (cured["action"], cured["reason"], cured["build"]) == ("accept", "compliant", PATCHED)
    assert set(throttled[0]) == KEYS
    assert set(blocked) == KEYS - {"until"}
    assert set(first) == KEYS - REPLY - {"until"}


def test_a_server_of_the_last_stage_is_refused_before_its_headers() -> None:
    """With the line that the headers would bring; one transaction in ten minutes goes on to them."""
    rig = Rig()
    for day in (0, 25, 50, 75, 95):
        blocked = _at(rig, day, "/v1/decide", _message(OUTDATED))
    early = _message(PATCHED, stage="rcpt")  # whatever headers are sent are not read
    found = _at(rig, 95 + 1 / 1440, "/v1/decide", early)
    assert {name: found[name] for name in REPLY} == {name: blocked[name] for name in REPLY}
    assert (found["action"], found["reason"]) == ("block", "blocked")
    let = [_at(rig, 95 + 11 / 1440, "/v1/decide", {**early, "queue_id": name}) for name in ("a", "b", "a")]
    assert [it["action"] for it in let] == ["accept", "block", "accept"]
    assert let[0] == {"action": "accept", "reason": "no-trace"}


@pytest.mark.parametrize("mode", ["report", "simulate"])
def test_what_is_only_reported_is_told_apart(mode: str) -> None:
    """The message is accepted, and ``would_be`` says what it would have met."""
    rig = Rig({"mode": mode})
    for day in (0, 25, 50, 75, 95):
        found = _at(rig, day, "/v1/decide", _message(OUTDATED))

    assert (found["action"], REPLY & set(found)) == ("accept", set())
    assert (found["would_be"], found["reason"], found["stage"]) == ("block", "blocked", 8)


def test_other_mail_is_accepted_with_its_reason() -> None:
    """There is no server to name then."""
    found = _at(Rig(), 0, "/v1/decide", _message("", headers=_headers(messages.postfix())))

    assert found == {"action": "accept", "reason": "other-software"}


def test_both_forms_of_the_headers_are_the_same() -> None:
    """Name and value, or the block as it stands in the message, in base64."""
    gate = RecordingGate()
    block = (messages.exchange(OUTDATED) + "\nA message.\n").encode()
    raw = {"raw_headers": base64.b64encode(block).decode()}
    _ask(gate, "/v1/decide", _message(OUTDATED))
    _ask(gate, "/v1/decide", _message(OUTDATED, headers=[], **raw))

    (_, fields, _), (_, raw_fields, _) = gate.asked
    assert fields
    assert [b" ".join(it.split()) for it in fields] == [b" ".join(it.split()) for it in raw_fields]


def test_what_the_mail_system_verified_reaches_the_gate() -> None:
    """All of the session, the recipients' domains, the queue id; nothing of the local parts."""
    gate = RecordingGate()
    asked = _message(
        OUTDATED,
        client_ip="::ffff:203.0.113.10",
        client_name="mail.example.com",
        tls_name="ex01.example.com",
        authenticated=True,
        listener="mx-in",
        recipients=["a@Example.org", '"b@c"@example.net', "<d@example.org>", "example.edu", ""],
        own_received=1,
    )
    _ask(gate, "/v1/decide", asked)

    ((session, fields, queue_id),) = gate.asked
    assert (session.client_ip, session.client_name) == ("203.0.113.10", "mail.example.com")
    assert (session.helo, session.tls_name) == ("mail.example.com", "ex01.example.com")
    assert (session.authenticated, session.listener) == (True, "mx-in")
    assert session.recipients == ("example.org", "example.net", "example.edu")
    assert (fields, queue_id) == ([], "4XyQueue")


def test_nothing_need_be_known() -> None:
    """An empty question is one, and unknown keys are passed over: newer recipes work with an older Wehr."""
    gate = RecordingGate()
    found = _ask(gate, "/v1/decide", {"something_new": [1, {"a": None}]})

    assert found.json["action"] == "accept"
    assert gate.asked[0][0].client_ip == ""


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        (b"", 400, "not JSON"),
        (b'{"client_ip": "1', 400, "not JSON"),
        (b'{"helo": "\xff"}', 400, "not JSON"),
        (b'{"x": ' + b"[" * 100_000, 400, "not JSON"),
        (b"[]", 422, "object"),
        (b'{"client_ip": 1}', 422, "$.client_ip"),
        (b'{"headers": [["Received"]]}', 422, "$.headers[0]"),
        (b'{"raw_headers": "no base64!"}', 422, "$.raw_headers"),
        (b'{"own_received": -1}', 422, "$.own_received"),
    ],
)
def test_a_body_that_cannot_be_read_says_where(body: bytes, status: int, detail: str) -> None:
    """As problem details, of which the mail system's recipe makes: accept."""
    found = _ask(RecordingGate(), "/v1/decide", body)

    assert (found.status, found.json["status"]) == (status, status)
    assert detail in found.json["detail"]


@pytest.mark.parametrize("path", ["/v1/decide", "/v1/mta-hooks"])
@pytest.mark.parametrize("answer", [OSError("made up"), "250 not a refusal", "450 5.7.1 mixed", "450"])
def test_an_error_inside_means_accept(path: str, answer: str | Exception) -> None:
    """With 200, counted and logged: whatever it is, it must not cost the sender's mail."""
    gate, said = RecordingGate(), []
    gate.answer = answer
    server = HttpServer(gate, on_event=lambda *event: said.append(event))
    body = _message(OUTDATED) if path == "/v1/decide" else _hook(OUTDATED)
    (found,) = answers(server.new_session().receive(post(path, body)))

    assert (found.status, found.json["action"]) == (200, "accept")
    assert found.json.get("reason") == ("internal-error" if path == "/v1/decide" else None)
    assert server.counters.gate_errors == len(said) == 1


def test_a_message_to_too_many_domains_is_accepted_unasked() -> None:
    """Nobody could say whose it is."""
    gate = RecordingGate()
    gate.answer = LINE
    many = [f"a@{number}.example.org" for number in range(MAX_DOMAINS + 1)]
    found = _ask(gate, "/v1/decide", _message(OUTDATED, recipients=many))

    assert found.json["action"] == "accept"
    assert not gate.asked


def test_a_trace_is_cut_to_its_bounds() -> None:
    """In number, in length, and in all."""
    gate = RecordingGate()
    _ask(gate, "/v1/decide", {"headers": [["Received", "a"]] * (MAX_FIELDS + 1)})
    _ask(gate, "/v1/decide", {"headers": [["Received", "b" * (MAX_FIELD + 1)]] * 20})
    many, long = (fields for _, fields, _ in gate.asked)

    assert len(many) == MAX_FIELDS
    assert {len(it) for it in long} == {MAX_FIELD}
    assert sum(map(len, long)) == MAX_TRACE


def test_stalwart_is_told_the_very_reply() -> None:
    """Status, enhanced status and text apart, as it puts them together again."""
    gate = RecordingGate()
    gate.answer = LINE
    refused = _ask(gate, "/v1/mta-hooks", _hook(OUTDATED))
    gate.answer = None
    accepted = _ask(gate, "/v1/mta-hooks", _hook(OUTDATED))

    reply = refused.json["response"]
    assert refused.json["action"] == "reject"
    assert f"{reply['status']} {reply['enhanced_status']} {reply['message']}" == LINE
    assert accepted.json == {"action": "accept"}
    session, fields, queue_id = gate.asked[0]
    assert (session.client_ip, session.helo) == ("203.0.113.10", "mail.example.com")
    assert (session.client_name, session.listener) == ("", "25")
    assert (session.recipients, queue_id) == (("example.org",), "18f3a2b")
    assert fields == [value.encode() for name, value in _headers(messages.exchange(OUTDATED))[:1]]


def test_stalwarts_users_are_not_judged() -> None:
    """Who logged in shows as ``sasl``."""
    gate = RecordingGate()
    hook = _hook(OUTDATED)
    hook["context"]["sasl"] = {"login": "user", "method": None}
    _ask(gate, "/v1/mta-hooks", hook)

    assert gate.asked[0][0].authenticated


def test_a_hook_before_the_message_is_accepted_unasked() -> None:
    """There is no evidence yet, and no question that would count as one."""
    gate = RecordingGate()
    gate.answer = LINE
    hook = _hook(OUTDATED)
    del hook["message"]
    hook["context"]["stage"] = "rcpt"

    assert _ask(gate, "/v1/mta-hooks", hook).json == {"action": "accept"}
    assert not gate.asked


def test_a_long_message_of_stalwarts_is_judged_by_its_header() -> None:
    """It sends all of the message: what comes behind the headers is not kept."""
    gate = RecordingGate()
    gate.answer = LINE
    hook = _hook(OUTDATED)
    hook["message"]["contents"] = '"contents":' * 100_000
    body = post("", hook).partition(b"\r\n\r\n")[2].replace(b', "contents": ', b',"contents":', 1)

    assert _ask(gate, "/v1/mta-hooks", body, max_body=10_000).json["action"] == "reject"
    assert gate.asked[0][2] == "18f3a2b"


def test_a_long_header_of_stalwarts_is_refused_as_too_long() -> None:
    """Where no message's text begins inside of what is kept; Stalwart then accepts."""
    hook = _hook(OUTDATED)
    hook["message"]["headers"] = [["X", '","contents":"' * 10_000]]

    assert _ask(RecordingGate(), "/v1/mta-hooks", hook, max_body=10_000).status == 413


_NAMES = ["context", "message", "headers", "client", "client_ip", "recipients", "to", "x"]
_PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()


@given(st.recursive(_PLAIN, lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(_NAMES), inner)))
def test_values_of_any_kind_do_no_harm(value: Any) -> None:
    """Any JSON is answered with 200 or a 4xx, in both forms."""
    for path in ("/v1/decide", "/v1/mta-hooks"):
        assert _ask(RecordingGate(), path, post("", value).partition(b"\r\n\r\n")[2]).status in {
            200,
            400,
            422,
        }
