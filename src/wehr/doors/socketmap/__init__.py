"""The door for Postfix's ``smtpd_milter_maps``: which clients' sessions need not be shown to the milter."""

from wehr.doors.socketmap.server import SocketmapServer
from wehr.doors.socketmap.session import SocketmapSession

__all__ = ["SocketmapServer", "SocketmapSession"]
