"""How each door is tried: a probe is sent through, which the door must refuse, or leave to the headers.

One entry a door in `PROBES`, by the name of its table in the configuration. Each is given a place, the
seconds that it may take and the probe's stamp, and returns what was answered.
"""

import http.client
import smtplib
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from wehr.doors.line.client import ask, encode
from wehr.doors.milter import MilterClient
from wehr.doors.probe import HOST, REPLY, trace
from wehr.doors.wire import ProtocolError
from wehr.evidence import Session
from wehr.service.config import Config
from wehr.service.doors import DOORS
from wehr.service.mta.places import Place, places
from wehr.service.mta.types import Finding, Level

PATIENCE: Final = 3.0
"""Seconds that a door may take: as long as the mail systems are told to wait."""

UNSIGNED: Final = "no probe is made, for its token needs the fleet's secret, and the store cannot be read"
AS_ROOT: Final = "run it as root, and name Wehr's folder with --state"
_ANEW: Final = "restart Wehr, so that it is the version installed; or name its folder with --state"
_MOST: Final = 64 << 10
_CLIENT: Final = Session(client_ip="127.0.0.1", client_name="localhost", helo=HOST, recipients=(HOST,))


def _milter(place: Place, patience: float, stamp: str) -> str:
    with MilterClient(place.address, _CLIENT, timeout=patience) as client:
        return client.deliver([("Received", " " + stamp)])


def _line(place: Place, patience: float, stamp: str) -> str:
    return ask(place.address, encode(_CLIENT, [stamp.encode()], "probe"), patience) or "accept"


def _policy_service(place: Place, patience: float, _: str) -> str:
    """Without headers nobody is a probe: the answer to a stranger is DUNNO."""
    request = {
        "request": "smtpd_access_policy",
        "protocol_state": "RCPT",
        "client_address": "127.0.0.1",
        "client_name": "localhost",
        "helo_name": HOST,
        "recipient": f"postmaster@{HOST}",
        "instance": "probe",
    }
    with _connected(place, patience) as connection:
        connection.sendall("".join(f"{name}={value}\n" for name, value in request.items()).encode() + b"\n")
        return connection.makefile("rb").readline(1024).decode("ascii", "replace").strip()


def _http(place: Place, patience: float, stamp: str) -> str:
    """Where tokens are demanded, that much is seen: only their hashes are in the configuration."""
    question = {
        "client_ip": _CLIENT.client_ip,
        "helo": HOST,
        "recipients": _CLIENT.recipients,
        "headers": [["Received", stamp]],
    }
    connection = http.client.HTTPConnection(HOST, timeout=patience)
    connection.sock = _connected(place, patience)
    try:
        connection.request(
            "POST", "/v1/decide", msgspec.json.encode(question), {"Content-Type": "application/json"}
        )
        response = connection.getresponse()
        if response.status != 200:
            return f"HTTP {response.status}"
        answer = msgspec.json.decode(response.read(_MOST), type=dict[str, object])
        return " ".join(str(answer.get(part)) for part in ("smtp_code", "enhanced_code", "text"))
    except http.client.HTTPException as error:
        raise ProtocolError(repr(error)) from None
    finally:
        connection.close()


def _socketmap(place: Place, patience: float, _: str) -> str:
    """A client that is never judged is not known well enough to pass unseen."""
    with _connected(place, patience) as connection:
        connection.sendall(b"17:milters 127.0.0.1,")
        return connection.recv(_MOST).decode("ascii", "replace")


def _smtp(place: Place, patience: float, _: str) -> str:
    """Only greeted: who may be written to behind it is not known. ``--send`` and ``--via`` go through."""
    with smtplib.SMTP(place.host, place.port, local_hostname=HOST, timeout=patience) as client:
        return str(client.ehlo()[0])


def _sink(place: Place, patience: float, stamp: str) -> str:
    """It takes mail for anybody, and drops it."""
    with smtplib.SMTP(place.host, place.port, local_hostname=HOST, timeout=patience) as client:
        client.ehlo()
        client.mail("")
        client.rcpt(f"postmaster@{HOST}")
        code, text = client.data(f"Received: {stamp}\r\n\r\nThe probe of wehr doctor.\r\n".encode())
        return f"{code} {text.decode('ascii', 'replace')}"


