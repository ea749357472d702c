"""From a store to a real SMTP server, and back: what is sent, retried, refused, and never sent twice."""

import asyncio
import shutil
import ssl
import subprocess
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from aiosmtpd.smtp import AuthResult, LoginPassword
from msgspec.structs import replace
from notice_stories import DAY, NEW, OLD, SETTINGS, START, Mailbox, carry, look, mailbox, seen

from wehr.evidence.types import Confidence
from wehr.ledger import Store
from wehr.ledger.outbox import Kind, Outbox, State
from wehr.notices.bounce import read_bounce, take_bounce
from wehr.notices.courier import Courier, Errand, wait
from wehr.notices.office import plan_notices
from wehr.notices.settings import Contact, Notices, Submission

HOUR = 3600.0


@pytest.fixture(name="box")
def _box() -> Iterator[Mailbox]:
    with mailbox() as box:
        yield box


def send(store: Store, box: Mailbox, day: float, settings: Notices = SETTINGS) -> list[Errand]:
    """Plan and deliver what is due, so many days after the start."""
    plan_notices(look(store, day, settings), Outbox(store))
    return deliver(store, box, day, settings)


def deliver(store: Store, box: Mailbox, day: float, settings: Notices = SETTINGS) -> list[Errand]:
    """Deliver what is due."""
    here = replace(settings, submission=replace(settings.submission, port=box.port))
    courier = Courier(Outbox(store), here, Path("/nowhere"), node="n", clock=lambda: START + day * DAY)
    errands = []

    async def all_of_it() -> None:
        while errand := await courier.deliver_next():
            errands.append(errand)

    asyncio.run(all_of_it())
    return errands


def test_a_detection_reaches_postmaster_of_the_verified_domain(sqlite: Store, box: Mailbox) -> None:
    """With the envelope sender for bounces, and no second one on any later day before the next stage."""
    carry(sqlite, [seen("mx1.example.org"), seen("mx2.example.org", 0.5, ip="192.0.2.26")])

    (errand,) = send(sqlite, box, 1)
    assert send(sqlite, box, 2) == send(sqlite, box, 20) == []

    assert errand.state is State.SENT
    (envelope,) = box.envelopes
    assert (envelope.mail_from, envelope.rcpt_tos) == (
        "wehr-bounces@receiver.test",
        ["postmaster@example.org"],
    )
    (message,) = box.messages
    assert message["Subject"] == "2 mail servers of example.org are out of date"
    body = message.get_body(("plain",))
    assert body is not None
    assert "mx1.example.org" in body.get_content()
    assert "mx2.example.org" in body.get_content()


def test_the_whole_way_of_a_server_until_it_is_updated(sqlite: Store, box: Mailbox) -> None:
    """Each stage once, in one thread, and the cure at the end."""
    last = 65
    for day in range(last):
        carry(sqlite, [seen(day=day)])
        send(sqlite, box, day + 0.1)
    carry(sqlite, [seen(day=last, build=NEW, compliant=True)])
    for day in (last + 0.1, last + 1, last + 20):
        send(sqlite, box, day)

    subjects = [message["Subject"] for message in box.messages]
    assert subjects == [
        "mail.example.org is out of date",
        "Mail from mail.example.org will be delayed from 10 December 2025",
        "Mail from mail.example.org is now being delayed",
        "Mail from mail.example.org is now partly rejected",
        "mail.example.org is up to date again",
    ]
    roots = {str(message["References"]).split()[0] for message in box.messages}
    assert len(roots) == 1
    for before, after in zip(box.messages, box.messages[1:], strict=False):
        assert after["In-Reply-To"] == before["Message-ID"]
    kinds = [event.kind for event in sqlite.events() if event.kind.startswith("notice-")]
    assert kinds.count("notice-planned") == kinds.count("notice-sent") == 5


@pytest.mark.parametrize(
    "changes",
    [
        {"confidence": Confidence.PLAUSIBLE},
        {"build": NEW, "compliant": True},
    ],
)
def test_nobody_is_written_to_of(sqlite: Store, box: Mailbox, changes: dict[str, object]) -> None:
    """A server that is only plausible, or that is up to date."""
    carry(sqlite, [seen(**changes)])  # type: ignore[arg-type]

    assert [send(sqlite, box, day) for day in (1, 25, 29)] == [[], [], []]
    assert Outbox(sqlite).items() == []


def test_a_server_whose_name_nothing_verifies_leads_to_no_message(sqlite: Store, box: Mailbox) -> None:
    """Its HELO agreed with its stamp, but both are the sender's own words: a person is told instead."""
    carry(sqlite, [seen("mail.victim.com", client_name="")])

    assert send(sqlite, box, 2) == []
    (item,) = Outbox(sqlite).items()
    assert (item.state, item.organisation) == (State.UNADDRESSED, "192.0.2.0/24")


