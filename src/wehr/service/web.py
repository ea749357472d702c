"""The pages, opened beside the doors: in the same loop, but with threads and a store of their own."""

import asyncio
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from wehr.ledger import Store
from wehr.service.listeners import PUBLIC, WEB
from wehr.service.sign_on import provider_of
from wehr.web.house import House
from wehr.web.letters import Letters
from wehr.web.pages import SUMS
from wehr.web.protocol import PromptProtocol
from wehr.web.settings import WebSettings
from wehr.web.site import operators_site, public_site
from wehr.web.source import Source
from wehr.web.stores import Stores

_CONNECTIONS: Final = 200
"""At a time, for each listener; one more is told to come later."""
_PATIENCE: Final = 5
"""Seconds that a page under way has when Wehr ends."""


async def open_pages(
    source: Source,
    opener: Callable[[], Store],
    settings: WebSettings,
    sockets: Mapping[str, Sequence[socket.socket]],
    closing: AsyncExitStack,
    *,
    folder: Path,
    letters: Letters,
) -> None:
    """Show pages on the sockets, up to the end of ``closing``; ``folder`` is the state folder.

    ``letters`` writes to administrators for them.

    Raises:
        StartError: people shall log in with an OpenID provider, and cannot.
    """
    provider = provider_of(settings, folder) if sockets.get(WEB) else None
    stores = Stores(opener)
    closing.push_async_callback(asyncio.to_thread, stores.close)
    house = House(source, stores, letters)
    for name, site in ((WEB, partial(operators_site, provider=provider)), (PUBLIC, public_site)):
        if sockets.get(name):
            await _serve(site(house, settings), sockets[name], closing)
    if sockets.get(WEB):
        closing.callback(asyncio.create_task(house.keep_listing(*SUMS)).cancel)


class _Server(uvicorn.Server):
    """One that leaves signals to the service."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _serve(app: ASGIApp, sockets: Sequence[socket.socket], closing: AsyncExitStack) -> None:
    config = uvicorn.Config(
        app,
        http=PromptProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=_CONNECTIONS,
        timeout_graceful_shutdown=_PATIENCE,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(list(sockets)))  # the sockets listen already

    async def stop() -> None:
        server.should_exit = True
        await task

    closing.push_async_callback(stop)
