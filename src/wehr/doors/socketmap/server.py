"""The map's sockets."""

from wehr.doors.door import Door
from wehr.doors.socketmap.session import Form, SocketmapSession
from wehr.doors.wire import text
from wehr.evidence.address import canonical


class SocketmapServer(Door):
    """Listens for Postfix's look-ups of ``smtpd_milter_maps``, and asks the gate which clients may pass."""

    def new_session(self) -> SocketmapSession:
        """One connection."""
        return SocketmapSession(self.look_up)

    def look_up(self, key: bytes, form: Form) -> bytes:
        """The gate's answer for a client's address; nothing found leaves ``smtpd_milters`` in force."""
        client = canonical(text(key))
        return self.answer(
            lambda: self.gate.milters_for(client),
            lambda milters: form.found(key, milters.encode("ascii")),
            form.missing,
            client,
        )
