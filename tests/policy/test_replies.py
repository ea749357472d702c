"""Replies: the exact texts, and well-formed SMTP whatever the names hold."""

import re
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wehr.policy.replies import TABLE, Texts, reply
from wehr.policy.types import Action, Decision, Reason

UNTIL = datetime(2026, 11, 21, 14, 25, tzinfo=UTC).timestamp()
THROTTLED = Decision(Action.THROTTLE, Reason.THROTTLED, True, 2, 5, 0, UNTIL, "exchange-online")
BLOCKED = Decision(Action.BLOCK, Reason.BLOCKED, True, 6, 30, 10, UNTIL, "exchange-online")
DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_450_says_what_when_and_where():
    """Exchange Online's words, and the minute from which mail is taken again."""
    text = reply(THROTTLED, "mx.example.org", url="https://mx.example.org/s/3kq7")

    assert text == (
        "450 4.7.230 Connecting Exchange server version is out-of-date; connection to mx.example.org "
        "throttled for 5 mins/hr, retry after 14:25 UTC. See https://mx.example.org/s/3kq7"
    )


def test_the_550_says_what_and_where():
    """A bounce is read by a person, who has nothing from a time to retry."""
    text = reply(BLOCKED, "mx.example.org", url="https://mx.example.org/s/3kq7")

    assert text == (
        "550 5.7.230 Connecting Exchange server version is out-of-date; connection to mx.example.org "
        "blocked for 10 mins/hr. See https://mx.example.org/s/3kq7"
    )


def test_without_a_status_page_the_reference_is_named():
    """So that an administrator can name it when asking."""
    text = reply(BLOCKED, "mx.example.org", reference="3KQ7")

    assert text.endswith("blocked for 10 mins/hr. (ref 3KQ7)")


def test_without_a_known_end_no_time_is_promised():
    """A server about to be blocked for good is not told to retry."""
    forever = msgspec.structs.replace(THROTTLED, until=None)

    assert reply(forever, "mx.example.org").endswith("throttled for 5 mins/hr.")


@pytest.mark.parametrize(
    ("software", "name"),
    [("exim", "Exim server"), ("unknown", "mail server"), ("x\r\n250 ok", "mail server")],
)
def test_other_software_is_called_by_its_name_from_a_fixed_table(software, name):
    """No stamped text gets into a reply."""
    assert f"Connecting {name} version" in reply(BLOCKED, "mx.example.org", software=software)


@pytest.mark.parametrize("enforced", [True, False])
def test_an_accepted_message_has_no_reply(enforced):
    """Nor has one that is only reported."""
    accepted = Decision(Action.ACCEPT, Reason.OUTSIDE_WINDOW, enforced)
    would = msgspec.structs.replace(BLOCKED, enforced=False)

    assert reply(accepted, "mx.example.org") is None
    assert reply(would, "mx.example.org") is None


templates = st.lists(
    st.one_of(
        st.sampled_from(["{software}", "{host}", "{minutes}", "{retry}", "{see}"]),
        st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters="{}%"), max_size=30),
    ),
    max_size=9,
).map(lambda parts: "".join(parts)[:300].rpartition("{")[0] or "plain")


@given(
    st.sampled_from([THROTTLED, BLOCKED]), st.tuples(st.text(), st.text(), st.text(), st.text()), templates
)
def test_a_reply_is_well_formed_whatever_the_names_hold(decision, names, text):
    """One line of printable ASCII under 512 octets, no percent sign, and 4xx stays 4xx."""
    host, software, url, reference = names
    texts = Texts(throttle=text, block=text)
    line = reply(decision, host, software=software, url=url, reference=reference, texts=texts)

    start = "450 4.7.230 " if decision.action is Action.THROTTLE else "550 5.7.230 "
    assert line.startswith(start)
    assert re.fullmatch(r"[ -$&-~]{12,510}", line)


@pytest.mark.parametrize("length", [0, 250, 10_000])
def test_endless_names_are_cut(length):
    """The line keeps its limit, and its code."""
    line = reply(BLOCKED, "h" * length, url="u" * length, reference="r" * length)

    assert len(line) <= 510
    assert line.startswith("550 5.7.230 ")


@pytest.mark.parametrize("text", ["caf\u00e9", "two\nlines", "100% sure", "{name}", "{host", "x" * 301])
def test_a_text_that_would_break_a_reply_is_refused_in_the_configuration(text):
    """When it is read, not when the first server is refused."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"block": text}, Texts)


def test_the_table_is_closed():
    """Every reason has its entry, and no entry is without a reason."""
    assert set(TABLE) == set(Reason)


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_its_text_label_and_documentation(reason):
    """A decision that nobody can look up is a black box."""
    headings = re.findall(r"^#+ Reason: (.*)", (DOCS / "policy.md").read_text("utf-8"), re.MULTILINE)

    assert TABLE[reason].operator
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", reason.value), "the label in /metrics"
    assert headings.count(reason.value) == 1


def test_only_refusals_have_refusing_codes():
    """450 with 4.x.x, 550 with 5.x.x, and everything else is accepted."""
    refusing = {reason: (entry.code, entry.enhanced) for reason, entry in TABLE.items() if entry.code != 250}

    assert refusing == {Reason.THROTTLED: (450, "4.7.230"), Reason.BLOCKED: (550, "5.7.230")}
