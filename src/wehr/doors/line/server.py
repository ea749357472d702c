"""The line door's sockets."""

from wehr.doors.attributes import answer
from wehr.doors.door import Door
from wehr.doors.line.session import ACCEPTED, LineSession, Question
from wehr.doors.wire import refusal


class LineServer(Door):
    """Listens for mail systems that speak the line protocol, and asks the gate about every message."""

    def new_session(self) -> LineSession:
        """One connection."""
        return LineSession(self.decide)

    def decide(self, question: Question) -> bytes:
        """The gate's answer as a line."""

        def ask() -> str | None:
            if question.early:
                return self.gate.ask_early(question.session, question.queue_id)
            return self.gate.ask(question.session, question.trace, question.queue_id)

        return self.answer(ask, lambda line: answer(refusal(line)), ACCEPTED, question.queue_id)
