"""The probe of ``wehr doctor --send``: a message through a mail system, which Wehr refuses on the way."""

import smtplib
import socket
from email.utils import formatdate
from ipaddress import ip_address

from msgspec import Struct

from wehr.doors.probe import HOST, REPLY, trace
from wehr.service.door_probes import AS_ROOT, UNSIGNED
from wehr.service.door_settings import split_address
from wehr.service.mta.types import Finding, Level

_MESSAGE = """\
Received: {trace}
From: <postmaster@{host}>
To: <{recipient}>
Date: {date}
Message-ID: <{now}@{host}>
Subject: wehr doctor: Wehr was not asked about this message

This is the probe of wehr doctor. Wehr refuses it: that you can read it means that Wehr was not asked.
"""
_PATIENCE = 30.0


class Way(Struct, frozen=True):
    """Whom the probe is for, and by which mail system.

    ``recipient`` is an address that it takes mail for, ``via`` where it listens, as HOST:PORT. It must see us
    as loopback, or as one of its own.

    Raises:
        ValueError: ``via`` is no address, or the recipient none.
    """

    recipient: str
    via: str

    def __post_init__(self) -> None:
        split_address(self.via)
        name = self.recipient
        if not name.isascii() or name.count("@") != 1 or any(it in name for it in "<>\r\n \t"):
            raise ValueError(f"{name!r} is not a mail address")


def send(way: Way, secret: bytes | None, now: float) -> Finding:
    """Hand the probe to a mail system. If Wehr is not asked, it is delivered to the recipient, and says so.

    Args:
        way: from whom to whom.
        secret: the fleet's; without it nothing is sent, for Wehr would not know the probe.
        now: UTC seconds since 1970.
    """
    about, recipient = f"probe via {way.via}", way.recipient
    if not secret:
        return Finding(Level.WRONG, about, UNSIGNED, AS_ROOT)
    stamp = trace(secret, now)
    message = _MESSAGE.format(trace=stamp, host=HOST, recipient=recipient, date=formatdate(now), now=now)
    try:
        step, code, said = _hand_over(way, message)
    except (OSError, smtplib.SMTPException) as error:
        text = f"no mail system answers there: {error}"
        return Finding(Level.WRONG, about, text[:300], "name its address with --via")
    if step != "DATA":
        remedy = "name a recipient that this mail system takes mail for"
        return Finding(Level.WRONG, about, f"the mail system answers {step}: {said}"[:400], remedy)
    if said.endswith(REPLY.removeprefix("550 5.7.230 ")):
        return Finding(Level.OK, about, f"Wehr saw it and refused it: {said}")
    if code == 250:
        text = f"was taken, and is delivered to {recipient}: Wehr was not asked, or could not be reached"
        return Finding(Level.WRONG, about, text, "see what is said of the mail system above")
    return Finding(Level.WRONG, about, f"was refused, but not by Wehr: {said}"[:400], "see its log")


def _hand_over(way: Way, message: str) -> tuple[str, int, str]:
    """The last step that was taken, the code of its answer, and all of that in one line."""
    host, port = split_address(way.via)
    with smtplib.SMTP(
        host, port, local_hostname=HOST, timeout=_PATIENCE, source_address=source(host, port)
    ) as client:
        client.ehlo()
        for step in ("MAIL FROM:<>", f"RCPT TO:<{way.recipient}>"):
            code, text = client.docmd(step)
            if code != 250:
                return step, code, _line(code, text)
        code, text = client.data(message)  # as text, of which smtplib ends each line with CRLF
        return "DATA", code, _line(code, text)


def source(host: str, port: int) -> tuple[str, int] | None:
    """Loopback as our own end if that is this machine, for from a public address the probe does not count.

    Not where the kernel does so anyway: a name such as localhost may have addresses of both families.
    """
    try:
        family, _, _, _, there = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, socket.SOCK_DGRAM) as way:
            way.connect(there)  # sends nothing: the kernel only chooses our address
            here = way.getsockname()[0]
    except OSError:
        return None
    if here != there[0] or ip_address(here).is_loopback:
        return None
    return "::1" if family == socket.AF_INET6 else "127.0.0.1", 0


def _line(code: int, text: bytes) -> str:
    return " ".join(f"{code} {text.decode('ascii', 'replace')}".split())