def test_what_found_nobody_goes_out_when_somebody_is_known(sqlite: Store, box: Mailbox) -> None:
    """The operator adds an address; it is still one row, and one message."""
    carry(sqlite, [seen("EX01", client_name="")])
    contact = Contact(to=("a@kunde.test",), networks=("192.0.2.0/24",))

    assert send(sqlite, box, 2) == send(sqlite, box, 3) == []
    known = replace(SETTINGS, contacts=(contact,))
    assert [errand.state for errand in send(sqlite, box, 4, known)] == [State.SENT]
    assert send(sqlite, box, 5, known) == []
    assert [item.state for item in Outbox(sqlite).items()] == [State.SENT]


def test_who_has_no_address_takes_nobody_elses_place(sqlite: Store, box: Mailbox) -> None:
    """The bound of an hour is for what can be sent."""
    nobody = [seen(f"ex{it}", ip=f"10.9.{it}.1", client_name="") for it in range(9)]
    carry(sqlite, [*nobody, seen()])

    settings = replace(SETTINGS, per_hour=2)
    assert [errand.item.organisation for errand in send(sqlite, box, 2, settings)] == ["example.org"]


def test_notices_are_off_by_default_and_go_by_tenant(sqlite: Store, box: Mailbox) -> None:
    """Nobody is written to for a tenant that is not named."""
    carry(sqlite, [seen()])

    assert Notices().tenants == ()
    assert send(sqlite, box, 2, replace(SETTINGS, tenants=("other",))) == []


def test_the_operators_address_goes_before_postmaster(sqlite: Store, box: Mailbox) -> None:
    """By network, with its languages."""
    contact = Contact(to=("a@kunde.test", "b@kunde.test"), networks=("192.0.2.0/24",), languages=("de",))
    carry(sqlite, [seen("EX01", client_name="")])

    send(sqlite, box, 2, replace(SETTINGS, contacts=(contact,)))

    assert box.envelopes[0].rcpt_tos == ["a@kunde.test", "b@kunde.test"]
    assert box.messages[0]["Subject"] == "EX01 ist veraltet"


def test_a_failure_is_tried_again_later_and_later(sqlite: Store, box: Mailbox) -> None:
    """451 to the final dot: not before a minute, then sent once."""
    carry(sqlite, [seen()])
    box.answers = ["451 4.3.0 later", "452 4.3.1 later"]

    assert [errand.state for errand in send(sqlite, box, 2)] == [State.WAITING]
    assert deliver(sqlite, box, 2 + 59 / DAY) == []
    assert [errand.said for errand in deliver(sqlite, box, 2 + 61 / DAY)] == ["452 4.3.1 later"]
    assert deliver(sqlite, box, 2 + 150 / DAY) == []
    assert [errand.state for errand in deliver(sqlite, box, 2 + 190 / DAY)] == [State.SENT]
    assert len(box.messages) == 1


def test_a_submission_host_that_is_away_loses_nothing(sqlite: Store, box: Mailbox) -> None:
    """Nobody listens; a day later somebody does."""
    carry(sqlite, [seen()])
    nobody = replace(SETTINGS, submission=replace(SETTINGS.submission, port=1))
    plan_notices(look(sqlite, 2), Outbox(sqlite))
    courier = Courier(Outbox(sqlite), nobody, Path("/nowhere"), node="n", clock=lambda: START + 2 * DAY)

    errand = asyncio.run(courier.deliver_next())

    assert errand is not None
    assert errand.state is State.WAITING
    assert [one.state for one in deliver(sqlite, box, 3)] == [State.SENT]


def test_an_answer_that_never_comes_is_doubtful_and_not_sent_again(sqlite: Store, box: Mailbox) -> None:
    """The other side took it and the connection broke: nobody knows, so a person decides."""
    carry(sqlite, [seen()])
    box.answers = ["drop"]

    assert [errand.state for errand in send(sqlite, box, 2)] == [State.DOUBTFUL]
    assert deliver(sqlite, box, 3) == deliver(sqlite, box, 9) == []
    assert len(box.messages) == 1
    assert "notice-doubtful" in {event.kind for event in sqlite.events()}


def test_an_address_that_does_not_exist_is_not_written_to_again(sqlite: Store, box: Mailbox) -> None:
    """550 5.1.1 to the recipient; the next stage has nobody to go to."""
    carry(sqlite, [seen()])
    box.rcpt["postmaster@example.org"] = "550 5.1.1 no such user"

    assert [errand.state for errand in send(sqlite, box, 2)] == [State.REFUSED]
    assert list(Outbox(sqlite).stopped_contacts()) == ["postmaster@example.org"]
    carry(sqlite, [seen(day=24)])
    assert send(sqlite, box, 25) == []
    assert Outbox(sqlite).items()[0].state is State.UNADDRESSED


