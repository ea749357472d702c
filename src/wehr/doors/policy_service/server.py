"""The policy service's sockets."""

from wehr.doors.attributes import answer
from wehr.doors.door import Door
from wehr.doors.policy_service.session import DUNNO, PolicySession
from wehr.doors.wire import refusal
from wehr.evidence.types import Session


class PolicyServer(Door):
    """Listens for Postfix's policy delegation, and asks the gate what it knows of each client."""

    def new_session(self) -> PolicySession:
        """One connection."""
        return PolicySession(self.decide)

    def decide(self, session: Session, transaction: str) -> bytes:
        """The gate's answer as an action of access(5)."""
        return self.answer(
            lambda: self.gate.ask_early(session, transaction),
            lambda line: answer(refusal(line)),
            DUNNO,
            transaction,
        )
