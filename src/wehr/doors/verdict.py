"""What the gate says of one message."""

from msgspec import Struct

from wehr.ledger import Entry
from wehr.policy import Decision


class Verdict(Struct, frozen=True, gc=False):
    """The decision, and what it stands on.

    ``reply`` is the whole SMTP line (``450 4.7.230 ...``) to refuse with, None to accept. ``entry`` is the
    server that was judged, as the journal has it; None if no server was.
    """

    decision: Decision
    reply: str | None = None
    entry: Entry | None = None
