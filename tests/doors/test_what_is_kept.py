"""What a door was told of a client is kept and shown as printable ASCII, whichever door it was."""

import messages
import pytest
from gates import Rig
from http_asking import post

from wehr.doors.door import Door
from wehr.doors.http import HttpServer
from wehr.doors.line import LineServer
from wehr.doors.milter import MilterServer, codec
from wehr.doors.milter.codec import Offer, encode_connect, encode_macros, encode_offer, encode_strings, frame
from wehr.doors.policy_service import PolicyServer
from wehr.evidence import Own, Session, handover, sighting, split_headers

NAME, QUEUE_ID = "moc.\u202elive\x85.test", "4X\u202ey\tQ\u2066"
KEPT_NAME, KEPT_ID = "moc.?live?.test", "4X?y?Q?"
WHEN = b"Mon, 12 Oct 2026 09:00:00 +0000"
TRACE = split_headers(messages.exchange("15.1.2507.16").encode())

_LINES = "client_address=203.0.113.10\nclient_name={name}\n{id}={queue_id}\n"
_FIELDS = "".join("received=" + field.decode().replace("\n", "\\n") + "\n" for field in TRACE)
_HEADERS = [["Received", field.decode()] for field in TRACE]
LINE = (
    "request=message\n" + _LINES.format(name=NAME, id="queue_id", queue_id=QUEUE_ID) + _FIELDS + "\n"
).encode()
POLICY = (
    "request=smtpd_access_policy\nprotocol_state=RCPT\n"
    + _LINES.format(name=NAME, id="instance", queue_id=QUEUE_ID)
    + "helo_name=mail.example.com\n\n"
).encode()
MILTER = (
    encode_offer(Offer(6, 0x1FF, 0x1FFFFF))
    + encode_macros(codec.CONNECT, {"_": f"{NAME} [203.0.113.10]"})
    + encode_connect(NAME, "203.0.113.10", 25)
    + encode_strings(codec.MAIL, "<a@example.com>")
    + encode_strings(codec.RCPT, "<b@example.org>")
    + b"".join(encode_strings(codec.HEADER, "Received", field.decode()) for field in TRACE)
    + encode_macros(codec.END_OF_HEADERS, {"i": QUEUE_ID})
    + frame(codec.END_OF_HEADERS)
)
DECIDE = post(
    "/v1/decide",
    {"client_ip": "203.0.113.10", "client_name": NAME, "queue_id": QUEUE_ID, "headers": _HEADERS},
)
HOOKS = post(
    "/v1/mta-hooks",
    {
        "context": {"client": {"ip": "203.0.113.10", "helo": NAME}, "queue": {"id": QUEUE_ID}},
        "message": {"headers": _HEADERS},
    },
)


@pytest.mark.parametrize(
    ("kind", "said", "name"),
    [
        pytest.param(LineServer, LINE, KEPT_NAME, id="line"),
        pytest.param(MilterServer, MILTER, KEPT_NAME, id="milter"),
        pytest.param(HttpServer, DECIDE, KEPT_NAME, id="decide"),
        pytest.param(HttpServer, HOOKS, "", id="hooks"),
    ],
)
def test_a_name_and_queue_id_from_a_door_turn_no_text_round(kind: type[Door], said: bytes, name: str) -> None:
    """Nothing that turns the direction of writing, breaks a line or cannot be seen gets to the history."""
    rig = Rig()
    kind(rig.gate.at("door")).new_session().receive(said)

    (entry,) = rig.entries
    assert (entry.sighting.client_name, entry.queue_id) == (name, KEPT_ID)


def test_nor_does_one_that_is_refused_before_its_headers() -> None:
    """The transaction's name stands for the queue id."""
    rig = Rig()
    for day in (0, 25, 50, 75, 95):
        rig.on(day, "15.1.2507.16")
    rig.clock.now += 60
    written = len(rig.entries)
    PolicyServer(rig.gate.at("door")).new_session().receive(POLICY)

    (entry,) = rig.entries[written:]
    assert (entry.sighting.client_name, entry.queue_id) == (KEPT_NAME, KEPT_ID)


def test_nor_does_a_name_that_a_trusted_relay_tells() -> None:
    """It comes out of the message."""
    relay = b"from x (l\xad\x85ive.test [203.0.113.10]) by relay.example.org with ESMTP id 1; " + WHEN
    session = Session("192.0.2.1", "relay.example.org")
    seen = sighting(handover([relay, *TRACE], session, Own(relays=("192.0.2.0/24",))), session, 0)

    assert seen is not None
    assert seen.client_name == "l??ive.test"


def test_nor_does_a_version() -> None:
    """Sendmail's may end in whatever a vendor puts there."""
    stamp = (
        b"from x (y [203.0.113.10]) by mail.example.com (8.17.1\xad\x85-x/8.17.1) with ESMTP id 1; " + WHEN
    )
    session = Session("203.0.113.10", "mail.example.com")
    seen = sighting(handover([stamp], session), session, 0)

    assert seen is not None
    assert (seen.software, seen.version) == ("sendmail", "8.17.1??-x")
