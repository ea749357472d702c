"""The session machine: what it gathers, when it answers, and that nothing brings it out of order."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wehr.doors.milter import codec
from wehr.doors.milter.codec import Offer, encode_connect, encode_macros, encode_strings, frame
from wehr.doors.milter.session import ACCEPTED, MAX_MESSAGE, MilterSession, Phase
from wehr.doors.wire import MAX_DOMAINS, MAX_FIELD, MAX_FIELDS, MAX_TRACE, ProtocolError
from wehr.evidence.types import Session

POSTFIX = Offer(6, 0x1FF, 0x1FFFFF)
PLAIN = Offer(6, 0, 0)
REFUSED = codec.encode_reply("450 4.7.230 throttled")
CONTINUE = frame(codec.CONTINUE)

CONNECT = encode_macros(
    codec.CONNECT,
    {"{daemon_name}": "smtpd", "v": "Postfix 3.7.11", "_": "mail.example.com [192.0.2.1]"},
) + encode_connect("mail.example.com", "192.0.2.1", 25)
HELO = encode_strings(codec.HELO, "helo.example.com")
MAIL = encode_strings(codec.MAIL, "<a@example.com>", "SIZE=1")
RCPT = encode_strings(codec.RCPT, "<b@Example.ORG>")
RECEIVED = encode_strings(codec.HEADER, "Received", "from a by b")
SUBJECT = encode_strings(codec.HEADER, "Subject", "Hello")
END_OF_HEADERS = encode_macros(codec.END_OF_HEADERS, {"i": "4XyZ"}) + frame(codec.END_OF_HEADERS)
END_OF_MESSAGE = frame(codec.END_OF_MESSAGE)
BODY = frame(codec.BODY, b"text")
ABORT = frame(codec.ABORT)
MESSAGE = MAIL + RCPT + RECEIVED + SUBJECT + END_OF_HEADERS


class Asked:
    """Remembers what was asked, and answers."""

    def __init__(self, *answers: bytes) -> None:
        self.calls: list[tuple[Session, Sequence[bytes], str]] = []
        self.answers = list(answers)

    def __call__(self, session: Session, trace: Sequence[bytes], queue_id: str) -> bytes:
        """Remember, and answer."""
        self.calls.append((session, trace, queue_id))
        return self.answers.pop(0) if self.answers else ACCEPTED


def begun(asked: Asked, offer: Offer = POSTFIX) -> MilterSession:
    """A session that has negotiated."""
    session = MilterSession(asked)
    session.receive(codec.encode_offer(offer))
    return session


def agreed(offer: Offer) -> Offer:
    """What is taken of an offer."""
    answer = MilterSession(Asked()).receive(codec.encode_offer(offer))
    return codec.decode_offer(answer[5:])


# Negotiation


def test_of_postfix_s_offer_everything_is_taken_that_saves_a_round_trip() -> None:
    """No body, DATA and unknown commands, no answers but at the end of the headers, no leading blanks."""
    taken = agreed(POSTFIX)

    assert taken.version == 6
    assert taken.steps == 0xFF390 & ~codec.QUIET_END_OF_HEADERS
    assert taken.actions == codec.CAN_SET_MACROS
    assert dict(taken.macros)[codec.MAIL] == "i {auth_type} {auth_authen}"


@given(st.integers(2, 20), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_nothing_is_taken_that_was_not_offered(version: int, actions: int, steps: int) -> None:
    """Flags and version are at most the offered ones, and the end of the headers is always wanted."""
    taken = agreed(Offer(version, actions, steps))

    assert taken.version == min(version, 6)
    assert taken.steps & ~steps == 0
    assert taken.actions & ~actions == 0
    assert not taken.steps & (0x40 | 0x20 | codec.QUIET_END_OF_HEADERS)
    assert bool(taken.macros) == bool(actions & codec.CAN_SET_MACROS)


@pytest.mark.parametrize("version", [0, 1])
def test_versions_before_2_are_refused(version: int) -> None:
    """Nobody speaks them."""
    with pytest.raises(ProtocolError):
        agreed(Offer(version, 0, 0))


# Answers


def test_with_postfix_a_message_costs_one_answer() -> None:
    """All that it sends before the end of the headers is left unanswered."""
    session = begun(Asked())

    assert session.receive(CONNECT + HELO + MAIL + RCPT + RECEIVED + SUBJECT) == b""
    assert session.receive(END_OF_HEADERS) == ACCEPTED


@pytest.mark.parametrize("offer", [PLAIN, Offer(2, 0x3F, 0)])
def test_without_quiet_flags_every_event_is_answered(offer: Offer) -> None:
    """CONTINUE for each command, and for each only, until the end of the headers."""
    session = begun(Asked(), offer)

    for sent in (CONNECT, HELO, MAIL, RCPT, frame(codec.DATA), RECEIVED, SUBJECT):
        assert session.receive(sent) == CONTINUE
    assert session.receive(END_OF_HEADERS) == ACCEPTED


def test_unknown_commands_are_answered_where_they_may_come() -> None:
    """They are told by mail systems that cannot leave them out."""
    session = begun(Asked(), PLAIN)
    session.receive(CONNECT)

    assert session.receive(frame(codec.UNKNOWN, b"VRFY\0")) == CONTINUE


def test_who_goes_on_after_the_verdict_is_told_the_same_again() -> None:
    """Stalwart takes ACCEPT for CONTINUE; a refusal stays one as well."""
    for verdict in (ACCEPTED, REFUSED):
        asked = Asked(verdict)
        session = begun(asked, PLAIN)
        session.receive(CONNECT + HELO + MESSAGE)
        assert session.receive(BODY) == CONTINUE
        assert session.receive(END_OF_MESSAGE) == verdict
        assert len(asked.calls) == 1


def test_without_an_end_of_headers_the_verdict_comes_at_the_end_of_the_message() -> None:
    """Late, but it comes."""
    asked = Asked(REFUSED)
    session = begun(asked, PLAIN)

    assert session.receive(CONNECT + MAIL + RCPT + RECEIVED + BODY) == CONTINUE * 5
    assert session.receive(END_OF_MESSAGE) == REFUSED
    assert asked.calls[0][1] == [b"from a by b"]


def test_a_message_without_headers_is_asked_about_too() -> None:
    """An empty message has no header but an end of them."""
    asked = Asked(REFUSED)

    assert begun(asked).receive(CONNECT + MAIL + RCPT + END_OF_HEADERS) == REFUSED
    assert asked.calls[0][1] == []


# What is gathered


def test_the_gate_learns_of_session_trace_and_queue_id() -> None:
    """As the mail system told it, names and domains in their canonical form."""
    asked = Asked()
    begun(asked).receive(CONNECT + HELO + MESSAGE)

    assert asked.calls == [
        (
            Session(
                client_ip="192.0.2.1",
                client_name="mail.example.com",
                helo="helo.example.com",
                listener="smtpd",
                recipients=("example.org",),
            ),
            [b"from a by b"],
            "4XyZ",
        )
    ]


@pytest.mark.parametrize(
    ("address", "canonical"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:0DB8:0:0::01", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("192.0.2.300", ""),
        ("", ""),
    ],
)
def test_addresses_are_canonical(address: str, canonical: str) -> None:
    """As ipaddress prints them; an IPv4-mapped address is an IPv4 address."""
    asked = Asked()
    begun(asked).receive(encode_connect("x", address) + MESSAGE)

    assert asked.calls[0][0].client_ip == canonical


@pytest.mark.parametrize(
    ("name", "peer", "known"),
    [
        ("mail.example.com", "mail.example.com [192.0.2.1]", "mail.example.com"),
        ("mail.example.com", "Mail.Example.com [192.0.2.1]", "mail.example.com"),
        ("mail.example.com", "mail.example.com [192.0.2.1] (may be forged)", ""),
        ("[192.0.2.1]", "unknown [192.0.2.1]", ""),
        ("[192.0.2.1]", "[192.0.2.1]", ""),
        ("mail.example.com", "", ""),
        ("mail.example.com", "other.example [192.0.2.1]", ""),
    ],
)
def test_a_client_s_name_counts_only_if_it_leads_back_to_the_address(
    name: str, peer: str, known: str
) -> None:
    """Postfix and Sendmail say so in the macro _; Stalwart passes what it finds, and no such macro."""
    asked = Asked()
    macros = {"_": peer} if peer else {}
    begun(asked).receive(encode_macros(codec.CONNECT, macros) + encode_connect(name, "192.0.2.1") + MESSAGE)

    assert asked.calls[0][0].client_name == known


@pytest.mark.parametrize(
    ("system", "macros", "known"),
    [
        ("Postfix 3.7.11", {"{cert_subject}": "mail.example.com"}, "mail.example.com"),
        ("Postfix 3.7.11", {}, ""),
        ("8.17.1.9", {"{cert_subject}": "/CN=mail.example.com"}, ""),
        (
            "8.17.1.9",
            {"{verify}": "OK", "{cn_subject}": "mail.example.com", "{cert_subject}": "/CN=mail.example.com"},
            "mail.example.com",
        ),
        ("8.17.1.9", {"{verify}": "FAIL", "{cn_subject}": "mail.example.com"}, ""),
        ("8.17.1.9", {"{verify}": "NO"}, ""),
        ("", {"{cert_subject}": "mail.example.com"}, ""),
    ],
)
def test_a_certificate_s_name_counts_only_if_the_mail_system_verified_it(
    system: str, macros: dict[str, str], known: str
) -> None:
    """Postfix names only trusted ones, Sendmail any, with a word on what it is worth; others: unknown."""
    asked = Asked()
    begun(asked).receive(
        encode_macros(codec.CONNECT, {"v": system})
        + encode_connect("x", "192.0.2.1")
        + HELO
        + encode_macros(codec.HELO, macros)
        + HELO
        + MESSAGE
    )

    assert asked.calls[0][0].tls_name == known


def test_an_unverified_second_helo_ends_the_first_one_s_name() -> None:
    """Whatever was known of a certificate belongs to the last HELO."""
    asked = Asked()
    named = encode_macros(codec.HELO, {"{cert_subject}": "mail.example.com"}) + HELO
    begun(asked).receive(CONNECT + named + HELO + MESSAGE)

    assert asked.calls[0][0].tls_name == ""


@pytest.mark.parametrize("macro", ["{auth_type}", "{auth_authen}"])
def test_who_logged_in_is_authenticated_for_that_message(macro: str) -> None:
    """And for the next one only if the mail system says so again."""
    asked = Asked()
    session = begun(asked)
    session.receive(CONNECT + HELO + encode_macros(codec.MAIL, {macro: "x"}) + MESSAGE + ABORT + MESSAGE)

    assert [call[0].authenticated for call in asked.calls] == [True, False]


def test_macros_of_another_command_are_not_mistaken() -> None:
    """Macros count for the command that they name and precede."""
    asked = Asked()
    macros = encode_macros(codec.HELO, {"{auth_authen}": "x"})
    begun(asked).receive(CONNECT + macros + MESSAGE)

    assert not asked.calls[0][0].authenticated


def test_sendmail_gives_the_queue_id_with_the_sender() -> None:
    """And no macros with the headers."""
    asked = Asked()
    begun(asked).receive(
        CONNECT + encode_macros(codec.MAIL, {"i": "5AL"}) + MAIL + RCPT + frame(codec.END_OF_HEADERS)
    )

    assert asked.calls[0][2] == "5AL"


@pytest.mark.parametrize(
    ("path", "domains"),
    [
        ("<user@Example.ORG>", ("example.org",)),
        ("user@example.org", ("example.org",)),
        ('<"a@b"@example.org>', ("example.org",)),
        ("<@relay.test:user@example.org>", ("example.org",)),
        ("<postmaster>", ()),
        ("<user@b\u00fccher.example>", ("b\u00fccher.example",)),
    ],
)
def test_of_a_recipient_only_the_domain_is_kept(path: str, domains: tuple[str, ...]) -> None:
    """Lower-case, without the local part."""
    asked = Asked()
    begun(asked).receive(CONNECT + MAIL + encode_strings(codec.RCPT, path, "NOTIFY=NEVER") + END_OF_HEADERS)

    assert asked.calls[0][0].recipients == domains


def test_header_names_are_compared_without_case_and_whole() -> None:
    """Received, RECEIVED and received are one; Received-SPF and X-Received are others."""
    asked = Asked()
    headers = b"".join(
        encode_strings(codec.HEADER, name, name)
        for name in ("RECEIVED", "Received-SPF", "received", "X-Received", "Receive")
    )
    begun(asked).receive(CONNECT + MAIL + RCPT + headers + END_OF_HEADERS)

    assert asked.calls[0][1] == [b"RECEIVED", b"received"]


# Several messages


def test_messages_of_one_session_do_not_leak_into_each_other() -> None:
    """Each has its own recipients, trace and queue id; the client stays."""
    asked = Asked(REFUSED)
    session = begun(asked)
    second = MAIL + encode_strings(codec.RCPT, "<c@other.test>") + frame(codec.END_OF_HEADERS)

    assert session.receive(CONNECT + HELO + MESSAGE + ABORT + second) == REFUSED + ACCEPTED
    facts, trace, queue_id = asked.calls[1]
    assert (facts.recipients, trace, queue_id) == (("other.test",), [], "")
    assert facts.client_ip == "192.0.2.1"


@pytest.mark.parametrize("again", [ABORT, HELO, MAIL, ABORT + ABORT + HELO])
@pytest.mark.parametrize("until", [MAIL, MAIL + RCPT, MAIL + RCPT + RECEIVED, MESSAGE])
def test_a_message_may_be_given_up_anywhere(until: bytes, again: bytes) -> None:
    """RSET, HELO, a second MAIL: what was gathered is forgotten."""
    asked = Asked()
    session = begun(asked)
    session.receive(CONNECT + until + again)
    asked.calls.clear()
    session.receive(MAIL + encode_strings(codec.RCPT, "<c@other.test>") + frame(codec.END_OF_HEADERS))

    assert asked.calls[0][0].recipients == ("other.test",)
    assert asked.calls[0][1] == []


def test_another_client_may_follow_on_the_same_connection() -> None:
    """QUIT_NC: nothing of the first client is left."""
    asked = Asked()
    session = begun(asked)
    session.receive(CONNECT + HELO + frame(codec.QUIT_NEW))
    session.receive(encode_connect("[2001:db8::1]", "2001:db8::1") + MESSAGE)

    assert asked.calls[0][0] == Session(client_ip="2001:db8::1", recipients=("example.org",))


def test_quit_ends_the_session() -> None:
    """Nothing is answered, nothing more is taken."""
    session = begun(Asked())
    session.receive(CONNECT)

    assert session.receive(frame(codec.QUIT)) == b""
    assert session.closed
    with pytest.raises(ProtocolError):
        session.receive(MAIL)


# Limits


def test_of_10000_received_fields_the_first_are_kept() -> None:
    """The message is taken, and costs no more than another."""
    asked = Asked()
    headers = b"".join(encode_strings(codec.HEADER, "Received", f"from {n}") for n in range(10_000))
    begun(asked).receive(CONNECT + MAIL + RCPT + headers + END_OF_HEADERS)

    assert asked.calls[0][1] == [f"from {n}".encode() for n in range(MAX_FIELDS)]


def test_of_a_huge_field_the_beginning_is_kept() -> None:
    """A 1 MB Received field is cut."""
    asked = Asked()
    header = encode_strings(codec.HEADER, "Received", "x" * (1 << 20))
    begun(asked).receive(CONNECT + MAIL + RCPT + header + END_OF_HEADERS)

    assert asked.calls[0][1] == [b"x" * MAX_FIELD]


def test_the_trace_is_cut_where_it_gets_too_long_and_has_no_holes() -> None:
    """Once a field did not fit, none below it is kept."""
    asked = Asked()
    size = MAX_FIELD - 1
    headers = encode_strings(codec.HEADER, "Received", "x" * size) * (MAX_TRACE // size + 1) + RECEIVED
    begun(asked).receive(CONNECT + MAIL + RCPT + headers + END_OF_HEADERS)

    assert asked.calls[0][1] == [b"x" * size] * (MAX_TRACE // (size + 1))


def test_a_message_to_more_domains_than_can_be_kept_is_accepted_unasked() -> None:
    """Refuse only what all tenants would refuse: here nobody knows who they are."""
    asked = Asked(REFUSED)
    recipients = [encode_strings(codec.RCPT, f"<a@d{n}.test>") for n in range(MAX_DOMAINS + 1)]

    assert begun(asked).receive(CONNECT + MAIL + b"".join(recipients) + END_OF_HEADERS) == ACCEPTED
    assert begun(asked).receive(CONNECT + MAIL + b"".join(recipients[1:]) + END_OF_HEADERS) == REFUSED


@pytest.mark.parametrize(
    "endless", [SUBJECT * 50_000, RCPT * 50_000, encode_macros(codec.MAIL, {"i": "x"}) * 50_000]
)
def test_a_message_without_end_is_a_protocol_error(endless: bytes) -> None:
    """Headers, recipients or macros for ever are none of a mail system's."""
    session = begun(Asked())
    session.receive(CONNECT + MAIL + RCPT)
    for _ in range(MAX_MESSAGE // len(endless) - 1):
        session.receive(endless)
    with pytest.raises(ProtocolError, match="without end"):
        session.receive(endless * 2)

    assert session.closed


def test_a_long_body_is_nobody_s_fault() -> None:
    """A mail system that cannot leave it out may send any amount of it."""
    session = begun(Asked(), PLAIN)
    session.receive(CONNECT + MESSAGE)
    chunk = frame(codec.BODY, b"x" * 65_535)
    for _ in range(MAX_MESSAGE // 65_535 + 10):
        assert session.receive(chunk) == CONTINUE


# Order


REACHED = {
    Phase.START: b"",
    Phase.NEGOTIATED: codec.encode_offer(POSTFIX),
    Phase.CLIENT: codec.encode_offer(POSTFIX) + CONNECT,
    Phase.SENDER: codec.encode_offer(POSTFIX) + CONNECT + MAIL,
    Phase.RECIPIENT: codec.encode_offer(POSTFIX) + CONNECT + MAIL + RCPT,
    Phase.HEADERS: codec.encode_offer(POSTFIX) + CONNECT + MAIL + RCPT + SUBJECT,
    Phase.DECIDED: codec.encode_offer(POSTFIX) + CONNECT + MESSAGE,
    Phase.CLOSED: codec.encode_offer(POSTFIX) + CONNECT + frame(codec.QUIT),
}

OUT_OF_ORDER = {
    Phase.START: b"CHMRTULNBEAK",
    Phase.NEGOTIATED: b"OHMRTULNBE",
    Phase.CLIENT: b"OCRTLNBE",
    Phase.SENDER: b"OCTLNBE",
    Phase.RECIPIENT: b"OC",
    Phase.HEADERS: b"OCRTU",
    Phase.DECIDED: b"OCRTULN",
    Phase.CLOSED: b"OCHMRTULNBEAKQ",
}
PAYLOADS = {
    codec.NEGOTIATE: codec.encode_offer(POSTFIX)[5:],
    codec.CONNECT: encode_connect("x", "192.0.2.1")[5:],
    codec.HELO: b"x\0",
    codec.MAIL: b"<x@example.com>\0",
    codec.RCPT: b"<x@example.com>\0",
    codec.HEADER: b"Received\0x\0",
}


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("command", b"OCHMRTULNBEAQK")
def test_only_what_makes_no_sense_is_out_of_order(phase: Phase, command: int) -> None:
    """For every phase and every command."""
    session = MilterSession(Asked())
    session.receive(REACHED[phase])
    assert session.phase == phase
    sent = frame(command, PAYLOADS.get(command, b""))

    if command in OUT_OF_ORDER[phase]:
        with pytest.raises(ProtocolError):
            session.receive(sent)
        assert session.phase == Phase.CLOSED
    else:
        session.receive(sent)
        assert session.phase != Phase.CLOSED or command == codec.QUIT


@given(
    st.sampled_from(Phase),
    st.lists(
        st.tuples(
            st.integers(0, 255) | st.sampled_from(b"ABCDEHKLMNOQRTU"),
            st.binary(max_size=40) | st.sampled_from(list(PAYLOADS.values())),
        ),
        min_size=1,
        max_size=8,
    ),
)
def test_any_input_in_any_phase_is_a_valid_phase_or_an_error_and_closed(
    phase: Phase, commands: list[tuple[int, bytes]]
) -> None:
    """Nothing else is raised, and every answer is a whole frame."""
    session = MilterSession(Asked(REFUSED))
    session.receive(REACHED[phase])
    for command, payload in commands:
        try:
            answer = session.receive(frame(command, payload))
        except ProtocolError:
            assert session.phase == Phase.CLOSED
            return
        assert session.phase in Phase
        answers = [code for code, *_ in codec.Frames().feed(answer)]
        assert answers in ([], [codec.CONTINUE], [codec.ACCEPT], [codec.REPLY_CODE], [codec.NEGOTIATE])


@given(st.lists(st.integers(0, 10_000), max_size=40), st.sampled_from([POSTFIX, PLAIN]))
def test_the_pieces_in_which_bytes_arrive_do_not_matter(places: list[int], offer: Offer) -> None:
    """The same answers and the same questions, however the bytes are cut."""
    data = codec.encode_offer(offer) + CONNECT + HELO + MESSAGE + ABORT + MESSAGE + ABORT + frame(codec.QUIT)
    whole, pieces = Asked(REFUSED), Asked(REFUSED)
    expected = MilterSession(whole).receive(data)
    session = MilterSession(pieces)
    bounds = [0, *sorted({place % len(data) for place in places}), len(data)]

    answers = [session.receive(data[a:b]) for a, b in pairwise(bounds)]

    assert b"".join(answers) == expected
    assert pieces.calls == whole.calls
