"""The door keeps what its OpenAPI description says: asked and judged by schemathesis, over real sockets."""

import asyncio
import hashlib
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jsonschema
import msgspec
import pytest
from http_asking import answers, post
from listening import on_tcp
from recording_gate import RecordingGate

from wehr.doors.http import HttpServer
from wehr.doors.http.decide import Answer, Message

PAGE = Path(__file__).resolve().parent.parent.parent.parent / "docs" / "http.md"


@contextmanager
def _door(answer: str | None) -> Iterator[int]:
    gate = RecordingGate()
    gate.answer = answer
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = HttpServer(gate, tokens=[hashlib.sha256(b"secret").hexdigest()])
    try:
        yield asyncio.run_coroutine_threadsafe(on_tcp(server), loop).result(30)
    finally:
        asyncio.run_coroutine_threadsafe(server.close(0), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()


@pytest.mark.parametrize("answer", [None, "450 4.7.230 later"])
def test_schemathesis_finds_nothing(answer: str | None, tmp_path: Path) -> None:
    """What fits the schema is taken, what does not is refused, and every answer is as described."""
    program = Path(sys.executable).with_name("schemathesis")
    with _door(answer) as port:
        run = subprocess.run(
            [
                *(program, "run", f"http://127.0.0.1:{port}/v1/openapi.json"),
                *("--header", "Authorization: Bearer secret", "--max-examples", "40"),
                *("--generation-deterministic", "--no-color"),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    assert run.returncode == 0, run.stdout[-4000:]
    assert "2 selected / 2 total" in run.stdout


def test_the_page_for_administrators_names_every_key() -> None:
    """And its example is a question."""
    page = PAGE.read_text("utf-8")
    for kind in (Message, Answer):
        for field in msgspec.structs.fields(kind):
            assert f"`{field.encode_name}`" in page
    example = re.search(r"^\{\"client_ip\".*?^```$", page, re.MULTILINE | re.DOTALL)
    assert example
    body = example[0].removesuffix("```").encode()
    (found,) = answers(HttpServer(RecordingGate()).new_session().receive(post("/v1/decide", body)))
    assert found.status == 200


@pytest.mark.parametrize("tokens", [(), ("00" * 32,)])
def test_the_description_is_a_whole_one(tokens: tuple[str, ...]) -> None:
    """Each reference leads somewhere, each path has its errors, and the token is asked for where it is."""
    session = HttpServer(RecordingGate(), tokens=tokens).new_session()
    (found,) = answers(session.receive(b"GET /v1/openapi.json HTTP/1.1\r\nHost: wehr\r\n\r\n"), "GET")
    document = found.json
    schemas = document["components"]["schemas"]

    for schema in schemas.values():
        jsonschema.Draft202012Validator.check_schema(schema)
    for line in json.dumps(document).split('"#/components/schemas/')[1:]:
        assert line.partition('"')[0] in schemas
    for path in ("/v1/decide", "/v1/mta-hooks"):
        operation = document["paths"][path]["post"]
        assert ("401" in operation["responses"]) is bool(tokens)
        assert ("security" in operation) is bool(tokens)
