"""Servers to write about, a store that has seen them, and real receivers of what is written."""

import asyncio
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from ports import free_port

from wehr.catalogue import load
from wehr.catalogue.types import MissingUpdate, Release, Vulnerability
from wehr.evidence.build import Build
from wehr.evidence.types import Confidence, Relation, Sighting
from wehr.ledger import Entry, Ledger, Position, Store
from wehr.ledger.report import Basis
from wehr.notices.office import Office, Round, look_round, open_office
from wehr.notices.servers import Server
from wehr.notices.settings import Notices, Submission
from wehr.policy import Action, Decision, Holds, Mode, Policy, Reason, ServerKey
from wehr.policy.timeline import Entry as Stage

DAY = 86_400.0
START = 1_762_768_800.0
"""10 November 2025, ten o'clock: no hole comes to be exploited in the hundred days that follow."""
OLD: Build = (15, 1, 2507, 16)
NEW: Build = (15, 2, 2562, 35)
CATALOGUE = load()
SETTINGS = Notices(
    tenants=("default",),
    sender="postmaster@receiver.test",
    bounces="wehr-bounces@receiver.test",
    submission=Submission(host="127.0.0.1", tls="none", timeout=5),
)


def seen(
    name: str = "mail.example.org",
    day: float = 0.0,
    build: Build = OLD,
    *,
    ip: str = "192.0.2.25",
    client_name: str | None = None,
    confidence: Confidence = Confidence.CONFIRMED,
    compliant: bool = False,
    enforced: bool = True,
) -> Entry:
    """A message of a server, so many days after the start."""
    network = ip.rpartition(".")[0] + ".0/24"
    sighting = Sighting(
        at=START + day * DAY,
        name=name,
        network=network,
        software="exchange",
        build=build,
        relation=Relation.DIRECT,
        confidence=confidence,
        client_ip=ip,
        client_name=name if client_name is None else client_name,
        version=".".join(map(str, build)),
        line=f"from {name} ({ip}) by {name} with Microsoft SMTP Server id {'.'.join(map(str, build))}",
    )
    reason = Reason.COMPLIANT if compliant else Reason.REPORT_STAGE
    decision = Decision(Action.ACCEPT, reason, enforced and not compliant, stage=0 if compliant else 1)
    return Entry(ServerKey("default", name, network), sighting, compliant, decision, "4XYZ", "milter")


def carry(store: Store, entries: Iterable[Entry]) -> None:
    """Have a store know what a node saw."""
    every = sorted(entries, key=lambda entry: entry.sighting.at)
    start = store.position("mx1")
    end = Position(1, start.offset + len(every))
    store.carry("mx1", start, every, end, every[-1].sighting.at)


def basis(store: Store, day: float, policy: Policy | None = None) -> Basis:
    """What servers are judged by, so many days after the start."""
    policy = policy or Policy(mode=Mode.ENFORCE)
    ledger = Ledger()
    for key, state in store.load_states():
        ledger.merge(key, state)
    holds = Holds.of(policy, store.pauses(), tuple(store.exemptions().values()))
    return Basis(ledger, CATALOGUE, policy, holds, START + day * DAY)


def office(settings: Notices = SETTINGS, folder: Path = Path("/nowhere"), now: float = START) -> Office:
    """Who writes."""
    return open_office(
        settings,
        folder,
        host="mx.receiver.test",
        status_url="https://wehr.receiver.test",
        contact="postmaster@receiver.test",
        now=now,
    )


def look(store: Store, day: float, settings: Notices = SETTINGS, policy: Policy | None = None) -> Round:
    """How the servers stand, so many days after the start."""
    return look_round(office(settings), store, basis(store, day, policy), settings.tenants)


def server(**changes: Any) -> Server:
    """A server with everything that can be said of one."""
    values: dict[str, Any] = {
        "ref": "abcdefghij234567",
        "tenant": "default",
        "name": "mail.example.org",
        "client_ip": "192.0.2.25",
        "client_name": "mail.example.org",
        "network": "192.0.2.0/24",
        "software": "exchange",
        "product": "Exchange Server 2016 CU23",
        "build": "15.1.2507.16",
        "installed": "Nov22SU",
        "line": "from ex by mail.example.org (192.0.2.25) with Microsoft SMTP Server (TLS) id 15.1.2507.16",
        "seen_at": START,
        "detected": START - DAY,
        "missing": (MissingUpdate("Oct25SU", (15, 1, 2507, 61), date(2025, 10, 14), "KB5066369"),),
        "missing_more": 3,
        "missing_since": date(2023, 1, 10),
        "unsupported_since": date(2025, 10, 15),
        "holes": (
            Vulnerability("CVE-2023-21529", (15, 1, 2507, 17), date(2026, 4, 13), True, ransomware=True),
        ),
        "least": Release(
            "Exchange Server 2016", "15.1.2507.61", "CU23 Oct25SU", "KB5066369", date(2025, 10, 14)
        ),
        "recommended": (
            Release("Exchange Server SE", "15.2.2562.53", "RTM Sep26SUv2", "KB5129955", date(2026, 9, 10)),
        ),
        "stages": (
            Stage(2, START + 20 * DAY, START + 30 * DAY, 5, 0, False),
            Stage(5, START + 60 * DAY, START + 70 * DAY, 30, 5, False),
            Stage(8, START + 90 * DAY, None, 0, 60, False),
        ),
        "paused": False,
        "link": "https://wehr.receiver.test/s/abcdefghij234567",
    }
    return Server(**{**values, **changes})


@dataclass
class Mailbox:
    """A real SMTP server's messages. ``answers`` are given instead of taking, one after the other."""

    port: int = 0
    envelopes: list[Envelope] = field(default_factory=list)
    rcpt: dict[str, str] = field(default_factory=dict)
    """What is answered to a recipient."""
    answers: list[str] = field(default_factory=list)
    """What is answered to the final dot; ``drop`` takes the message and cuts the connection."""
    logins: list[bytes] = field(default_factory=list)

    @property
    def messages(self) -> list[EmailMessage]:
        """What was taken."""
        return [
            message_from_bytes(envelope.original_content or b"", policy=policy.default)  # type: ignore[misc]
            for envelope in self.envelopes
        ]

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take a recipient, or say what is to be said."""
        if address not in self.rcpt:
            envelope.rcpt_tos.append(address)
        return self.rcpt.get(address, "250 2.1.5 OK")

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Take a message, or say what is to be said."""
        answer = self.answers.pop(0) if self.answers else "250 2.0.0 taken"
        if answer == "drop":
            self.envelopes.append(envelope)
            assert server.transport is not None
            server.transport.abort()
            await asyncio.sleep(0)
            return "421 gone"
        if answer.startswith("250"):
            self.envelopes.append(envelope)
        return answer


@contextmanager
def mailbox(**options: Any) -> Iterator[Mailbox]:
    """A real SMTP server on loopback."""
    box = Mailbox(free_port())
    controller = Controller(box, hostname="127.0.0.1", port=box.port, ready_timeout=20, **options)
    controller.start()
    try:
        yield box
    finally:
        controller.stop()


@dataclass
class Hook:
    """A real HTTP server's requests. ``answers`` are status codes, one after the other; then 204."""

    url: str = ""
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)


@contextmanager
def hook() -> Iterator[Hook]:
    """A real HTTP server on loopback."""
    box = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            box.requests.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(box.answers.pop(0) if box.answers else 204)
            self.send_header("Location", box.url)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    box.url = f"http://127.0.0.1:{server.server_address[1]}/hook?x=1"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield box
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
