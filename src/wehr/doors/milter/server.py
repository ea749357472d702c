"""The milter door's sockets."""

from collections.abc import Sequence

from wehr.doors.door import Door
from wehr.doors.milter import codec
from wehr.doors.milter.session import ACCEPTED, MilterSession
from wehr.doors.sockets import bind_unix
from wehr.doors.types import Counters, Event, Gate, Limits
from wehr.evidence.types import Session

__all__ = ["Counters", "Event", "Gate", "Limits", "MilterServer", "bind_unix"]


class MilterServer(Door):
    """Listens for mail systems that speak the milter protocol, and asks the gate about every message."""

    def new_session(self) -> MilterSession:
        """One connection."""
        return MilterSession(self.decide)

    def decide(self, session: Session, trace: Sequence[bytes], queue_id: str) -> bytes:
        """The gate's answer as a frame."""
        return self.answer(
            lambda: self.gate.ask(session, trace, queue_id), codec.encode_reply, ACCEPTED, queue_id
        )
