"""One request to a provider: over TLS that is checked, and bounded."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from smtp_stand import certificates

from wehr.web.access.oidc import fetch as fetching
from wehr.web.access.oidc.fetch import Away, fetch


class _Hello(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.path.encode())

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def _https(folder: Path) -> Iterator[int]:
    """A server with a certificate of the tests' own authority for localhost."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    with HTTPServer(("127.0.0.1", 0), _Hello) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join(10)


def test_a_certificate_must_be_of_a_known_authority_and_for_the_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Or somebody on the way could be the provider."""
    look_up = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda _host, *more, **names: look_up("127.0.0.1", *more, **names)
    )
    folder = certificates()
    known = ssl.create_default_context(cafile=folder / "ca.pem")
    with _https(folder) as port:
        answer = asyncio.run(fetch(f"https://mx.example.org:{port}/a?b=c", known))
        assert (answer.status, answer.body) == (200, b"/a?b=c")
        with pytest.raises(Away, match="CERTIFICATE_VERIFY_FAILED"):
            asyncio.run(fetch(f"https://mx.example.org:{port}/", ssl.create_default_context()))
        with pytest.raises(Away, match="CERTIFICATE_VERIFY_FAILED"):
            asyncio.run(fetch(f"https://other.example.org:{port}/", known))


def test_bytes_that_drip_do_not_prolong_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time is that of the whole request."""
    monkeypatch.setattr(fetching, "SECONDS", 0.3)

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while not writer.is_closing():
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                await asyncio.sleep(0.02)
        finally:
            writer.transport.abort()

    async def asked() -> None:
        async with await asyncio.start_server(drip, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(Away, match="TimeoutError"):
                await fetch(f"http://127.0.0.1:{port}/", ssl.create_default_context())

    asyncio.run(asyncio.wait_for(asked(), 10))


@pytest.mark.parametrize(
    "url", ["http://192.0.2.1/", "ftp://localhost/", "https://a b/", "", "http://localhost:99999/"]
)
def test_no_other_address_is_asked(url: str) -> None:
    """Neither without TLS elsewhere, nor what is none."""
    with pytest.raises(Away):
        asyncio.run(fetch(url, ssl.create_default_context()))
