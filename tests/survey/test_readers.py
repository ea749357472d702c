"""Stored mail in its usual forms."""

import io
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wehr.survey.readers import MAX_HEADER, UnreadableSource, read_path, read_stream

HEADERS = b"Received: from a by b; x\nSubject: y\n"


def test_a_single_message_gives_its_header_block(tmp_path: Path) -> None:
    """The body is left out."""
    (tmp_path / "m.eml").write_bytes(HEADERS + b"\nReceived: not this\n")

    assert list(read_path(tmp_path / "m.eml")) == [(str(tmp_path / "m.eml"), HEADERS)]


def test_an_mbox_gives_each_message(tmp_path: Path) -> None:
    """Messages are told apart by ``From `` after an empty line, not by one inside a paragraph."""
    message = b"From x@example.org Sat\n" + HEADERS + b"\ntext\nFrom here on\n\n"
    (tmp_path / "box").write_bytes(message * 3)

    found = list(read_path(tmp_path / "box"))

    assert [block for _, block in found] == [HEADERS] * 3
    assert found[1][0].endswith("box#2")


def test_a_maildir_gives_cur_and_new(tmp_path: Path) -> None:
    """Both folders are read, in order; ``tmp`` is not."""
    for folder in ("cur", "new", "tmp"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "1").write_bytes(HEADERS + b"\n")

    assert [Path(name).parent.name for name, _ in read_path(tmp_path)] == ["cur", "new"]


def test_json_lines_give_id_and_bytes() -> None:
    """Each code point of ``headers`` stands for one byte."""
    line = json.dumps({"id": "m1", "headers": "Subject: \xfc\n"}) + "\n"

    assert list(read_stream(io.BytesIO(line.encode()), "-")) == [("m1", b"Subject: \xfc\n")]


def test_json_lines_without_headers_are_refused_with_their_line() -> None:
    """The error names the file and the line."""
    text = b'{"headers": "a: b\\n"}\n{"subject": 1}\n'

    with pytest.raises(
        UnreadableSource, match="box:2: not a JSON object with a text under the key 'headers'"
    ):
        list(read_stream(io.BytesIO(text), "box"))


def test_a_folder_that_is_no_maildir_is_refused(tmp_path: Path) -> None:
    """Reading whatever lies about would be a guess."""
    with pytest.raises(UnreadableSource, match="not a Maildir"):
        list(read_path(tmp_path))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """The reason is the system's."""
    with pytest.raises(UnreadableSource, match="No such file"):
        list(read_path(tmp_path / "absent"))


def test_a_header_block_is_bounded() -> None:
    """A header of many megabytes is cut, not held in memory."""
    stream = io.BytesIO(b"Subject: " + b"x" * (3 * MAX_HEADER) + b"\n\nbody")

    [(_, block)] = list(read_stream(stream, "-"))

    assert len(block) == MAX_HEADER


@given(st.binary(max_size=2000))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """No input throws anything else."""
    try:
        for _, block in read_stream(io.BytesIO(data), "-"):
            assert len(block) <= MAX_HEADER
    except UnreadableSource:
        assert data.lstrip().startswith(b"{")


def test_a_long_first_record_is_read_like_any_other() -> None:
    """JSON lines of over a megabyte, the first as well as the second."""
    line = json.dumps({"headers": HEADERS.decode() + "X: " + "x" * (2 * MAX_HEADER)}).encode() + b"\n"

    assert len(list(read_stream(io.BytesIO(line * 2), "lines"))) == 2


def test_names_are_text(tmp_path: Path) -> None:
    """Bytes of a file's name that are no UTF-8, and lone surrogates in JSON, are escaped."""
    file = Path(os.fsdecode(os.fsencode(tmp_path) + b"/m\xff.eml"))
    file.write_bytes(HEADERS)
    [(name, _)] = read_path(file)
    [(identity, _)] = read_stream(io.BytesIO(b'{"id": "\\ud800", "headers": ""}'), "lines")

    assert name.endswith("/m\\udcff.eml")
    assert identity == "\\ud800"


def test_a_file_that_opens_but_cannot_be_read_is_named() -> None:
    """An error in the middle is one line, too."""
    with pytest.raises(UnreadableSource, match="/proc/self/mem"):
        list(read_path(Path("/proc/self/mem")))
