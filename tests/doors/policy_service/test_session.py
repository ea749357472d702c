"""Postfix's policy delegation: what a request tells the gate, and where nothing is asked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wehr.doors.policy_service import PolicySession
from wehr.doors.policy_service.session import DUNNO
from wehr.doors.wire import ProtocolError
from wehr.evidence.types import Session

# SMTPD_POLICY_README, with example names.
REQUEST = b"""request=smtpd_access_policy
protocol_state=RCPT
protocol_name=ESMTP
helo_name=mail.example.com
queue_id=
sender=foo@bar.test
recipient=Bar@Example.ORG
recipient_count=0
client_address=2001:DB8::1
client_name=mail.example.com
reverse_client_name=else.example.com
instance=123.456.7
sasl_method=
sasl_username=
sasl_sender=
size=12345
ccert_subject=cert.example.com
ccert_issuer=
encryption_protocol=TLSv1/SSLv3
policy_context=submission
server_port=25

"""


def ask(data: bytes) -> list[tuple[Session, str]]:
    """What the gate is asked."""
    asked = []

    def decide(session: Session, transaction: str) -> bytes:
        asked.append((session, transaction))
        return b"action=550 5.7.230 no\n\n"

    answers = PolicySession(decide).receive(data)
    assert answers.count(b"action=") == data.count(b"request=")
    return asked


def test_a_request_tells_of_the_client() -> None:
    """Only what Postfix has verified, of the recipient the domain, and the transaction's name."""
    assert ask(REQUEST) == [
        (
            Session(
                client_ip="2001:db8::1",
                client_name="mail.example.com",
                helo="mail.example.com",
                tls_name="cert.example.com",
                recipients=("example.org",),
            ),
            "123.456.7",
        )
    ]


def test_who_logged_in_is_authenticated() -> None:
    """Its mail is submission."""
    ((session, _),) = ask(REQUEST.replace(b"sasl_username=", b"sasl_username=bar"))
    assert session.authenticated


def test_at_mail_there_is_no_recipient() -> None:
    """And none is made up; an unknown name is none."""
    ((session, _),) = ask(
        REQUEST.replace(b"=RCPT", b"=MAIL")
        .replace(b"Bar@Example.ORG", b"")
        .replace(b"=mail.ex", b"=unknown\nx=")
    )
    assert session.recipients == ()
    assert session.client_name == ""


@pytest.mark.parametrize("state", [b"CONNECT", b"EHLO", b"DATA", b"END-OF-MESSAGE", b"VRFY", b""])
def test_elsewhere_nothing_is_asked(state: bytes) -> None:
    """What comes later has headers, what comes sooner has no transaction."""
    request = REQUEST.replace(b"=RCPT", b"=" + state)
    assert ask(request) == []
    assert PolicySession(lambda *_: b"").receive(request) == DUNNO


def test_requests_follow_each_other_on_one_connection() -> None:
    """Postfix keeps it open."""
    assert len(ask(REQUEST * 3)) == 3


@pytest.mark.parametrize("data", [b"\n\n", b"request=message\n\n", b"EHLO x\r\n\r\n", b"x" * 300_000])
def test_who_does_not_speak_the_protocol_is_cut_off(data: bytes) -> None:
    """An error, and the session is closed."""
    session = PolicySession(lambda *_: DUNNO)
    with pytest.raises(ProtocolError):
        session.receive(data)
    assert session.closed


@given(st.lists(st.sampled_from([*REQUEST.splitlines(keepends=True), b"\n", b"="]) | st.binary(max_size=9)))
def test_any_bytes_are_requests_or_the_error(parts: list[bytes]) -> None:
    """Nothing else is ever raised."""
    session = PolicySession(lambda *_: DUNNO)
    try:
        session.receive(b"".join(parts))
    except ProtocolError:
        assert session.closed
