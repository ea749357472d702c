"""What is read in configurations, and how it should read: without any mail system."""

import os
from pathlib import Path

import pytest

from wehr.service.config import parse
from wehr.service.mta import CannotChange, Place, exim, opensmtpd, places, preferred, reach, sendmail
from wehr.service.mta.places import read
from wehr.service.mta.postfix.instance import milters, seconds, unreadable

HERE = Place("127.0.0.1", 8893)
DOCS = Path(__file__).resolve().parent.parent.parent.parent / "docs"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("inet:127.0.0.1:8893", HERE),
        ("127.0.0.1:8893", HERE),
        ("inet:8893@127.0.0.1", HERE),
        ("inet6:8893@::1", Place("::1", 8893)),
        ("inet:[::1]:8893", Place("::1", 8893)),
        ("unix:/run/x", Place(path="/run/x")),
        ("local:/run/x", Place(path="/run/x")),
        ("/run/x", Place(path="/run/x")),
        ("inet:localhost:smtp", None),
        ("", None),
    ],
)
def test_each_mail_system_s_way_of_writing_a_place_is_read(text: str, place: Place | None) -> None:
    """What nobody can read is none."""
    assert read(text) == place


@pytest.mark.parametrize("place", [HERE, Place("::1", 8893), Place(path="/run/x")])
def test_a_place_is_read_back_as_it_is_written(place: Place) -> None:
    """For Postfix, Sendmail, Exim and ourselves."""
    assert {read(text) for text in (place.postfix, place.sendmail, place.exim, str(place))} == {place}


@pytest.mark.parametrize(
    ("ours", "theirs", "same"),
    [
        (HERE, Place("localhost", 8893), True),
        (HERE, Place("127.0.0.1", 8898), False),
        (HERE, Place("192.0.2.1", 8893), False),
        (Place("0.0.0.0", 8893), Place("192.0.2.1", 8893), True),
        (HERE, Place(path="/run/x"), False),
        (Place(path="/run/../run/x"), Place(path="/run/x"), True),
    ],
)
def test_whether_one_place_leads_to_another(ours: Place, theirs: Place, same: bool) -> None:
    """Loopback has several names, and a wildcard covers all."""
    assert ours.reached_by(theirs) is same


def test_a_mail_system_is_given_an_address_before_a_socket(tmp_path: Path) -> None:
    """A chroot does not hide it; a wildcard is not an address to connect to."""
    config = parse('milter.listen = ["0.0.0.0:8893", "[::]:8893"]', "test")
    found = places(config, tmp_path, "milter")
    assert [str(it) for it in found] == ["0.0.0.0:8893", "[::]:8893", str(tmp_path / "milter.sock")]
    assert preferred(found) == HERE
    assert preferred(()) is None


def test_a_list_of_milters_is_read() -> None:
    """Both forms, commas and blanks, settings in braces; what is no place stays a text."""
    value = "{ inet:127.0.0.1:8893, default_action=accept connect_timeout=3s },inet:a:1 unix:x, $dkim"
    first, *others = milters(value)
    assert (first.place, first.settings) == (HERE, {"default_action": "accept", "connect_timeout": "3s"})
    assert [it.place for it in others] == [Place("a", 1), Place(path="x"), None]
    assert [it.text for it in others] == ["inet:a:1", "unix:x", "$dkim"]
    assert milters("") == []


def test_a_setting_in_braces_of_its_own_is_read() -> None:
    """With blanks in it, which Postfix takes there and nowhere else."""
    (only,) = milters("{ inet:127.0.0.1:8893, { default_action = accept } }")
    assert (only.place, only.settings, only.fault) == (HERE, {"default_action": "accept"}, "")


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("{ inet:127.0.0.1:8893, default_acton=accept }", "there is no setting 'default_acton'"),
        ("{ inet:127.0.0.1:8893, default_action = accept }", "'default_action' is to be followed by '='"),
        ("inet:127.0.0.1:8893, default_action=accept", "'default_action=accept' is neither"),
        ("{ inet:127.0.0.1:8893, default_action=accept", "a brace has no partner"),
        ("{ 127.0.0.1:8893, default_action=accept }", "'127.0.0.1:8893' is neither inet:HOST:PORT"),
        ("inet:8893@127.0.0.1", "'inet:8893@127.0.0.1' is neither"),
        ("{ inet:127.0.0.1:8893; default_action=accept }", "'inet:127.0.0.1:8893;' is neither"),
        ("inet:127.0.0.1:8893, unix:opendkim/opendkim.sock, inet:[::1]:8891, inet:host:smtp", ""),
        ("", ""),
    ],
)
def test_what_ends_an_smtpd_is_told(value: str, why: str) -> None:
    """Each was put to Postfix 3.7: its smtpd ended, or answered 451, or went by no milter."""
    assert unreadable(value).startswith(why)
    assert bool(unreadable(value)) == bool(why)


def test_times_of_postfix() -> None:
    """With a unit or without."""
    assert [seconds(it) for it in ("30", "30s", "5m", "1h", "2d", "1w", "x", "")] == [
        30, 30, 300, 3600, 172_800, 604_800, 0, 0,
    ]  # fmt: skip


SMTPD = """\
table aliases file:/etc/aliases
filter "own" proc-exec "/usr/bin/own" # ours
listen on socket
listen on lo0
listen on eth0 port 25 tag OUT \\
    filter "own"
listen on eth0 port 465 smtps pki x auth
action "x" relay
"""


