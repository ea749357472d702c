"""The milter door: Postfix, Sendmail and whoever else speaks their filter protocol.

``codec`` knows the bytes, ``session`` what may come when, ``server`` the sockets; ``client`` is the mail
system's side of the same protocol, for the demonstration, the tests and the bench.
"""

from wehr.doors.milter.client import AsyncMilterClient, ClientSession, MilterClient
from wehr.doors.milter.codec import Offer
from wehr.doors.milter.server import Counters, Event, Gate, Limits, MilterServer
from wehr.doors.milter.session import MilterSession
from wehr.doors.wire import ProtocolError

__all__ = [
    "AsyncMilterClient",
    "ClientSession",
    "Counters",
    "Event",
    "Gate",
    "Limits",
    "MilterClient",
    "MilterServer",
    "MilterSession",
    "Offer",
    "ProtocolError",
]
