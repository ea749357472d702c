"""OpenID providers for the tests: one of our own that says whatever a test wants, and a real one."""

import contextlib
import json
import shutil
import socket
import subprocess
import threading
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, unquote_plus, urlsplit

import pytest
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey
from ports import free_port
from running import until

CLIENT, SECRET = "wehr", "a secret: with %20 & more"
ROOT = Path(__file__).resolve().parent.parent.parent
FETCHED = ROOT / "build" / "npm" / "oidc-provider"
PROGRAM = FETCHED / "node_modules" / "oidc-provider" / "lib" / "index.js"

Answer = tuple[int, dict[str, str], bytes]


def rsa_key(kid: str = "one") -> RSAKey:
    """A new key to sign with."""
    return RSAKey.generate_key(2048, {"kid": kid, "use": "sig", "alg": "RS256"})


def ec_key(kid: str = "one") -> ECKey:
    """A new key to sign with."""
    return ECKey.generate_key("P-256", {"kid": kid, "use": "sig", "alg": "ES256"})


def signed(claims: dict[str, Any], key: Any, head: dict[str, Any] | None = None) -> str:
    """A token; ``head`` may change what stands before the claims."""
    given = {"alg": key.get("alg"), "kid": key.get("kid"), **(head or {})}
    given = {name: value for name, value in given.items() if value is not None}
    return jws.serialize_compact(given, json.dumps(claims), key, algorithms=[given["alg"]])


def pieced(head: dict[str, Any], claims: object, sign: Callable[[bytes], bytes]) -> str:
    """A token put together by hand, as no library would."""
    text = b".".join(_base64(json.dumps(part).encode()) for part in (head, claims))
    return (text + b"." + _base64(sign(text))).decode()


def _base64(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")


def public(*keys: Any) -> dict[str, Any]:
    """Keys as they are published."""
    return {"keys": [key.as_dict(private=False) for key in keys]}


class Stand:
    """A provider that does what the test says; honest at first.

    ``claims`` go into the ID token, over what stands there anyway; ``user_info`` is what is told beside it;
    ``token`` makes a token of claims; ``answers`` are given at a path in place of the honest ones.
    """

    def __init__(self, port: int, now: float) -> None:
        self.issuer = f"http://127.0.0.1:{port}"
        self.now = now
        self.keys: list[Any] = [rsa_key()]
        self.claims: dict[str, Any] = {"sub": "anna"}
        self.user_info: dict[str, Any] | None = None
        self.token: Callable[[dict[str, Any]], str] = lambda claims: signed(claims, self.keys[-1])
        self.answers: dict[str, Callable[[], Answer]] = {}
        self.document: dict[str, Any] = {}
        self.asked: list[str] = []
        self._codes: dict[str, dict[str, str]] = {}

    def log_in(self, location: str) -> str:
        """Somebody logs in where the browser was sent; gives where it is sent back to."""
        where = urlsplit(location)
        query = dict(parse_qsl(where.query))
        assert f"{where.scheme}://{where.netloc}{where.path}" == f"{self.issuer}/authorize"
        assert query["response_type"] == "code"
        assert query["code_challenge_method"] == "S256"
        assert query["client_id"] == CLIENT
        assert "openid" in query["scope"].split()
        code = f"code-{len(self._codes)}"
        self._codes[code] = query
        return f"{query['redirect_uri']}?code={code}&state={query['state']}"

    def answer(self, path: str, headers: Any, form: dict[str, str]) -> Answer:
        """What is answered to a request."""
        self.asked.append(path)
        if path in self.answers:
            return self.answers[path]()
        if path == "/.well-known/openid-configuration":
            return _json(200, self._about())
        if path == "/jwks":
            return _json(200, public(*self.keys))
        if path == "/token":
            return self._redeem(headers, form)
        if path == "/userinfo" and headers["Authorization"] == "Bearer access":
            return _json(200, self.user_info)
        return _json(404, {})

    def _about(self) -> dict[str, Any]:
        about = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
        }
        if self.user_info is not None:
            about["userinfo_endpoint"] = f"{self.issuer}/userinfo"
        return {**about, **self.document}

    def _redeem(self, headers: Any, form: dict[str, str]) -> Answer:
        kind, _, pair = headers.get("Authorization", "").partition(" ")
        name, _, secret = b64decode(pair).decode().partition(":")
        if (kind, unquote_plus(name), unquote_plus(secret)) != ("Basic", CLIENT, SECRET):
            return _json(401, {"error": "invalid_client"})
        begun = self._codes.pop(form["code"], None)
        digest = sha256(form["code_verifier"].encode()).digest()
        proof = _base64(digest).decode()
        if begun is None or begun["code_challenge"] != proof or begun["redirect_uri"] != form["redirect_uri"]:
            return _json(400, {"error": "invalid_grant"})
        usual = {"iss": self.issuer, "aud": CLIENT, "iat": self.now, "exp": self.now + 300}
        claims = {**usual, "nonce": begun["nonce"], **self.claims}
        return _json(200, {"id_token": self.token(claims), "access_token": "access", "token_type": "Bearer"})


def _json(status: int, data: object) -> Answer:
    return status, {"Content-Type": "application/json"}, json.dumps(data).encode()


@contextlib.contextmanager
def stand(now: float) -> Iterator[Stand]:
    """A provider of our own on loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer({})

        def do_POST(self) -> None:
            sent = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self._answer({name: values[0] for name, values in parse_qs(sent).items()})

        def _answer(self, form: dict[str, str]) -> None:
            status, headers, body = given.answer(urlsplit(self.path).path, self.headers, form)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            with contextlib.suppress(OSError):  # who has seen enough goes
                self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        given = Stand(server.server_port, now)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield given
        finally:
            server.shutdown()
            thread.join(10)


_SCRIPT = """
import { createServer } from "node:http";
const { Provider } = await import(process.argv[2]);
const [issuer, redirect, secret] = process.argv.slice(3);
const provider = new Provider(issuer, {
  clients: [{ client_id: "wehr", client_secret: secret, redirect_uris: [redirect] }],
  claims: { openid: ["sub"], profile: ["preferred_username"], groups: ["groups"] },
  scopes: ["openid", "profile", "groups"],
  cookies: { keys: ["only for the tests"] },
  pkce: { required: () => true },
  findAccount: async (ctx, id) => ({
    accountId: id,
    claims: async () => ({ sub: `id-of-${id}`, preferred_username: id, groups: ["staff", "mail"] }),
  }),
});
createServer(provider.callback()).listen(Number(new URL(issuer).port), "127.0.0.1");
"""


@contextlib.contextmanager
def real_provider(folder: Path, redirect: str) -> Iterator[str]:
    """A certified provider, which takes any name with any password; gives its issuer."""
    if not (FETCHED / "complete").exists() or not shutil.which("node"):
        pytest.skip("oidc-provider is not fetched, or there is no node: make system")
    port = free_port("127.0.0.1")
    issuer = f"http://127.0.0.1:{port}"
    script = folder / "provider.mjs"
    script.write_text(_SCRIPT)
    output = folder / "output"
    argv = ["node", str(script), PROGRAM.as_uri(), issuer, redirect, SECRET]
    with (
        output.open("wb") as out,
        subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out) as process,
    ):
        try:
            until(lambda: process.poll() is not None or _listens(port))
            assert process.poll() is None, output.read_text(errors="replace")
            yield issuer
        finally:
            process.kill()


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False
