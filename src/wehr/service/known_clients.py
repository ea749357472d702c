"""What is known of client addresses outlives a restart: a file for each worker, which all of them read."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
import structlog

from wehr.doors.clients import Busy, Clients
from wehr.ledger.journal import make_frame, open_frame

log = structlog.get_logger()

_SECONDS: Final = 600.0
_decoder = msgspec.msgpack.Decoder(dict[str, Busy])


class KnownClients:
    """Keeps one worker's clients in a file of the state folder, and learns from the other workers' files.

    Whatever is lost with a file costs speed and nothing else: the clients are watched until they are known
    again.
    """

    def __init__(self, clients: Clients, folder: Path, worker: int) -> None:
        self._clients = clients
        self._folder = folder
        self._file = folder / f"clients-{worker}"
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read what there is, and keep it from now on."""
        self._clients.learn(await asyncio.to_thread(self._read))
        self._task = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Write it a last time."""
        if self._task is None:
            return
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        await asyncio.to_thread(self._write, dict(self._clients.known()))

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(_SECONDS)
            await asyncio.to_thread(self._write, dict(self._clients.known()))
            self._clients.learn(await asyncio.to_thread(self._read))

    def _read(self) -> Mapping[str, Busy]:
        """What all the machine's workers know; a file that is not whole is passed over."""
        found: dict[str, Busy] = {}
        for file in sorted(self._folder.glob("clients-*")):
            with suppress(OSError, msgspec.MsgspecError):
                for ip, busy in _decoder.decode(open_frame(file.read_bytes()) or b"").items():
                    found[ip] = busy.join(found.get(ip, Busy()))
        return found

    def _write(self, known: Mapping[str, Busy]) -> None:
        draft = self._folder / f"draft-{self._file.name}"
        try:
            draft.touch(mode=0o600)
            draft.write_bytes(make_frame(msgspec.msgpack.encode(known)))
            draft.replace(self._file)
        except OSError as error:
            log.warning("what is known of clients cannot be kept", error=str(error))
