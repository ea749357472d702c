"""The probe of ``wehr doctor --send``: a message through a mail system, which Wehr refuses on the way."""

import smtplib
from email.utils import formatdate

from wehr.doors.probe import HOST, REPLY, TRACE
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


def send(recipient: str, via: str, now: float) -> Finding:
    """Hand the probe to a mail system. If Wehr is not asked, it is delivered to the recipient, and says so.

    Args:
        recipient: an address that the mail system takes mail for.
        via: where it listens, as HOST:PORT. It must see us as loopback, or as one of its own.
        now: UTC seconds since 1970.

    Raises:
        ValueError: ``via`` is no address, or the recipient none.
    """
    host, port = split_address(via)
    if not recipient.isascii() or recipient.count("@") != 1 or any(it in recipient for it in "<>\r\n \t"):
        raise ValueError(f"{recipient!r} is not a mail address")
    about = f"probe via {via}"
    message = _MESSAGE.format(trace=TRACE, host=HOST, recipient=recipient, date=formatdate(now), now=now)
    try:
        step, code, said = _hand_over(host, port, recipient, message)
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


def _hand_over(host: str, port: int, recipient: str, message: str) -> tuple[str, int, str]:
    """The last step that was taken, the code of its answer, and all of that in one line."""
    with smtplib.SMTP(host, port, local_hostname=HOST, timeout=_PATIENCE) as client:
        client.ehlo()
        for step in ("MAIL FROM:<>", f"RCPT TO:<{recipient}>"):
            code, text = client.docmd(step)
            if code != 250:
                return step, code, _line(code, text)
        code, text = client.data(message.encode("ascii"))
        return "DATA", code, _line(code, text)


def _line(code: int, text: bytes) -> str:
    return " ".join(f"{code} {text.decode('ascii', 'replace')}".split())
