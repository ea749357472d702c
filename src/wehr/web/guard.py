"""Around every page: who is asked for, who asks, how much they may send, and what browsers must not do."""

import ipaddress
from collections.abc import Callable, Collection
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wehr.web.languages import N_, choose, translations
from wehr.web.problem import is_api, problem_response
from wehr.web.settings import WebSettings

MOST_BYTES: Final = 1 << 20
"""Of a request's body."""
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self' data:; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}
"""On every answer that does not say otherwise itself."""


class Guard:
    """Wraps the application.

    It leaves ``client`` (the visitor's address) and ``scheme`` in the scope, as a trusted proxy tells them.

    Args:
        app: what is wrapped.
        settings: who is trusted.
        hosts: names by which the pages are reached at present, beside localhost and addresses.
    """

    def __init__(self, app: ASGIApp, settings: WebSettings, hosts: Callable[[], Collection[str]]) -> None:
        self._app = app
        self._hosts = hosts
        self._proxies = tuple(ipaddress.ip_network(it, strict=False) for it in settings.trusted_proxies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        self._look_behind(scope, headers)

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    answer.setdefault(name, value)
            await send(message)

        if refusal := self._refusal(scope, headers):
            await refusal(scope, receive, dressed)
        else:
            await self._app(scope, _bounded(receive), dressed)

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        """What is answered to a request that no page should see."""
        if not self._is_ours(headers.getlist("host")):
            # Or a foreign page could have its own name point here, and read what we answer.
            status, text = 421, N_("Unknown host name; see web.allowed_hosts.")
        elif "\0" in scope["path"]:  # PostgreSQL takes no such text, and nothing is called so
            status, text = 404, N_("There is no such page.")
        elif b"%00" in scope["query_string"]:
            status, text = 400, N_("No text may hold NUL.")
        elif _length(headers) > MOST_BYTES:
            status, text = 413, N_("A body has 1 MiB at most.")
        else:
            return None
        if is_api(scope["path"]):
            return problem_response(status, text)
        language = choose((), headers.get("accept-language", ""))
        return PlainTextResponse(f"{translations(language).gettext(text)}\n", status)

    def _is_ours(self, hosts: list[str]) -> bool:
        if len(hosts) != 1:
            return False
        name = hosts[0].lower()
        if not name.endswith("]"):
            head, _, port = name.rpartition(":")
            name = head if port.isdecimal() and head else name
        return name in {"localhost", *map(str.lower, self._hosts())} or _address(name.strip("[]")) is not None

    def _look_behind(self, scope: Scope, headers: Headers) -> None:
        """Take the visitor's address and scheme from a trusted proxy, and from nobody else."""
        peer = (scope.get("client") or ("", 0))[0]
        scope["wehr.trusted"] = trusted = self._trusts(peer)
        if not trusted:
            return
        if headers.get("x-forwarded-proto", "").strip().lower() == "https":
            scope["scheme"] = "https"
        # Each proxy adds at the end whom it was asked by: the last that is none of ours is the visitor.
        chain = [it.strip() for field in headers.getlist("x-forwarded-for") for it in field.split(",")]
        for address in reversed(chain):
            if _address(address) is None:
                break
            peer = address
            if not self._trusts(address):
                break
        scope["client"] = (peer, 0)

    def _trusts(self, peer: str) -> bool:
        address = _address(peer)
        return address is not None and any(address in network for network in self._proxies)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def _length(headers: Headers) -> int:
    length = headers.get("content-length", "0")
    return int(length) if length.isdecimal() and len(length) < 12 else MOST_BYTES + 1


def _bounded(receive: Receive) -> Receive:
    """The same, but for bodies that grow beyond the limit without having said so."""
    taken = 0

    async def bounded() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > MOST_BYTES:
            raise HTTPException(413)
        return message

    return bounded
