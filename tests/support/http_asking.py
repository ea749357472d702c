"""Requests to the HTTP door, and its answers taken apart."""

import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import h11

HEAD = {"Host": "wehr", "Content-Type": "application/json"}


def post(path: str, body: bytes | Mapping[str, Any], **headers: str) -> bytes:
    """A request as it goes on the wire."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    fields = {**HEAD, "Content-Length": str(len(content)), **given}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"POST {path} HTTP/1.1\r\n{lines}\r\n".encode() + content


@dataclass
class Answered:
    """One response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body's value."""
        return json.loads(self.body)


def answers(data: bytes, method: str = "POST") -> list[Answered]:
    """The responses that the bytes hold, whole and well-formed, to requests of that method."""
    found = []
    while data:
        client = h11.Connection(h11.CLIENT)
        client.send(h11.Request(method=method, target="/", headers=[("Host", "wehr")]))
        client.send(h11.EndOfMessage())
        client.receive_data(data)
        body = b""
        head = None
        while not isinstance(event := client.next_event(), h11.EndOfMessage):
            if isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.Response):
                head = event
            else:
                assert isinstance(event, h11.InformationalResponse), event
        assert head is not None
        names = {name.decode().title(): value.decode() for name, value in head.headers}
        found.append(Answered(head.status_code, names, body))
        data = client.trailing_data[0]
    return found


def exchange(connection: socket.socket, request: bytes) -> list[Answered]:
    """Send a request that ends the connection; the answers that came before its end."""
    connection.settimeout(20)
    connection.sendall(request)
    data = b""
    while part := connection.recv(65536):
        data += part
    return answers(data)
