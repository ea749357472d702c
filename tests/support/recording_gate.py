"""A gate for the tests of the doors."""

from collections.abc import Sequence

from wehr.evidence.types import Session


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

    def ask_early(self, session: Session, transaction: str) -> str | None:
        """The same without a message."""
        return self.ask(session, (), f"early {transaction}")
