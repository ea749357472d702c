"""What is private never reaches the disk: canaries go through the gate, and are looked for everywhere."""

from datetime import UTC, datetime
from pathlib import Path

import messages
from running import receiver, until

from wehr.doors.milter import MilterClient
from wehr.evidence import Session
from wehr.ledger import open_store

START = datetime(2026, 10, 12, 9, 0, tzinfo=UTC).timestamp()
LOCAL, SUBJECT, BODY = "canary-local-part", "canary-subject", "canary-body"


def test_no_local_part_subject_or_body_is_kept(tmp_path: Path) -> None:
    """Not in journals, store, snapshot or any other file, whatever field of a message holds them."""
    top = (
        f" from ex01.example.com (ex01.example.com [10.1.2.3]) (authenticated as {LOCAL})\n"
        " by ex01.example.com (10.1.2.3) with Microsoft SMTP Server (version=TLS1_2,\n"
        f" cipher=TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384) id 15.1.2507.16 for <{LOCAL}@example.org>;"
        " Mon, 12 Oct 2026 09:00:00 +0000"
    )
    plain = " " + messages.exchange("15.1.2507.16").partition(": ")[2].partition("\nFrom")[0]
    fields = [
        ("From", f" {LOCAL} <{LOCAL}@example.com>"),
        ("To", f" <{LOCAL}@example.org>"),
        ("Subject", f" {SUBJECT}"),
        ("Message-ID", f" <{LOCAL}@example.com>"),
        ("X-Note", f" {BODY}"),
    ]
    session = Session(client_ip="203.0.113.10", helo="ex01.example.com", recipients=("example.org",))
    with (
        receiver(tmp_path, START, "enforce") as wehr,
        MilterClient(("127.0.0.1", wehr.port), session) as client,
    ):
        for received in (top, plain, f" from {LOCAL}@ex01.example.com by ex01.example.com with SMTP; x"):
            client.deliver([("Received", received), *fields])
        until((tmp_path / "snapshot").exists)
        journals = b"".join(path.read_bytes() for path in (tmp_path / "journal").iterdir())
        assert b"15.1.2507.16" in journals
    with open_store(f"sqlite:///{tmp_path}/wehr.sqlite") as store:
        assert store.count()["sightings"] >= 2

    held = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert any(b"15.1.2507.16" in content for content in held.values())
    for canary in (LOCAL, SUBJECT, BODY, "user@", "sender@"):
        assert [path.name for path, content in held.items() if canary.encode() in content] == []