def test_a_submission_host_that_refuses_to_relay_is_a_fault_of_ones_own(sqlite: Store, box: Mailbox) -> None:
    """The notice waits until that is mended, and nobody's address is struck off."""
    carry(sqlite, [seen()])
    box.rcpt["postmaster@example.org"] = "554 5.7.1 relay access denied"

    assert [errand.state for errand in send(sqlite, box, 2)] == [State.WAITING]
    assert Outbox(sqlite).stopped_contacts() == {}
    del box.rcpt["postmaster@example.org"]
    assert [errand.state for errand in deliver(sqlite, box, 3)] == [State.SENT]


def test_the_bound_of_an_hour(sqlite: Store, box: Mailbox) -> None:
    """Twenty organisations, five an hour: the rest goes in the hours that follow."""
    settings = replace(SETTINGS, per_hour=5)
    carry(sqlite, [seen(f"mail.org{it}.com", ip=f"10.2.{it}.1") for it in range(12)])

    sent = [len(send(sqlite, box, 2 + hour / 24, settings)) for hour in (0, 0.5, 1.01, 2.02, 3.03)]

    assert sent == [5, 0, 5, 2, 0]
    assert len({envelope.rcpt_tos[0] for envelope in box.envelopes}) == 12


def test_nothing_is_planned_or_sent_while_notices_are_stopped(sqlite: Store, box: Mailbox) -> None:
    """And what is due then goes out afterwards, as it is then."""
    carry(sqlite, [seen()])
    outbox = Outbox(sqlite)
    outbox.stop(START, "eve", "holidays")

    assert send(sqlite, box, 2) == []
    assert outbox.items() == []
    outbox.start(START + 3 * DAY, "eve")
    carry(sqlite, [seen(day=29)])
    assert [errand.item.reason for errand in send(sqlite, box, 31)] == ["throttled"]


def dsn(
    box: Mailbox, recipient: str = "postmaster@example.org", action: str = "failed", status: str = "5.1.1"
) -> bytes:
    """What a mail system sends back for the last message."""
    message_id = box.messages[-1]["Message-ID"]
    return (
        "From: MAILER-DAEMON@example.org\r\nTo: wehr-bounces@receiver.test\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="x"\r\n\r\n'
        "--x\r\nContent-Type: text/plain\r\n\r\nSorry.\r\n"
        "--x\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example.org\r\n\r\n"
        f"Final-Recipient: rfc822; {recipient}\r\nAction: {action}\r\nStatus: {status}\r\n"
        "Diagnostic-Code: smtp; 550 5.1.1 unknown\r\n\r\n"
        f"--x\r\nContent-Type: text/rfc822-headers\r\n\r\nMessage-ID: {message_id}\r\n\r\n--x--\r\n"
    ).encode()


@pytest.mark.parametrize(
    ("changes", "stopped"),
    [
        ({}, ["postmaster@example.org"]),
        ({"recipient": "admin@elsewhere.test"}, ["postmaster@example.org"]),
        ({"action": "delayed", "status": "4.4.1"}, []),
        ({"action": "failed", "status": "4.4.7"}, []),
        ({"action": "relayed", "status": "2.1.9"}, []),
    ],
)
def test_a_bounce_stops_further_writing(
    sqlite: Store, box: Mailbox, changes: dict[str, str], stopped: list[str]
) -> None:
    """For good only, and also where the mail was forwarded; in the audit as well."""
    carry(sqlite, [seen()])
    send(sqlite, box, 2)

    assert list(take_bounce(Outbox(sqlite), dsn(box, **changes), START + 3 * DAY)) == stopped
    assert list(Outbox(sqlite).stopped_contacts()) == stopped


def test_a_bounce_that_names_no_message_of_ours_does_nothing(sqlite: Store, box: Mailbox) -> None:
    """Nobody who has not got the notice can have us write no more."""
    carry(sqlite, [seen()])
    send(sqlite, box, 2)
    forged = dsn(box).replace(b"wehr.", b"wehr.x")

    assert take_bounce(Outbox(sqlite), forged, START + 3 * DAY) == ()
    assert Outbox(sqlite).stopped_contacts() == {}


def test_a_bounce_that_is_cut_stops_nothing_else(box: Mailbox, sqlite: Store) -> None:
    """Whatever comes in by the alias: nothing throws, and no other address is found in a part of it."""
    carry(sqlite, [seen()])
    send(sqlite, box, 2)
    whole = dsn(box)
    assert read_bounce(whole).failures

    for cut in range(len(whole)):
        for part in (whole[:cut], whole[cut:]):
            assert take_bounce(Outbox(sqlite), part, START) in ((), ("postmaster@example.org",))


