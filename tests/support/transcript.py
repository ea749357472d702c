r"""Black-box transcripts: what the gate answers, the client sends and must see, and the gate is asked.

One instruction a line; ``#`` begins a comment, the first of which says what the transcript shows.

=====================  ==================================================================================
``only: NAME``         for this mail system alone (``postfix`` or ``sendmail``)
``answer: LINE``       what the gate says from now on: an SMTP line, ``accept``, or ``error`` for a failure
``connect [ADDRESS]``  a new SMTP session, from that loopback address
``C: LINE``            the client sends a line (``\xNN`` is a byte); what it sends in one go is sent at once
``S: CODE [TEXT]``     it must see this code, with TEXT as the last line of the reply if one is given
``hang up``            the client closes the connection without a word
``asked: KEY=VALUE..`` the gate's next question; ``client``, ``helo``, ``recipients``, ``trace`` (how many
                       fields), ``top`` (the beginning of the first, up to its first blank)
``asked: nothing``     it was asked nothing else so far
=====================  ==================================================================================
"""

import re
import socket
from pathlib import Path
from typing import BinaryIO

from recording_gate import RecordingGate


class Failed(AssertionError):
    """The transcript and the mail system disagree; names file and line."""


def wanted_by(file: Path, system: str) -> bool:
    """Whether the transcript is for this mail system."""
    only = re.search(r"^only: (\w+)$", file.read_text("ascii"), re.MULTILINE)
    return only is None or only[1] == system


def play(file: Path, address: tuple[str, int], gate: RecordingGate) -> None:
    """Play one transcript against a mail system that asks ``gate``.

    Raises:
        Failed: something is not as the transcript says.
    """
    gate.answer = None
    gate.asked.clear()
    player = _Player(address, gate)
    try:
        for number, line in enumerate(file.read_text("ascii").splitlines(), 1):
            if line and not line.startswith(("#", "only:")):
                try:
                    player.take(line)
                except (AssertionError, OSError) as error:
                    raise Failed(f"{file.name}:{number}: {line}: {error}") from error
    finally:
        player.hang_up()
    if gate.asked:
        raise Failed(f"{file.name}: the gate was also asked {gate.asked}")


class _Player:
    def __init__(self, address: tuple[str, int], gate: RecordingGate) -> None:
        self._address = address
        self._gate = gate
        self._socket: socket.socket | None = None
        self._reader: BinaryIO | None = None
        self._unsent = b""

    def take(self, line: str) -> None:
        """Do what one line says."""
        word, _, rest = line.partition(": ")
        match word.split(" "):
            case ["connect", *source]:
                self._connect(*source)
            case ["hang", "up"]:
                self._send()
                self.hang_up()
            case ["answer"]:
                self._gate.answer = {"accept": None, "error": OSError("made up")}.get(rest, rest)
            case ["C"] | ["C:"]:
                self._unsent += _bytes(rest) + b"\r\n"
            case ["S"]:
                self._send()
                self._see(*rest.split(" ", 1))
            case ["asked"]:
                self._asked(rest)
            case _:
                raise AssertionError("not an instruction")

    def hang_up(self) -> None:
        if self._socket and self._reader:
            self._reader.close()
            self._socket.close()
            self._socket = None

    def _connect(self, source: str = "127.0.0.1") -> None:
        self.hang_up()
        self._socket = socket.create_connection(self._address, 20, (source, 0))
        self._reader = self._socket.makefile("rb")

    def _send(self) -> None:
        assert self._socket
        self._socket.sendall(self._unsent)
        self._unsent = b""

    def _see(self, code: str, text: str = "") -> None:
        assert self._reader
        line = self._reader.readline()
        while line[3:4] == b"-":
            line = self._reader.readline()
        seen = line.decode("ascii").rstrip("\r\n")
        assert seen[:3] == code, f"saw {seen!r}"
        assert not text or seen[4:] == text, f"saw {seen!r}"

    def _asked(self, wanted: str) -> None:
        if wanted == "nothing":
            assert not self._gate.asked, self._gate.asked
            return
        assert self._gate.asked, "was not asked"
        session, trace, queue_id = self._gate.asked.pop(0)
        assert queue_id
        facts = {
            "client": session.client_ip,
            "helo": session.helo,
            "recipients": ",".join(session.recipients),
            "trace": str(len(trace)),
            "top": trace[0].decode("latin-1").split()[1] if trace else "",
        }
        for pair in wanted.split(" "):
            key, _, value = pair.partition("=")
            assert facts[key] == value, f"{key} was {facts[key]!r}"


def _bytes(text: str) -> bytes:
    return re.sub(
        rb"\\x([0-9a-f]{2})", lambda escape: bytes.fromhex(escape[1].decode()), text.encode("ascii")
    )
