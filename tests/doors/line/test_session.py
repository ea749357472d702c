"""The line protocol: what a question tells the gate, what is bounded, and that only its error is raised."""

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wehr.doors.attributes import MAX_ATTRIBUTES, MAX_REQUEST
from wehr.doors.line import LineSession, Question
from wehr.doors.line.session import ACCEPTED
from wehr.doors.wire import MAX_DOMAINS, MAX_FIELD, MAX_FIELDS, MAX_TRACE, ProtocolError

FULL = b"""request=message
client_address=::ffff:192.0.2.1
client_name=mail.example.com
helo_name=helo.example.com
authenticated=yes
tls_name=cert.example.com
listener=25
recipient=<a@Example.ORG>, "b,c@evil.test"@example.net
recipient=d@example.org
queue_id=1abc-2
own_received=1
received=from us by mx\\nfrom a by b\\n\\tid 1\\nfrom c by a
received=from d by c
unknown=thing

"""


class Asked(list[Question]):
    """Remembers the questions, accepts all."""

    def __call__(self, question: Question) -> bytes:
        """Accept."""
        self.append(question)
        return ACCEPTED


def ask(data: bytes) -> list[Question]:
    """The questions that these bytes make."""
    asked = Asked()
    assert LineSession(asked).receive(data) == ACCEPTED * len(asked)
    return asked


def one(*lines: str) -> Question:
    """The question that these lines make."""
    (question,) = ask("\n".join(("request=message", *lines, "", "")).encode())
    return question


def test_a_question_tells_session_trace_and_queue_id() -> None:
    """Addresses are canonical, domains lower-case and each once, one's own field on top is left out."""
    (question,) = ask(FULL)

    session = question.session
    assert (session.client_ip, session.client_name) == ("192.0.2.1", "mail.example.com")
    assert (session.helo, session.tls_name, session.listener) == (
        "helo.example.com",
        "cert.example.com",
        "25",
    )
    assert session.authenticated
    assert session.recipients == ("example.org", "example.net")
    assert question.trace == (b"from a by b\n\tid 1", b"from c by a", b"from d by c")
    assert question.queue_id == "1abc-2"
    assert not question.early


def test_the_least_question_is_one() -> None:
    """Whatever is missing is unknown."""
    assert one() == Question(one().session)
    assert one().session.client_ip == ""


@pytest.mark.parametrize("text", ["1\\n2", "1\\\\n2", "\\t\\r\\101", "\\q\\", "\\400"])
def test_escapes_are_exim_s(text: str) -> None:
    r"""``\n``, ``\t``, ``\r``, ``\\`` and octal; any other backslash stays."""
    meant = {
        "1\\n2": (b"1", b"2"),
        "1\\\\n2": (b"1\\n2",),
        "\\t\\r\\101": (b"\t\rA",),
        "\\q\\": (b"\\q\\",),
        "\\400": (b"\x00",),
    }
    assert one(f"received={text}").trace == meant[text]


@pytest.mark.parametrize("name", ["unknown", "[192.0.2.1]", ""])
def test_no_name_is_no_name(name: str) -> None:
    """Mail systems write ``unknown`` or the address in brackets."""
    assert one(f"client_name={name}").session.client_name == ""


@pytest.mark.parametrize("text", ["no", "0", "", "maybe"])
def test_only_yes_means_authenticated(text: str) -> None:
    """Otherwise the client is a stranger."""
    assert not one(f"authenticated={text}").session.authenticated


@pytest.mark.parametrize(("own", "left"), [("0", 3), ("1", 2), ("3", 0), ("9", 0), ("-1", 3), ("x", 3)])
def test_one_s_own_fields_are_left_out(own: str, left: int) -> None:
    """As many as the mail system says; nonsense counts as none."""
    assert len(one(f"own_received={own}", "received=a\\nb\\nc").trace) == left