def _connect(place: Place, patience: float, _: str) -> str:
    _connected(place, patience).close()
    return ""


def _connected(place: Place, patience: float) -> socket.socket:
    if not place.path:
        return socket.create_connection((place.host, place.port), patience)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(patience)
        connection.connect(place.path)
    except OSError:
        connection.close()
        raise
    return connection


Probe = Callable[[Place, float, str], str]

PROBES: Final[Mapping[str, tuple[Probe, frozenset[str]]]] = {
    "milter": (_milter, frozenset({REPLY})),
    "line": (_line, frozenset({REPLY})),
    "policy_service": (_policy_service, frozenset({"action=DUNNO"})),
    "http": (_http, frozenset({REPLY, "HTTP 401"})),
    "smtp": (_smtp, frozenset({"250"})),
    "sink": (_sink, frozenset({REPLY})),
    "socketmap": (_socketmap, frozenset({"9:NOTFOUND ,"})),
}
"""The probe of each door, and the answers that are right. A door without one is only connected to."""
_CONNECTED: Final = (_connect, frozenset({""}))


def try_doors(
    config: Config, folder: Path, secret: bytes | None, now: float, patience: float = PATIENCE
) -> Iterator[Finding]:
    """Try each open door at each of its places.

    Args:
        config: what is configured.
        folder: the state folder.
        secret: the fleet's; without it the doors that refuse a probe are only connected to.
        now: UTC seconds since 1970.
        patience: seconds that a door may take.
    """
    stamp = trace(secret, now) if secret else ""
    for door in DOORS:
        # This machine may be a balancer's, too, and would have to say whom it speaks for.
        shy = door == "smtp" and config.smtp.balancers
        for place in places(config, folder, door):
            yield _try(door, place, patience, stamp, _CONNECTED if shy else PROBES.get(door, _CONNECTED))


def _try(
    door: str, place: Place, patience: float, stamp: str, trial: tuple[Probe, frozenset[str]]
) -> Finding:
    about, (probe, wanted) = f"{door} {place}", trial
    unsigned = REPLY in wanted and not stamp
    if unsigned:
        probe, wanted = _CONNECTED
    began = time.monotonic()
    try:
        answer = probe(place, patience, stamp)
    except (OSError, ProtocolError, ValueError) as error:
        text, remedy = _diagnosis(error, door, place, patience)
        return Finding(Level.WRONG, about, text[:300], remedy)
    if answer not in wanted:
        text = f"the probe was answered {answer[:200]!r}: an older Wehr, another's, or another program"
        return Finding(Level.WRONG, about, text, _ANEW)
    took = (time.monotonic() - began) * 1000
    if unsigned:
        return Finding(Level.ODD, about, f"connects ({took:.1f} ms); {UNSIGNED}", AS_ROOT)
    said = "connects" if probe is _connect else "answers a probe as it should"
    return Finding(Level.OK, about, f"{said} ({took:.1f} ms)")


def _diagnosis(error: Exception, door: str, place: Place, patience: float) -> tuple[str, str]:
    """What is wrong, and what to do about it."""
    match error:
        case FileNotFoundError():
            return "there is no such socket", "start Wehr, or name its folder with --state"
        case ConnectionRefusedError():
            return "nobody listens there", "start Wehr: wehr serve, or systemctl start wehr"
        case PermissionError():
            remedy = f"wehr.toml: [{door}] socket_mode and socket_group; or run doctor as root"
            return "this user may not connect to the socket", remedy
        case smtplib.SMTPResponseException(smtp_code=421):
            said = error.smtp_error
            text = f"is told 421: {said.decode('ascii', 'replace') if isinstance(said, bytes) else said}"
            return text, "see that the mail system at smtp.next_hop runs, and Wehr's log"
        case TimeoutError():
            text = f"gives no answer within {patience:g} s: Wehr hangs, or it is another program"
        case _:
            text = f"what answers there does not speak the door's protocol: {error}"
    return text, f"see who listens: ss -lntxp | grep {place.port or place.path}"
