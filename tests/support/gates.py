"""A gate with everything around it in memory, and servers that hand messages over to it."""

from collections.abc import Mapping
from datetime import UTC, datetime

import messages
import msgspec

from wehr.catalogue import Catalogue, load
from wehr.doors.gate import Gate, Setting
from wehr.evidence import Own, Session, format_build, split_headers
from wehr.ledger import Entry, Ledger, reference
from wehr.ledger.report import Basis, ReportRow, report
from wehr.ledger.rows import ServerRow
from wehr.policy import Policy
from wehr.policy.laddering import Past, facts
from wehr.service.clock import SetClock

START = datetime(2026, 10, 12, 12, 0, tzinfo=UTC).timestamp()
DAY = 86_400
CATALOGUE = load()
SECRET = b"a secret of sixteen or more bytes"


def client(address: str = "203.0.113.10", name: str = "mail.example.com") -> Session:
    """A session of a client."""
    return Session(client_ip=address, client_name=name, helo=name, recipients=("example.org",))


def trace(build: str, host: str = "ex01.example.com") -> list[bytes]:
    """The trace of a message that an Exchange server hands over."""
    return split_headers(messages.exchange(build, host).encode())


class Rig:
    """One node: its gate, ledger and journal, and a clock to be set."""

    def __init__(
        self,
        policy: Mapping[str, object] | None = None,
        *,
        start: float = START,
        catalogue: Catalogue = CATALOGUE,
    ) -> None:
        self.clock = SetClock(start)
        self.start = start
        self.entries: list[Entry] = []
        self.errors: list[Exception] = []
        self.ledger = Ledger()
        self.past = Past()
        self.gate = Gate(
            self._setting(policy or {}, catalogue),
            self.ledger,
            secret=SECRET,
            clock=self.clock,
            record=self.entries.append,
            on_error=self._fail,
        )

    @staticmethod
    def _fail(error: Exception) -> None:
        raise AssertionError("an error inside the gate") from error

    def _setting(self, policy: Mapping[str, object], catalogue: Catalogue) -> Setting:
        made = msgspec.convert({"mode": "enforce", **policy}, Policy)
        self.past = self.past.noting(made.laddering, facts(catalogue), self.clock.now)
        self.ledger.configure(self.ledger.limits, mixed_enforced=made.mixed == "enforce")
        return Setting(
            catalogue,
            made.after(self.past),
            made.scoping(),
            Own(),
            "mx.example.org",
            software=frozenset(catalogue.software()),
        )

    def reload(self, policy: Mapping[str, object], catalogue: Catalogue = CATALOGUE) -> None:
        """Another policy or catalogue from now on, as the service does it."""
        self.gate.setting = self._setting(policy, catalogue)

    def ask(self, received: list[bytes], session: Session | None = None) -> str | None:
        """One message, now."""
        return self.gate.ask(session or client(), received, "4XyQueue")

    def on(
        self, day: float, build: str, host: str = "ex01.example.com", session: Session | None = None
    ) -> str | None:
        """One message so many days after the start."""
        self.clock.now = self.start + day * DAY
        return self.ask(trace(build, host), session)

    def postfix(self) -> str | None:
        """A message of a Postfix, now."""
        return self.ask(split_headers(messages.postfix().encode()))

    def report(self) -> list[ReportRow]:
        """The report on all servers, from what was written down."""
        latest = {entry.key: entry for entry in self.entries}
        rows = [_row(entry, self.ledger) for entry in latest.values()]
        setting = self.gate.setting
        basis = Basis(self.ledger, setting.catalogue, setting.policy, self.gate.holds, self.clock.now)
        return report(rows, basis)


def _row(entry: Entry, ledger: Ledger) -> ServerRow:
    """A server's row, as the store would keep it."""
    state, seen, decision = ledger.get(entry.key), entry.sighting, entry.decision
    assert state is not None
    return ServerRow(
        reference(entry.key, SECRET),
        entry.key,
        state,
        seen.at,
        format_build(seen.build or ()),
        seen.version,
        seen.relation,
        seen.client_ip,
        seen.client_name,
        seen.line,
        decision.action,
        decision.reason,
        decision.enforced,
        decision.stage,
    )
