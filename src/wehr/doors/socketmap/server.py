"""The socketmap's sockets."""

from wehr.doors.attributes import text
from wehr.doors.door import Door
from wehr.doors.socketmap.session import NOT_FOUND, SocketmapSession, netstring
from wehr.evidence.address import canonical


class SocketmapServer(Door):
    """Listens for Postfix's look-ups of ``smtpd_milter_maps``, and asks the gate which clients may pass."""

    def new_session(self) -> SocketmapSession:
        """One connection."""
        return SocketmapSession(self.look_up)

    def look_up(self, key: bytes) -> bytes:
        """The gate's answer for a client's address; ``NOTFOUND`` leaves ``smtpd_milters`` in force."""
        client = canonical(text(key))
        return self.answer(
            lambda: self.gate.milters_for(client),
            lambda milters: netstring(b"OK " + milters.encode("ascii")),
            NOT_FOUND,
            client,
        )
