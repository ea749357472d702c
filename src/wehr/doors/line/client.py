"""The asking side of the line protocol, for programs that stand between a mail system and the door."""

import socket
from collections.abc import Iterable, Iterator

from wehr.doors.wire import refusal
from wehr.evidence.types import Session

Address = str | tuple[str, int]
"""A unix socket's path, or a host and port."""

_MOST = 4096


def encode(session: Session, trace: Iterable[bytes], queue_id: str, own_received: int = 0) -> bytes:
    """The question about one message; ``own_received`` fields on top are the mail system's own."""
    return b"".join(b"%s=%s\n" % pair for pair in _attributes(session, trace, queue_id, own_received)) + b"\n"


def _attributes(
    session: Session, trace: Iterable[bytes], queue_id: str, own_received: int
) -> Iterator[tuple[bytes, bytes]]:
    yield b"request", b"message"
    yield b"client_address", _plain(session.client_ip)
    yield b"client_name", _plain(session.client_name)
    yield b"helo_name", _plain(session.helo)
    yield b"authenticated", b"yes" if session.authenticated else b"no"
    yield b"tls_name", _plain(session.tls_name)
    yield b"listener", _plain(session.listener)
    for domain in session.recipients:
        yield b"recipient", b"x@" + _plain(domain)
    yield b"queue_id", _plain(queue_id)
    yield b"own_received", b"%d" % own_received
    for field in trace:
        yield b"received", field.replace(b"\\", b"\\\\").replace(b"\r", b"\\r").replace(b"\n", b"\\n")


def _plain(text: str) -> bytes:
    return text.encode("utf-8", "replace").replace(b"\r", b"?").replace(b"\n", b"?")


def ask(address: Address, question: bytes, timeout: float) -> str | None:
    """Ask the door; the SMTP line to refuse with, or None to accept. Blocks, for a little over ``timeout``.

    Raises:
        OSError: it cannot be reached, is too slow, or does not speak the protocol.
    """
    with _connected(address, timeout) as connection:
        connection.sendall(question)
        answer = b""
        while not answer.endswith(b"\n\n"):
            data = connection.recv(_MOST)
            if not data or len(answer) > _MOST:
                raise ConnectionResetError("no answer of the line protocol")
            answer += data
    action = answer.removeprefix(b"action=").strip().decode("ascii", "replace")
    if action == "accept":
        return None
    try:
        return refusal(action).decode("ascii")
    except ValueError as error:
        raise ConnectionResetError(str(error)) from None


def _connected(address: Address, timeout: float) -> socket.socket:
    if not isinstance(address, str):
        return socket.create_connection(address, timeout)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout)
        connection.connect(address)
    except OSError:
        connection.close()
        raise
    return connection
