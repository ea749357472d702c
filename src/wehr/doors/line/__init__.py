"""The line door: one small text protocol for every mail system that can ask a socket, Exim first.

``session`` knows the protocol, ``server`` the sockets; docs/line.md explains it to administrators.
"""

from wehr.doors.line.server import LineServer
from wehr.doors.line.session import LineSession, Question

__all__ = ["LineServer", "LineSession", "Question"]
