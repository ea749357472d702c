"""The recipe for KumoMTA, run by a Lua of the machine's with what KumoMTA's manual says it offers.

KumoMTA itself is no Debian package. What the recipe asks is put to the door, what the door answers is given
to the recipe, and what it then would have KumoMTA do is looked at.
"""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import beside
import messages
import pytest
from http_asking import answers, post
from recording_gate import RecordingGate

from wehr.doors.http import HttpServer
from wehr.evidence import split_headers

pytestmark = [pytest.mark.mta, pytest.mark.xdist_group("mta")]

RECIPE = Path(__file__).resolve().parent.parent.parent / "docs" / "recipes" / "kumomta" / "wehr.lua"
OUTDATED = "15.1.2507.16"
LATER = "450 4.7.230 Connecting server is throttled; retry after 14:25 UTC"

_KUMOMTA = """
local ucl = require 'ucl'
local util = require 'rspamd_util'
local folder = '%(folder)s'
local did = { headers = {} }
local request = {}
function request:header(name, value) did.headers[name] = value end
function request:bearer_auth(token) did.headers.Authorization = 'Bearer ' .. token end
function request:body(body) did.body = body end
function request:send()
  local file = io.open(folder .. '/answer')
  if not file then error 'connection refused' end
  local status, text = file:read '*n', file:read '*a'
  return { status_code = function() return status end, text = function() return text end }
end
local client = {}
function client:post(url) did.url = url; return request end
package.preload.kumo = function()
  return {
    http = { build_client = function(params) did.timeout = params.timeout; return client end },
    encode = { base64_encode = function(text) return tostring(util.encode_base64(text)) end },
    serde = {
      json_encode = function(value) return ucl.to_format(value, 'json-compact') end,
      json_parse = function(text)
        local parser = ucl.parser()
        assert(parser:parse_string(text))
        return parser:get_object()
      end,
    },
    log_warn = function(text) did.warned = text end,
    reject = function(code, text) did.rejected = { code, text }; error 'rejected' end,
  }
end

local meta = { received_from = '[2001:db8::1]:4711', received_via = '192.0.2.1:25', ehlo_domain = 'mail.example.com' }
local conn_meta = { get_meta = function(_, name) return meta[name] end }
local msg = {
  get_data = function() return (%(message)s):gsub('\\n', '\\r\\n') end,
  recipient_list = function() return { { domain = 'example.org' } } end,
  id = function() return 'd7ef132b5d7711ea8c8f000c29c33806' end,
}
local wehr = dofile(folder .. '/wehr.lua')
local ask = wehr.at { url = 'http://127.0.0.1:8896/v1/decide', token = 'secret' }
did.went_on = pcall(ask, msg, conn_meta)
local out = io.open(folder .. '/did', 'w')
out:write(ucl.to_format(did, 'json-compact'))
out:close()
"""  # noqa: E501


def _run(folder: Path, answer: str | None) -> Any:
    """What the recipe does if the door answers so; None: it is not there."""
    text = f"{messages.exchange(OUTDATED)}\nReceived: of the body\n"
    script = _KUMOMTA % {"folder": folder, "message": f"[==[{text}]==]"}
    (folder / "kumomta.lua").write_text(script)
    (folder / "answer").unlink(missing_ok=True)
    if answer is not None:
        (folder / "answer").write_text(answer)
    shutil.copy(RECIPE, folder)
    argv = beside.command("rspamd", folder, ("_rspamd",), ["rspamadm", "lua", "-b", f"{folder}/kumomta.lua"])
    run = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=60)
    assert (folder / "did").exists(), run.stdout + run.stderr
    return json.loads((folder / "did").read_text())


def test_the_recipe_asks_what_the_door_understands_and_does_what_it_says(open_folder: Path) -> None:
    """Refused with code and words of the door; without an answer, or with an error, the message goes on."""
    beside.require("rspamd")
    gate = RecordingGate()
    gate.answer = LATER
    asked = _run(open_folder, None)
    session = HttpServer(gate).new_session()
    (found,) = answers(session.receive(post("/v1/decide", asked["body"].encode())))
    refused = _run(open_folder, f"200 {found.body.decode()}")
    accepted = _run(open_folder, '200 {"action":"accept","reason":"compliant"}')
    unwelcome = _run(open_folder, '401 {"status":401}')

    ((who, fields, queue_id),) = gate.asked
    assert (who.client_ip, who.helo, who.listener) == ("2001:db8::1", "mail.example.com", "25")
    assert (who.recipients, who.authenticated) == (("example.org",), False)
    assert [b" ".join(it.split()) for it in fields] == [
        b" ".join(it.split()) for it in split_headers(messages.exchange(OUTDATED).encode())
    ]
    assert queue_id == "d7ef132b5d7711ea8c8f000c29c33806"
    assert asked["headers"] == {"Authorization": "Bearer secret", "Content-Type": "application/json"}
    assert asked["timeout"] == "3 seconds"
    assert f"{refused['rejected'][0]} {refused['rejected'][1]}" == LATER
    assert not refused["went_on"]
    assert (accepted["went_on"], "warned" in accepted) == (True, False)
    for other in (asked, unwelcome):
        assert other["went_on"]
        assert "not asked" in other["warned"]
