"""Getting a feed's bytes: from a file, standard input or an https URL, within limits of size and time."""

import hashlib
import os
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from wehr.catalogue.importers.claims import BadFeed

MAX_BYTES = 64 * 1024 * 1024
TIMEOUT = 60.0
"""Seconds for the whole of a download."""


class _NoDowngrade(urllib.request.HTTPRedirectHandler):
    """A redirect may lead to another host, but never away from https."""

    def redirect_request(self, *arguments: object) -> urllib.request.Request | None:
        target = str(arguments[-1])
        if urllib.parse.urlsplit(target).scheme != "https":
            raise BadFeed(f"redirected to {target[:200]}, which is not https")
        return super().redirect_request(*arguments)  # type: ignore[arg-type]


def fetch(source: str, *, limit: int = MAX_BYTES, timeout: float = TIMEOUT) -> bytes:
    """The bytes of a file, of ``-`` or of an https URL.

    Raises:
        BadFeed: unreadable, too big, too slow, or a URL that is not https.
    """
    try:
        if source == "-":
            raw = sys.stdin.buffer.read(limit + 1) if sys.stdin else b""
        elif "://" in source:
            raw = _download(source, limit, timeout)
        else:
            with Path(source).open("rb") as stream:
                raw = stream.read(limit + 1)
    except BadFeed:
        raise
    except urllib.error.URLError as error:
        raise BadFeed(f"{source}: {error.reason if hasattr(error, 'reason') else error}") from None
    except (OSError, ValueError) as error:
        raise BadFeed(f"{source}: {getattr(error, 'strerror', None) or error}") from None
    if len(raw) > limit:
        raise BadFeed(f"{source}: over {limit} bytes")
    return raw


def _download(url: str, limit: int, timeout: float) -> bytes:
    if urllib.parse.urlsplit(url).scheme != "https":
        raise BadFeed(f"{url[:200]}: only https URLs are fetched")
    deadline = time.monotonic() + timeout
    opener = urllib.request.build_opener(_NoDowngrade())
    request = urllib.request.Request(  # noqa: S310 - the scheme was checked above
        url, headers={"User-Agent": "wehr", "Accept": "application/json, application/xml;q=0.9"}
    )
    raw = bytearray()
    with opener.open(request, timeout=timeout) as answer:
        while len(raw) <= limit and (piece := answer.read(1 << 16)):
            raw += piece
            if time.monotonic() > deadline:
                raise BadFeed(f"{url[:200]}: took longer than {timeout:g} s")
    return bytes(raw)


def sha256(raw: bytes) -> str:
    """The digest that provenance keeps."""
    return hashlib.sha256(raw).hexdigest()


def write_atomically(path: Path, text: str) -> None:
    """Put a file in place whole or not at all.

    Raises:
        OSError: the folder cannot be made or written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".new")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
