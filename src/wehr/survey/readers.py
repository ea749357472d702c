"""Header blocks out of stored mail: single messages, mbox, Maildir and JSON lines. One pass, bounded."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

MAX_HEADER = 1 << 20
"""Bytes of a header block that are kept; what follows is left out."""

_CHUNK = 1 << 16
_MAX_LINE = 8 * MAX_HEADER


class UnreadableSource(Exception):
    """A file that cannot be read as mail. The text is one line: file, place, reason."""


def read_path(path: Path) -> Iterator[tuple[str, bytes]]:
    """Each message's name and header block, from a file or a Maildir. Names are text that UTF-8 can hold.

    Raises:
        UnreadableSource: it cannot be opened or read, or a line is not what the file began as.
    """
    try:
        if path.is_dir():
            yield from _read_folder(path)
            return
        with path.open("rb") as stream:
            yield from read_stream(stream, str(path))
    except OSError as error:
        raise UnreadableSource(f"{path}: {error.strerror}") from None


def read_stream(stream: BinaryIO, name: str) -> Iterator[tuple[str, bytes]]:
    """The same from an open stream; its first bytes tell mbox, JSON lines and a single message apart."""
    name = _text(name)
    first = stream.readline(_MAX_LINE)
    if first.startswith(b"From "):
        yield from _read_mbox(stream, name)
    elif first.lstrip().startswith(b"{"):
        yield from _read_json_lines(first, stream, name)
    else:
        yield name, _header_block(stream, first)


def _read_folder(path: Path) -> Iterator[tuple[str, bytes]]:
    folders = [path / name for name in ("cur", "new") if (path / name).is_dir()]
    if not folders:
        raise UnreadableSource(f"{path}: a folder, but not a Maildir (it has neither cur nor new)")
    for folder in folders:
        for file in sorted(folder.iterdir()):
            if file.is_file():
                yield from read_path(file)


def _read_mbox(stream: BinaryIO, name: str) -> Iterator[tuple[str, bytes]]:
    number = 0
    line = b"From "
    while line:
        number += 1
        yield f"{name}#{number}", _header_block(stream)
        after_blank = True
        while line := stream.readline(_CHUNK):
            # RFC 4155: a message begins with "From " after an empty line.
            if after_blank and line.startswith(b"From "):
                break
            after_blank = line in (b"\n", b"\r\n")


def _header_block(stream: BinaryIO, first: bytes = b"") -> bytes:
    """The lines up to the blank one; a line longer than a chunk is read in pieces."""
    block = bytearray()
    at_start = True
    line = first or stream.readline(_CHUNK)
    while line and not (at_start and line in (b"\n", b"\r\n")):
        if len(block) < MAX_HEADER:
            block += line
        at_start = line.endswith(b"\n")
        line = stream.readline(_CHUNK)
    return bytes(block[:MAX_HEADER])


def _read_json_lines(first: bytes, stream: BinaryIO, name: str) -> Iterator[tuple[str, bytes]]:
    number = 0
    line = first
    while line:
        number += 1
        if line.strip():
            try:
                record = json.loads(line)
                headers = record["headers"]
                # A code point above 255 means that the text was decoded; otherwise each stands for a byte.
                block = headers.encode("latin-1" if max(headers, default="") <= "\xff" else "utf-8")
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                raise UnreadableSource(
                    f"{name}:{number}: not a JSON object with a text under the key 'headers'"
                ) from None
            yield _text(str(record.get("id", f"{name}#{number}"))), block
        line = stream.readline(_MAX_LINE)


def _text(name: str) -> str:
    """A name without the lone surrogates that stand for bytes of a file's name, or that JSON may hold."""
    return name.encode("utf-8", "backslashreplace").decode()