def test_an_smtpd_is_wired_where_strangers_come_in() -> None:
    """In a chain before a filter that is there; the socket, and where one must log in, stay as they are."""
    with pytest.raises(CannotChange, match="by hand"):
        opensmtpd.wired(SMTPD, [HERE], "wehr")  # the filter stands on the next line
    text = SMTPD.replace(" \\\n   ", "")

    after = opensmtpd.wired(text, [HERE], "/opt/wehr/bin/wehr filter opensmtpd --ask 127.0.0.1:8893")

    lines = after.split("\n")
    assert 'filter "wehr" proc-exec "/opt/wehr/bin/wehr filter opensmtpd --ask 127.0.0.1:8893"' in lines
    assert 'filter "wehr-own" chain { "wehr", "own" }' in lines
    assert 'listen on lo0 filter "wehr"' in lines
    assert 'listen on eth0 port 25 tag OUT filter "wehr-own"' in lines
    assert {"listen on socket", "listen on eth0 port 465 smtps pki x auth"} <= set(lines)
    assert lines.index('filter "wehr-own" chain { "wehr", "own" }') < lines.index("listen on socket")
    assert opensmtpd.wired(after, [HERE], "other") == after
    assert opensmtpd.asks(after, "wehr-own") == [HERE]


def test_an_smtpd_that_takes_nothing_from_strangers_is_not_wired() -> None:
    """It would be of no use."""
    with pytest.raises(CannotChange, match="no listener"):
        opensmtpd.wired("listen on socket\n", [HERE], "wehr")


def test_the_lines_for_exim_are_those_of_the_page() -> None:
    """One recipe, in two places."""
    page = (DOCS / "exim.md").read_text("ascii")
    assert exim.recipe(Place("127.0.0.1", 8898)) in page


EXIM = "primary_hostname = mx.example.org\n\nbegin routers\n\nx:\n  driver = accept\n"


def test_an_exim_without_an_acl_after_data_gets_one() -> None:
    """In a section of its own, or in the one that is there."""
    for text in (
        EXIM,
        EXIM.replace("begin routers", "begin acl\n\nother:\n  accept\n\nbegin routers"),
        "x = y\n",
    ):
        after = exim.insert(text, "", "  warn\n")
        assert "acl_smtp_data = acl_wehr_data\n" in after.split("begin")[0]
        assert exim.acls(after)["acl_wehr_data"].split() == ["warn", "accept"]
        assert after.count("begin acl") == 1


def test_an_acl_that_stands_elsewhere_is_left_to_its_owner() -> None:
    """With the lines to put there."""
    with pytest.raises(CannotChange, match="put these lines at its beginning:\n  warn"):
        exim.insert(EXIM, "acl_check_data", "  warn\n")


@pytest.mark.parametrize(
    "before", ["O Timeout=1\n", "O InputMailFilters=\n", "O InputMailFilters=a\nXa, S=inet:1@b\n"]
)
def test_a_sendmail_cf_gets_its_filter_first(before: str) -> None:
    """Before those that are there."""
    found = sendmail.filters(sendmail.added_to_cf(before, HERE))
    assert (found[0].name, found[0].place, found[0].flags) == ("wehr", HERE, "")
    assert found[0].times == "C:3s;S:3s;R:3s;E:10s"
    assert [it.name for it in found[1:]] == [it.name for it in sendmail.filters(before)]


def test_a_sendmail_mc_gets_its_line_before_other_filters() -> None:
    """Or before the mailers, which must come last."""
    line = sendmail.line(HERE)
    text = "divert(0)dnl\nINPUT_MAIL_FILTER(`a', `S=inet:1@b')dnl\nMAILER(`smtp')dnl\n"
    assert sendmail.added(text, HERE) == text.replace("INPUT", f"{line}\nINPUT")
    assert sendmail.added("MAILER(`smtp')dnl\n", HERE) == f"{line}\nMAILER(`smtp')dnl\n"
    assert sendmail.added("x", HERE) == f"x\n{line}\n"


def test_what_keeps_a_user_from_a_program_is_named(open_folder: Path) -> None:
    """The file, a folder on the way, or the program that is to read it; the first class that fits decides."""
    script, shell = open_folder / "in" / "script", open_folder / "shell"
    script.parent.mkdir()
    shell.write_text("")
    script.write_text(f"#!{shell} -e\n")
    for it in (script, shell, script.parent):
        it.chmod(0o755)
    other = reach.Who("nobody", 65_534, frozenset({65_534}))

    assert reach.to_program(script, other) is None
    shell.chmod(0o700)
    assert f"{shell} (mode 0700) is not executable for nobody" in str(reach.to_program(script, other))
    script.parent.chmod(0o711 & ~1)
    assert f"{script.parent} (mode 0710) is not to be passed by nobody" in str(
        reach.to_program(script, other)
    )
    owner = reach.Who("me", os.geteuid() or 0, frozenset())
    assert reach.to_program(script, owner) is None
    assert (
        reach.to_program(open_folder / "none", other) == f"{open_folder / 'none'}: No such file or directory"
    )


def test_users_are_known_by_name() -> None:
    """Or not at all."""
    assert reach.user("root") == reach.user("0")
    assert reach.user("no-such-user") is None
