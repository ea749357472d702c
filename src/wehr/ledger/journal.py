"""The journal of one worker: what it saw and answered, on disk before the client is answered.

A folder per node holds segments named by rising numbers. A segment begins with `_MAGIC`; after it stand
frames: length and CRC-32 (both little-endian, the CRC over length and payload), then one `Entry` in
MessagePack. An entry is one ``write`` of one frame to a file that nobody else writes, without fsync: a killed
process loses nothing, a lost machine at most what the kernel had not written. A process never appends to a
segment that it did not begin, so a torn frame can only be the last of its segment.
"""

import fcntl
import os
import zlib
from pathlib import Path
from struct import Struct as Layout
from types import TracebackType
from typing import BinaryIO, Final, Self

import msgspec
from msgspec import Struct

from wehr.evidence.types import Relation, Sighting
from wehr.ledger.errors import JournalBusy
from wehr.policy.types import Decision, ServerKey

SEGMENT_BYTES: Final = 16 * 2**20
_MAGIC: Final = b"WEHRJ\x01\r\n"
_HEAD: Final = Layout("<II")
_MAX_PAYLOAD: Final = 64 * 1024
_SUFFIX: Final = ".journal"


class Entry(Struct, frozen=True, gc=False, omit_defaults=True):
    """One message's sighting of one server, for one tenant, and what was decided."""

    key: ServerKey
    sighting: Sighting
    compliant: bool | None
    decision: Decision
    queue_id: str = ""
    door: str = ""

    @property
    def evident(self) -> bool:
        """Whether it is evidence. Without headers (a refusal at RCPT) the sighting names what was known."""
        return self.sighting.relation is not Relation.NONE


_decoder = msgspec.msgpack.Decoder(Entry)


class Position(Struct, frozen=True, order=True):
    """A place in a node's journal: everything before it is in the store."""

    segment: int = 0
    offset: int = 0


class Batch(Struct, frozen=True):
    """Entries read from a journal, the place after them, and how many damaged bytes were passed over."""

    entries: tuple[Entry, ...]
    end: Position
    damaged: int = 0


class Journal:
    """The writing end, one per process.

    Args:
        folder: the node's own folder; made if missing, for its owner alone.
        now: UTC seconds since 1970. Segments are numbered from here on, so that numbers rise even if the
            folder was lost while the store still holds positions in it.
        segment_bytes: when the next segment is begun.

    Raises:
        JournalBusy: another process has it open.
        OSError: the folder cannot be written.
    """

    def __init__(self, folder: Path, now: float, *, segment_bytes: int = SEGMENT_BYTES) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder = folder
        self._segment_bytes = segment_bytes
        self._encoder = msgspec.msgpack.Encoder()
        self._file = -1
        self._size = 0
        self._lock = lock_folder(folder)
        try:
            self.segment = max(int(now), max(segments(folder), default=0))
            self._begin()
        except BaseException:
            self.close()
            raise

    def append(self, entry: Entry) -> None:
        """Write one entry.

        Raises:
            OSError: it could not be written whole (disk full, quota); then nothing of it stays.
            ValueError: it is larger than a frame may be.
        """
        payload = self._encoder.encode(entry)
        if len(payload) > _MAX_PAYLOAD:
            raise ValueError(f"a journal entry of {len(payload)} bytes")
        if self._size >= self._segment_bytes:
            self._begin()
        frame = make_frame(payload)
        if not _write(self._file, frame):
            # What is there of the frame would end the segment for its readers.
            os.ftruncate(self._file, self._size)
            raise OSError(f"{self.folder}: the disk is full, a journal entry was not written")
        self._size += len(frame)

    def _begin(self) -> None:
        segment = self.segment + 1
        path = segment_path(self.folder, segment)
        new = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        if not _write(new, _MAGIC):
            os.close(new)
            path.unlink()
            raise OSError(f"{path}: the disk is full, a journal segment was not begun")
        if self._file >= 0:
            os.close(self._file)
        self._file, self.segment, self._size = new, segment, len(_MAGIC)

    def close(self) -> None:
        """Close the segment and let others have the folder."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _write(file: int, data: bytes) -> bool:
    """Whether all of it was written; only a full disk writes a part."""
    try:
        return os.write(file, data) == len(data)
    except OSError:
        return False


def make_frame(payload: bytes) -> bytes:
    """A payload with its head."""
    length = len(payload).to_bytes(4, "little")
    return b"".join((length, zlib.crc32(payload, zlib.crc32(length)).to_bytes(4, "little"), payload))


def open_frame(frame: bytes) -> bytes | None:
    """The payload of a frame of any size; None if it is not whole and sound."""
    length, checksum = _HEAD.unpack(frame[: _HEAD.size].ljust(_HEAD.size))
    payload = frame[_HEAD.size :]
    if len(payload) != length or zlib.crc32(payload, zlib.crc32(frame[:4])) != checksum:
        return None
    return payload


def lock_folder(folder: Path) -> int:
    """Take a node's folder for this process; the descriptor holds it until it is closed.

    Raises:
        JournalBusy: another process has it.
    """
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise JournalBusy(f"{folder}: another process writes this journal; stop it first") from None
    return lock


def segment_path(folder: Path, segment: int) -> Path:
    """The file of a segment."""
    return folder / f"{segment:012d}{_SUFFIX}"


def segments(folder: Path) -> list[int]:
    """The numbers of a folder's segments, rising."""
    names = (path.name.removesuffix(_SUFFIX) for path in folder.glob(f"*{_SUFFIX}"))
    return sorted(int(name) for name in names if name.isascii() and name.isdigit())


def read_batch(folder: Path, start: Position, *, limit: int = 2000, active: int | None = None) -> Batch:
    """Entries from ``start`` on, at most ``limit``, of one segment.

    Args:
        folder: the node's folder.
        start: where to begin.
        limit: how many entries at most.
        active: the segment that is still written to: an unfinished frame at its end is waited for. In any
            other segment it is damage, and what follows it there is passed over and counted.

    Raises:
        OSError: the folder or a segment cannot be read.
    """
    for segment in segments(folder):
        if segment < start.segment:
            continue
        offset = start.offset if segment == start.segment else 0
        batch = _read_segment(folder, Position(segment, max(offset, len(_MAGIC))), limit)
        if batch.entries or batch.damaged or segment == active:
            return batch
        rest = segment_path(folder, segment).stat().st_size - batch.end.offset
        if rest > 0:
            return Batch((), Position(segment, batch.end.offset + rest), rest)
    return Batch((), start)


def _read_segment(folder: Path, start: Position, limit: int) -> Batch:
    """The whole frames from a place on; sound ones without an entry (a newer program's) count as damaged."""
    entries: list[Entry] = []
    offset = start.offset
    damaged = 0
    with segment_path(folder, start.segment).open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            return Batch((), start)
        file.seek(offset)
        while len(entries) < limit and (payload := _read_frame(file)) is not None:
            offset += _HEAD.size + len(payload)
            try:
                entries.append(_decoder.decode(payload))
            except (msgspec.MsgspecError, ValueError):
                damaged += _HEAD.size + len(payload)
    return Batch(tuple(entries), Position(start.segment, offset), damaged)


def _read_frame(file: BinaryIO) -> bytes | None:
    """The next frame's payload; None at the end, and where no whole and sound frame stands."""
    head = file.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    length, checksum = _HEAD.unpack(head)
    if not 0 < length <= _MAX_PAYLOAD:
        return None
    payload = file.read(length)
    if len(payload) < length or zlib.crc32(payload, zlib.crc32(head[:4])) != checksum:
        return None
    return payload