@pytest.mark.parametrize(
    "data",
    [
        b"\n\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"request=smtpd_access_policy\n\n",
        b"queue_id=1\nrequest=message\n\n",
        b"request=message\nnothing\n\n",
        b"request=message\n=x\n\n",
        b"x" * (MAX_REQUEST + 1),
        b"request=message\n" + b"a=\n" * MAX_ATTRIBUTES + b"\n",
    ],
)
def test_who_does_not_speak_the_protocol_is_cut_off(data: bytes) -> None:
    """An error, and the session is closed."""
    session = LineSession(Asked())
    with pytest.raises(ProtocolError):
        session.receive(data)
    assert session.closed


def test_what_is_kept_is_bounded_and_has_no_holes() -> None:
    """The first fields, of each the beginning, up to the room there is."""
    many = one("received=" + "\\n".join(f"from h{n}" for n in range(MAX_FIELDS + 50)))
    assert len(many.trace) == MAX_FIELDS
    wide = one(*["received=" + "x" * (MAX_FIELD + 9)] * 20, "received=y")
    assert [len(field) for field in wide.trace] == [MAX_FIELD] * (MAX_TRACE // MAX_FIELD)


def test_a_message_to_more_domains_than_can_be_kept_is_accepted_unasked() -> None:
    """Nobody could say whose it is."""
    lines = [f"recipient=a@d{n}.test" for n in range(MAX_DOMAINS + 1)]
    asked = Asked()
    answered = LineSession(asked).receive("\n".join(("request=message", *lines, "", "")).encode())
    assert (answered, asked) == (ACCEPTED, [])


def test_a_client_is_asked_about_without_a_trace() -> None:
    """At MAIL or RCPT there are no headers."""
    (question,) = ask(b"request=client\r\nclient_address=2001:DB8::1\r\nreceived=x\r\n\r\n")
    assert question.early
    assert (question.session.client_ip, question.trace) == ("2001:db8::1", ())


@given(st.lists(st.integers(0, 2 * len(FULL)), max_size=30))
def test_the_pieces_in_which_bytes_arrive_do_not_matter(places: list[int]) -> None:
    """Two questions, cut anywhere."""
    data = FULL * 2
    asked = Asked()
    session = LineSession(asked)
    cuts = [0, *sorted(places), len(data)]
    answers = b"".join(session.receive(data[a:b]) for a, b in pairwise(cuts))
    assert answers == ACCEPTED * 2
    assert asked == ask(FULL) * 2
    assert session.pending == 0


@given(
    st.lists(
        st.sampled_from(
            [b"request=message\n", b"received=", b"\\", b"n", b'"', b",", b"@", b"\n", b"\r\n", b"="]
        )
        | st.binary(max_size=20),
        max_size=40,
    )
)
def test_any_bytes_are_questions_or_the_error(parts: list[bytes]) -> None:
    """Nothing else is ever raised."""
    session = LineSession(Asked())
    try:
        session.receive(b"request=message\n" + b"".join(parts))
    except ProtocolError:
        assert session.closed


@pytest.mark.parametrize(
    "data",
    [
        b"request=message\n\n" * (MAX_REQUEST // 16),
        b"request=message\nrecipient=" + b'"\\' * 120_000 + b"\n\n",
        b"request=message\nrecipient=" + b'"' * 239_999 + b"\n\n",
        b"request=message\nreceived=" + b"\\n" * 120_000 + b"\n\n",
        b"request=message\nreceived=" + b"\\" * 239_999 + b"\n\n",
    ],
)
def test_the_work_is_linear(data: bytes) -> None:
    """What costs most of what may be sent at once is done in a moment."""
    began = time.process_time()
    LineSession(Asked()).receive(data)
    assert time.process_time() - began < 1.5


def test_a_drop_at_a_time_costs_no_more() -> None:
    """A question of full length, byte by byte."""
    session = LineSession(Asked())
    began = time.process_time()
    for _ in range(MAX_REQUEST):
        session.receive(b"x")
    assert time.process_time() - began < 3
    assert session.pending == MAX_REQUEST
