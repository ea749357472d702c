"""``wehr inspect``: its documented JSON, from every kind of file."""

import json
import mailbox
from pathlib import Path

import messages
import pytest
from click.testing import CliRunner

from wehr.cli import main

OURS = (
    "Received: from mail.example.com (mail.example.com [203.0.113.10])\n"
    "\tby mx.example.org (Postfix) with ESMTPS id 4XyQueue; Mon, 12 Oct 2026 09:00:02 +0000\n"
)
MESSAGE = OURS + messages.exchange("15.1.2507.16", mapi="15.01.2507.017") + "\ntext\n"


def inspect(*arguments: str, stdin: str = "") -> list[dict[str, object]]:
    """The JSON lines of a run that must end well."""
    result = CliRunner().invoke(main, ["inspect", "--json", *arguments], input=stdin, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_stored_message_has_the_documented_shape(tmp_path: Path) -> None:
    """Every hop, where it was received, and who handed it over with the highest build of that host."""
    file = tmp_path / "m.eml"
    file.write_text(MESSAGE)

    [found] = inspect(str(file))

    assert list(found) == ["id", "hops", "receiver", "handover"]
    assert found["id"] == str(file)
    assert found["hops"] == [
        {
            "by": "mx.example.org",
            "from": "mail.example.com",
            "from_ip": "203.0.113.10",
            "protocol": "ESMTPS",
            "software": "postfix",
            "version": None,
            "product": None,
            "build": None,
        },
        {
            "by": "ex01.example.com",
            "from": "ex01.example.com",
            "from_ip": "10.1.2.3",
            "protocol": "Microsoft SMTP Server",
            "software": "exchange",
            "version": "15.1.2507.16",
            "product": "Exchange Server 2016",
            "build": "15.1.2507.16",
        },
        {
            "by": "ex01.example.com",
            "from": "ex01.example.com",
            "from_ip": "fe80::1",
            "protocol": "mapi",
            "software": "exchange",
            "version": "15.01.2507.017",
            "product": "Exchange Server 2016",
            "build": "15.1.2507.17",
        },
    ]
    assert found["receiver"] == 0
    over = found["handover"]
    assert isinstance(over, dict)
    assert (over["index"], over["build"], over["name"], over["relation"], over["confidence"]) == (
        1,
        "15.1.2507.17",
        "ex01.example.com",
        "direct",
        "confirmed",
    )


def test_handed_over_takes_the_top_hop_as_the_clients() -> None:
    """As a door sees it: the receiver has stamped nothing yet."""
    [found] = inspect(
        "--as", "handed-over", "--client-ip", "203.0.113.10", "--helo", "ex01.example.com", "-",
        stdin=messages.exchange("15.1.2507.16") + "\n",
    )  # fmt: skip

    over = found["handover"]
    assert isinstance(over, dict)
    assert found["receiver"] is None
    assert (over["index"], over["relation"], over["confidence"]) == (0, "direct", "confirmed")


def test_every_kind_of_file_is_read(tmp_path: Path) -> None:
    """A message, an mbox, a Maildir, JSON lines and standard input give the same handover."""
    (tmp_path / "m.eml").write_text(MESSAGE)
    (tmp_path / "lines.jsonl").write_text(
        json.dumps({"id": "one", "headers": MESSAGE.split("\n\n")[0] + "\n"}) + "\n"
    )
    mbox = mailbox.mbox(tmp_path / "mbox")
    mbox.add(MESSAGE)
    mbox.close()
    maildir = mailbox.Maildir(tmp_path / "maildir")
    maildir.add(MESSAGE)

    found = inspect(
        *(str(tmp_path / name) for name in ("m.eml", "lines.jsonl", "mbox", "maildir")), "-", stdin=MESSAGE
    )

    assert len(found) == 5
    assert [one["handover"] for one in found] == [found[0]["handover"]] * 5
    assert found[1]["id"] == "one"


def test_people_get_a_table_and_a_verdict(tmp_path: Path) -> None:
    """The last line says what it means."""
    (tmp_path / "m.eml").write_text(MESSAGE)

    result = CliRunner().invoke(main, ["inspect", str(tmp_path / "m.eml")], catch_exceptions=False)

    assert (
        "ex01.example.com: Exchange Server 2016, build 15.1.2507.17 or later, unsupported on "
        in result.stdout
    )


def test_a_missing_file_is_one_line_and_exit_code_2() -> None:
    """It names the file."""
    result = CliRunner().invoke(main, ["inspect", "no-such.eml"])

    assert result.exit_code == 2
    assert result.stderr == "wehr: no-such.eml: No such file or directory\n"


def test_the_clients_address_is_taken_in_any_form(tmp_path: Path) -> None:
    """An IPv4-mapped one is the IPv4 address that the receiver stamped."""
    (tmp_path / "m.eml").write_text(MESSAGE)

    [found] = inspect("--client-ip", "::ffff:203.0.113.10", str(tmp_path / "m.eml"))

    assert found["receiver"] == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--client-ip", "203.0.113"), "'203.0.113' is no address"),
        (("--relay", "10.0.0.0/33"), "10.0.0.0/33"),
    ],
)
def test_what_is_no_address_is_refused(arguments: tuple[str, ...], words: str) -> None:
    """One line says which."""
    result = CliRunner().invoke(main, ["inspect", *arguments, "-"], input="")

    assert result.exit_code == 2
    assert words in result.stderr


def test_nothing_that_a_stranger_wrote_steers_the_terminal(tmp_path: Path) -> None:
    """Neither escape sequences nor Rich's markup, in the name of a message as in a hop."""
    hop = "Received: by [/bold]\x1b[31mx with Microsoft SMTP Server id 15.1.2507.17\n"
    (tmp_path / "lines.jsonl").write_text(json.dumps({"id": "[/bold]\x1b[2J", "headers": hop}) + "\n")

    result = CliRunner().invoke(main, ["inspect", str(tmp_path / "lines.jsonl")], catch_exceptions=False)

    assert result.exit_code == 0
    assert "\x1b" not in result.stdout
    assert result.stdout.count("[/bold]?[") == 2


def test_letters_that_the_terminal_has_not_are_escaped(tmp_path: Path) -> None:
    """A hop in Latin-1 under an ASCII locale."""
    (tmp_path / "m.eml").write_bytes(b"Received: by b\xe4r with Microsoft SMTP Server id 15.1.2507.17\n\n")

    result = CliRunner(charset="ascii").invoke(
        main, ["inspect", str(tmp_path / "m.eml")], catch_exceptions=False
    )

    assert result.exit_code == 0
    assert "b\\xe4r" in result.stdout


@pytest.mark.reference
def test_the_reference_corpus_is_inspected_whole(reference: Path) -> None:
    """Every message gives its line, with the id of the corpus."""
    found = inspect(str(reference / "corpus" / "public.jsonl"))

    assert len(found) > 2000
    assert all(str(one["id"]).startswith("m") for one in found)
