"""A gate for the tests of the doors."""

from collections.abc import Sequence

from wehr.doors.verdict import Verdict
from wehr.evidence.types import Session
from wehr.policy import Action, Decision, Reason

_DECISIONS = {
    None: Decision(Action.ACCEPT, Reason.COMPLIANT),
    "4": Decision(Action.THROTTLE, Reason.THROTTLED, enforced=True, stage=4, throttle=20),
    "5": Decision(Action.BLOCK, Reason.BLOCKED, enforced=True, stage=8, block=60),
}


class RecordingGate:
    """Answers what it is told to, and remembers what it was asked."""

    def __init__(self) -> None:
        self.answer: str | Exception | None = None
        self.asked: list[tuple[Session, list[bytes], str]] = []

    def ask(self, session: Session, trace: Sequence[bytes], queue_id: str) -> str | None:
        """Remember, and answer."""
        self.asked.append((session, list(trace), queue_id))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def verdict(self, session: Session, trace: Sequence[bytes], queue_id: str) -> Verdict:
        """The same with a decision that fits."""
        reply = self.ask(session, trace, queue_id)
        return Verdict(_DECISIONS[reply and reply[0]], reply)

    def ask_early(self, session: Session, transaction: str) -> str | None:
        """The same without a message."""
        return self.ask(session, (), f"early {transaction}")

    def milters_for(self, client_ip: str) -> str | None:
        """The same for a client's address."""
        return self.ask(Session(client_ip=client_ip), (), "")
