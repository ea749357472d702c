"""OpenSMTPD's filter protocol: what it tells, that each line is answered, and that nothing is raised."""

from hypothesis import given
from hypothesis import strategies as st

from wehr.doors.line import LineSession, Question
from wehr.doors.line.session import ACCEPTED
from wehr.doors.opensmtpd import Asking, FilterSession
from wehr.doors.opensmtpd.session import REGISTER

# What OpenSMTPD 6.8 says, line by line.
REPORTS = b"""config|smtpd-version|6.8.0p2
config|ready
report|0.6|1795306221.7|smtp-in|link-connect|af9f|mail.example.com|pass|192.0.2.1:47035|127.0.0.1:25
report|0.6|1795306221.7|smtp-in|link-identify|af9f|EHLO|helo.example.com
report|0.6|1795306221.7|smtp-in|tx-begin|af9f|cfd8c0d8
report|0.6|1795306221.7|smtp-in|tx-rcpt|af9f|cfd8c0d8|ok|b@Example.org
report|0.6|1795306221.7|smtp-in|tx-rcpt|af9f|cfd8c0d8|permfail|b@no.test
"""
MESSAGE = b"""Received: from helo.example.com (mail.example.com [192.0.2.1])
\tby mx.example.org (OpenSMTPD) with ESMTP id cfd8c0d8
Received: from a\\n|b
\tby c
Subject: x
\ty
received: from d by e

Received: from the body
..
.
"""


def told(session: FilterSession, reports: bytes = REPORTS, message: bytes = MESSAGE) -> Question:
    """Tell the filter of a client and a message; the question that comes of it."""
    for line in reports.splitlines():
        session.receive(line)
    for line in message.splitlines():
        said = b"af9f|3150|" + line
        assert (
            session.receive(b"filter|0.6|1.2|smtp-in|data-line|" + said) == b"filter-dataline|" + said + b"\n"
        )
    asking = session.receive(b"filter|0.6|1.2|smtp-in|commit|af9f|3151|")
    assert isinstance(asking, Asking)
    assert asking.answer(None) == b"filter-result|af9f|3151|proceed\n"
    assert asking.answer("450 4.7.230 later") == b"filter-result|af9f|3151|reject|450 4.7.230 later\n"
    asked: list[Question] = []

    def decide(question: Question) -> bytes:
        asked.append(question)
        return ACCEPTED

    LineSession(decide).receive(asking.question)
    return asked[0]


def test_a_message_becomes_a_question_of_the_line_protocol() -> None:
    """The client, accepted recipients' domains, the trace without smtpd's own field; lines handed back."""
    question = told(FilterSession())

    session = question.session
    assert (session.client_ip, session.client_name) == ("192.0.2.1", "mail.example.com")
    assert (session.helo, session.authenticated) == ("helo.example.com", False)
    assert (session.recipients, session.listener) == (("example.org",), "25")
    assert question.trace == (b"from a\\n|b\n\tby c", b"from d by e")
    assert question.queue_id == "cfd8c0d8"


def test_messages_of_one_session_do_not_leak_into_each_other() -> None:
    """Recipients and trace begin afresh; the client stays."""
    session = FilterSession()
    told(session)
    again = told(session, REPORTS.replace(b"Example.org", b"example.net"), b"Received: own\n\nx\n.\n")
    assert (again.session.recipients, again.trace) == (("example.net",), ())


def test_a_name_counts_only_if_it_leads_back_to_the_address() -> None:
    """OpenSMTPD says so itself."""
    for verdict in (b"fail", b"error"):
        question = told(FilterSession(), REPORTS.replace(b"|pass|", b"|%s|" % verdict))
        assert question.session.client_name == ""


def test_an_ipv6_client_is_known() -> None:
    """Its address stands in brackets."""
    question = told(FilterSession(), REPORTS.replace(b"192.0.2.1:47035", b"[2001:db8::1]:47035"))
    assert question.session.client_ip == "2001:db8::1"


def test_a_client_over_a_unix_socket_came_by_no_port() -> None:
    """OpenSMTPD writes ``unix:`` and a path; then no listener is told."""
    question = told(FilterSession(), REPORTS.replace(b"127.0.0.1:25", b"unix:/run/smtpd.sock"))
    assert question.session.listener == ""


def test_who_logged_in_is_authenticated() -> None:
    """Whichever way round name and result come."""
    for said in (b"user|pass", b"pass|user"):
        reports = REPORTS + b"report|0.6|1.2|smtp-in|link-auth|af9f|" + said + b"\n"
        assert told(FilterSession(), reports).session.authenticated


def test_a_session_that_is_over_is_forgotten() -> None:
    """And a commit of an unknown one goes on."""
    session = FilterSession()
    told(session)
    session.receive(b"report|0.6|1.2|smtp-in|link-disconnect|af9f")
    assert not session._links
    assert session.receive(b"filter|0.6|1.2|smtp-in|commit|af9f|9|") == b"filter-result|af9f|9|proceed\n"


def test_it_registers_when_smtpd_is_ready() -> None:
    """Once, with what it needs."""
    assert FilterSession().receive(b"config|ready") == REGISTER
    assert REGISTER.endswith(b"register|ready\n")


@given(
    st.lists(
        st.sampled_from([*REPORTS.splitlines(), b"filter|0.6|1|smtp-in|commit|af9f|1|"])
        | st.lists(
            st.sampled_from([b"report", b"filter", b"0.6", b"smtp-in", b"tx-rcpt", b"commit", b"af9f", b""])
            | st.binary(max_size=9),
            max_size=12,
        ).map(b"|".join),
        max_size=20,
    )
)
def test_nothing_is_ever_raised(lines: list[bytes]) -> None:
    """A filter that dies takes smtpd with it."""
    session = FilterSession()
    for line in lines:
        reply = session.receive(line)
        assert isinstance(reply, bytes | Asking)
