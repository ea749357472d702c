"""The same transcripts over Postfix and Sendmail: unix socket, TCP, and older milter protocols."""

import asyncio
import contextlib
import shutil
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import postfix
import pytest
import sendmail
import transcript
from listening import on_tcp, on_unix
from recording_gate import RecordingGate

from wehr.doors.milter import MilterServer

pytestmark = [pytest.mark.mta, pytest.mark.xdist_group("mta")]

FILES = sorted((Path(__file__).parent / "transcripts").glob("*.txt"))

STANDS = {
    # mail system, socket, milter protocol version (Postfix can be told to speak an older one)
    "postfix-tcp": ("postfix", "tcp", "6"),
    "postfix-unix": ("postfix", "unix", "6"),
    "postfix-version-2": ("postfix", "tcp", "2"),
    "postfix-version-3": ("postfix", "tcp", "3"),
    "postfix-version-4": ("postfix", "tcp", "4"),
    "sendmail-tcp": ("sendmail", "tcp", ""),
    "sendmail-unix": ("sendmail", "unix", ""),
}


@dataclass(frozen=True)
class Stand:
    """A mail system that asks a gate."""

    system: str
    address: tuple[str, int]
    gate: RecordingGate


@contextlib.contextmanager
def _door(gate: RecordingGate, path: Path) -> Iterator[int]:
    """The milter door in a thread of its own, on ``path`` and a TCP port."""
    loop = asyncio.new_event_loop()
    server = MilterServer(gate)

    async def start() -> int:
        await on_unix(server, path, 0o666)
        return await on_tcp(server)

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield asyncio.run_coroutine_threadsafe(start(), loop).result(30)
    finally:
        asyncio.run_coroutine_threadsafe(server.close(0), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()


@pytest.fixture(name="stand", scope="module", params=STANDS)
def _stand(request: pytest.FixtureRequest) -> Iterator[Stand]:
    system, kind, version = STANDS[request.param]
    folder = Path(tempfile.mkdtemp(prefix="wehr-test-"))
    folder.chmod(0o755)
    gate = RecordingGate()
    path = folder / "milter.sock"
    try:
        with contextlib.ExitStack() as stack:
            port = stack.enter_context(_door(gate, path))
            if system == "postfix":
                milter = f"unix:{path}" if kind == "unix" else f"inet:127.0.0.1:{port}"
                settings = {"milter_protocol": version}
                mx = stack.enter_context(postfix.running(folder, milter, settings=settings))
                yield Stand(system, (mx.host, mx.port), gate)
            else:
                milter = f"local:{path}" if kind == "unix" else f"inet:{port}@127.0.0.1"
                other = stack.enter_context(sendmail.running(folder, milter))
                yield Stand(system, (other.host, other.port), gate)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_transcript_holds(stand: Stand, file: Path) -> None:
    """The file's first line says what it shows."""
    if not transcript.wanted_by(file, stand.system):
        pytest.skip(f"not for {stand.system}")
    transcript.play(file, stand.address, stand.gate)


def test_a_transcript_can_fail(stand: Stand, tmp_path: Path) -> None:
    """A wrong code, a wrong text, a question that was not asked: each is named with its line."""
    for line in ("S: 250", "S: 220 hello", "asked: trace=1", "nonsense"):
        file = tmp_path / "wrong.txt"
        file.write_text(f"connect\n{line}\n")
        with pytest.raises(transcript.Failed, match=r"wrong.txt:2: "):
            transcript.play(file, stand.address, stand.gate)
