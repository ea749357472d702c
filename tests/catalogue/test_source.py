"""Getting feeds: within limits of size, time and scheme; and putting files in place whole."""

import io
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from wehr.catalogue.importers.claims import BadFeed
from wehr.catalogue.importers.source import _NoDowngrade, fetch, write_atomically

URL = "https://feeds.example.org/kev.json"


class Opener:
    """Stands for the network: answers every request with the same bytes, or fails."""

    def __init__(self, answer: bytes | Exception) -> None:
        self.answer = answer
        self.asked: list[Any] = []

    def open(self, request: urllib.request.Request, timeout: float) -> io.BytesIO:
        """Answer."""
        self.asked.append((request.full_url, timeout))
        if isinstance(self.answer, Exception):
            raise self.answer
        return io.BytesIO(self.answer)


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Puts an opener in the place of the real one."""

    def put(answer: bytes | Exception) -> Opener:
        opener = Opener(answer)
        monkeypatch.setattr(urllib.request, "build_opener", lambda *handlers: opener)
        return opener

    return put


def test_a_download_is_bounded_in_size_and_time(network: Any) -> None:
    """Neither an endless answer nor a slow one holds a command up."""
    opener = network(b"x" * 200_000)
    assert fetch(URL, timeout=5) == b"x" * 200_000
    assert opener.asked == [(URL, 5)]
    with pytest.raises(BadFeed, match="over 100000 bytes"):
        fetch(URL, limit=100_000)
    with pytest.raises(BadFeed, match="took longer than"):
        fetch(URL, timeout=-1)


@pytest.mark.parametrize(
    "failure", [urllib.error.URLError("no route"), TimeoutError("timed out"), OSError(5, "broken")]
)
def test_a_failing_download_is_told_in_one_line(network: Any, failure: Exception) -> None:
    """With the URL, whatever went wrong."""
    network(failure)
    with pytest.raises(BadFeed, match=URL):
        fetch(URL)


def test_only_https_is_fetched_and_no_redirect_leads_away_from_it(network: Any) -> None:
    """Neither a file of the machine's nor plain text over the network."""
    for url in ("http://feeds.example.org/x", "file:///etc/passwd", "ftp://feeds.example.org/x"):
        with pytest.raises(BadFeed, match="only https"):
            fetch(url)
    request = urllib.request.Request(URL)
    with pytest.raises(BadFeed, match="not https"):
        _NoDowngrade().redirect_request(request, io.BytesIO(), 302, "Found", {}, "http://feeds.example.org/x")
    followed = _NoDowngrade().redirect_request(request, io.BytesIO(), 302, "Found", {}, URL + "?2")
    assert followed is not None
    assert followed.full_url == URL + "?2"


def test_a_file_too_big_is_refused(tmp_path: Path) -> None:
    """The same limit as for downloads."""
    (tmp_path / "big").write_bytes(b"x" * 11)
    with pytest.raises(BadFeed, match="over 10 bytes"):
        fetch(str(tmp_path / "big"), limit=10)
    assert fetch(str(tmp_path / "big"), limit=11) == b"x" * 11


def test_a_file_is_put_in_place_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure in between leaves the old file and nothing beside it."""
    target = tmp_path / "a.toml"
    write_atomically(target, "old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="No space"):
        write_atomically(target, "new")
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("a.toml", "old")]
