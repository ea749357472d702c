"""What the proxy goes by."""

import ssl
from collections.abc import Awaitable, Callable
from enum import StrEnum
from pathlib import Path

from msgspec import Struct

from wehr.doors.smtp.names import HostName, look_up_nothing
from wehr.doors.smtp.stream import Stream
from wehr.evidence.address import is_public
from wehr.evidence.lists import Networks


class Tell(StrEnum):
    """How the next hop learns who the client is."""

    XCLIENT = "xclient"
    PROXY = "proxy"
    XFORWARD = "xforward"
    """For its logs only (Postfix, XFORWARD_README): it decides on recipients as though we were the client."""
    RECEIVED = "received"
    """For its filters; the same holds."""
    NOTHING = "nothing"
    """For a next hop that drops everything."""


class NextTls(StrEnum):
    """Whether the way to the next hop is encrypted."""

    OFF = "off"
    OFFERED = "offered"
    """If it can be; whose certificate it is, nobody asks."""
    REQUIRED = "required"
    VERIFIED = "verified"
    """With a certificate that is trusted, for the name it is reached by."""


class Timeouts(Struct, frozen=True):
    """Seconds, after RFC 5321 section 4.5.3.2: what a server and a client give each other."""

    announced: float = 5
    """For a balancer's word on who the client is."""
    command: float = 300
    """For a client's next command."""
    content: float = 300
    """For more of a message, and to read an answer; see `wehr.doors.smtp.patience`."""
    connect: float = 30
    reply: float = 300
    data: float = 120
    """For the next hop's reply to DATA."""
    block: float = 180
    """For the next hop to take more of a message."""
    end: float = 600
    """For its word on the message."""


class Certificate:
    """The certificate for clients' STARTTLS; read again when the file changes.

    ``client_ca``: clients are asked for a certificate from there. Who shows another is not served.

    Raises:
        OSError, ssl.SSLError: it cannot be used.
    """

    def __init__(self, certificate: Path, key: Path, client_ca: Path | None = None) -> None:
        self._files = (certificate, key)
        self._client_ca = client_ca
        self._context, self._stamp = self._read(), self._changed()

    def context(self) -> ssl.SSLContext:
        """As it is now; if the new file cannot be used, the old one goes on."""
        try:
            stamp = self._changed()
            if stamp != self._stamp:
                self._context, self._stamp = self._read(), stamp
        except OSError:  # ssl.SSLError is one
            pass
        return self._context

    def _changed(self) -> tuple[int, ...]:
        return tuple(file.stat().st_mtime_ns for file in self._files)

    def _read(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # Without a password OpenSSL would ask for one on the terminal, and all mail would wait for it.
        context.load_cert_chain(*self._files, password="")
        if self._client_ca:
            context.load_verify_locations(self._client_ca)
            context.verify_mode = ssl.CERT_OPTIONAL
        return context


class Proxy(Struct, frozen=True):
    """One proxy: where it passes mail on to, and how."""

    host: Callable[[], str]
    """Tells our own name, as the next hop and the client are told it; a reload may change it."""
    connect: Callable[[Callable[[], Stream]], Awaitable[object]]
    """Connects the stream that it is given with the next hop; raises OSError."""
    clock: Callable[[], float]
    """UTC seconds since 1970."""
    tell: Tell = Tell.XCLIENT
    domains: tuple[str, ...] = ()
    """Recipients that are taken at all; empty: the next hop decides alone."""
    certificate: Certificate | None = None
    tls_required: bool = False
    next_tls: NextTls = NextTls.OFFERED
    next_context: ssl.SSLContext | None = None
    next_name: str = ""
    balancers: Networks = Networks(())
    """Who says by PROXY protocol 2 who the client is, and must; all others are clients themselves."""
    listener: str = ""
    """What connectors know this door by; empty: the port."""
    early: bool = False
    """Whether RCPT may be refused, from what is remembered of the client; see `wehr.doors.early`."""
    look_up: Callable[[str], Awaitable[HostName]] = look_up_nothing
    timeouts: Timeouts = Timeouts()
    per_network: int = 0
    """Strangers at a time from one /24 or /48; 0: as many as there is room for."""
    stranger: Callable[[str], bool] = is_public
    """Whether that limit is for a client of this address; for ``balancers`` it never is."""