def test_the_waits_grow_to_four_hours() -> None:
    """A minute, two, four, ... and never more."""
    assert [wait(number) / 60 for number in (1, 2, 3, 20, 10_000)] == [1, 2, 4, 240, 240]


def _certificate(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's TLS with a certificate of its own, and a client's that trusts it."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    )
    names = [
        "-addext",
        "subjectAltName=DNS:localhost",
        "-keyout",
        str(folder / "key"),
        "-out",
        str(folder / "crt"),
    ]
    subprocess.run([*command.split(), *names], check=True, capture_output=True)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(folder / "crt", folder / "key")
    return server, ssl.create_default_context(cafile=str(folder / "crt"))


def _login(_server: object, _session: object, _envelope: object, _mechanism: str, data: object) -> AuthResult:
    assert isinstance(data, LoginPassword)
    return AuthResult(success=(data.login, data.password) == (b"wehr", b"secret"), handled=False)


@pytest.mark.parametrize(("password", "state"), [("secret\n", State.SENT), ("wrong", State.WAITING)])
def test_submission_with_starttls_and_a_login(
    sqlite: Store, tmp_path: Path, password: str, state: State
) -> None:
    """The password is read from a file; a wrong one loses nothing."""
    server, client = _certificate(tmp_path)
    (tmp_path / "password").write_text(password)
    carry(sqlite, [seen()])
    plan_notices(look(sqlite, 2), Outbox(sqlite))
    with mailbox(tls_context=server, require_starttls=True, authenticator=_login, auth_required=True) as box:
        submission = Submission("localhost", box.port, "starttls", "wehr", "password", 10)
        courier = Courier(
            Outbox(sqlite),
            replace(SETTINGS, submission=submission),
            tmp_path,
            node="n",
            clock=lambda: START + 2 * DAY,
            context=client,
        )
        errand = asyncio.run(courier.deliver_next())

    assert errand is not None
    assert errand.state is state, errand.said
    assert "secret" not in errand.said


def test_submission_with_tls_from_the_first_byte_on(sqlite: Store, tmp_path: Path) -> None:
    """As on port 465 (RFC 8314), with a login."""
    server, client = _certificate(tmp_path)
    (tmp_path / "password").write_text("secret\n")
    carry(sqlite, [seen()])
    plan_notices(look(sqlite, 2), Outbox(sqlite))
    # aiosmtpd does not count TLS that was there before it as such.
    login: dict[str, Any] = {"authenticator": _login, "auth_required": True, "auth_require_tls": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        with mailbox(ssl_context=server, **login) as box:
            submission = Submission("localhost", box.port, "tls", "wehr", "password", 10)
            settings = replace(SETTINGS, submission=submission)
            courier = Courier(
                Outbox(sqlite), settings, tmp_path, node="n", clock=lambda: START + 2 * DAY, context=client
            )
            errand = asyncio.run(courier.deliver_next())

    assert errand is not None
    assert errand.state is State.SENT, errand.said
    assert len(box.envelopes) == 1


@pytest.mark.parametrize(
    ("tls", "option"), [("starttls", "tls_context"), ("starttls", ""), ("tls", "ssl_context"), ("tls", "")]
)
def test_who_is_not_trusted_gets_no_password_and_no_message(
    sqlite: Store, tmp_path: Path, tls: Literal["starttls", "tls"], option: str
) -> None:
    """TLS is demanded, and it is checked who answers."""
    server, _ = _certificate(tmp_path)
    (tmp_path / "password").write_text("secret")
    carry(sqlite, [seen()])
    plan_notices(look(sqlite, 2), Outbox(sqlite))
    login: dict[str, Any] = {"authenticator": _login, "auth_require_tls": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        with mailbox(**login, **({option: server} if option else {})) as box:
            submission = Submission("localhost", box.port, tls, "wehr", "password", 5)
            settings = replace(SETTINGS, submission=submission)
            courier = Courier(Outbox(sqlite), settings, tmp_path, node="n", clock=lambda: START + 2 * DAY)
            errand = asyncio.run(courier.deliver_next())

    assert errand is not None
    assert errand.state is State.WAITING
    assert box.envelopes == []
    assert box.logins == []


def test_an_old_build_beside_a_newer_one_is_not_written_about(sqlite: Store, box: Mailbox) -> None:
    """A mixed server is left alone, so its administrators are as well."""
    carry(
        sqlite,
        [seen(day=day, build=build, compliant=build == NEW) for day in range(5) for build in (NEW, OLD)],
    )

    assert send(sqlite, box, 5) == []
    assert Outbox(sqlite).items(kind=Kind.NOTICE) == []
