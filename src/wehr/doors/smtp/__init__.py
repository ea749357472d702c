"""The SMTP door: a proxy in front of mail systems that have no other way to ask, and a sink to try Wehr out.

Not on aiosmtpd and aiosmtplib, though both are well kept. aiosmtpd 1.4.6 is a server, not a proxy: it has no
hook at the end of the headers, keeps a message in memory as lines (400 MB for one of 100 MB, and 3 s of CPU),
cuts commands at bare LFs, answers DSN's parameters with 555 and BDAT with 500, and offers no PIPELINING; what
would have to be overridden is every command and its private state. aiosmtplib 5.1 waits for each reply, takes
a message whole, and gives replies without their bytes. A proxy needs few semantics: lines and replies pass as
they are. aiosmtpd is what the sink is made of, and both are peers in the tests.

``framing`` and ``commands`` know the bytes, ``stream`` a socket, ``next_hop`` the other side, ``session``
what goes when, ``server`` the clients.
"""

from wehr.doors.smtp.server import SmtpServer
from wehr.doors.smtp.settings import Certificate, NextTls, Proxy, Tell, Timeouts
from wehr.doors.smtp.sink import SINK, sink

__all__ = ["SINK", "Certificate", "NextTls", "Proxy", "SmtpServer", "Tell", "Timeouts", "sink"]
