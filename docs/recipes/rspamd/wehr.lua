-- Asks Wehr about each message, and does what it says: /etc/rspamd/plugins.d/wehr.lua
-- What may be set in the section `wehr` of /etc/rspamd/rspamd.conf.local: the table `settings` below.

local N = 'wehr'

if confighelp then
  rspamd_config:add_example(nil, N, 'Asks Wehr whether the server that hands a message over is out of date',
    'wehr {\n  url = "http://127.0.0.1:8896/v1/decide";\n}\n')
  return
end

local lua_util = require 'lua_util'
local rspamd_http = require 'rspamd_http'
local rspamd_logger = require 'rspamd_logger'
local rspamd_util = require 'rspamd_util'
local ucl = require 'ucl'

local settings = {
  url = nil, -- of Wehr's HTTP door; without it nothing is asked
  token = nil, -- if the door wants one
  timeout = 3.0, -- seconds; after them the message goes on
  own_received = 0, -- Received fields that the mail system has added itself: 0 with a milter, 1 with Exim
  listener = '', -- what connectors of Wehr know this way in by, for rspamd does not tell: a port or a name
  verified_names = false, -- true if the client's name always leads back to its address, as with Postfix
  apply = true, -- false: only the symbols, for rules of your own
}

local ACTIONS = { throttle = 'soft reject', block = 'reject' }
local SYMBOLS = {
  WEHR_THROTTLE = 'Refused for now: the server that handed it over is out of date',
  WEHR_BLOCK = 'Refused: the server that handed it over is out of date',
  WEHR_WOULD_THROTTLE = 'Would be refused for now, if Wehr enforced it',
  WEHR_WOULD_BLOCK = 'Would be refused, if Wehr enforced it',
}

-- JSON is UTF-8; what a client says need not be
local function text(said)
  said = said or ''
  return rspamd_util.is_valid_utf8(said) and said or (said:gsub('[\128-\255]', '?'))
end

local function question(task)
  local fields, domains = {}, {}
  for _, field in ipairs(task:get_header_full('Received') or {}) do
    fields[#fields + 1] = field.raw:gsub('[\r\n]+$', '') .. '\n'
  end
  for _, recipient in ipairs(task:get_recipients('smtp') or {}) do
    domains[#domains + 1] = text(recipient.domain)
  end
  local ip, name = task:get_from_ip(), task:get_hostname()
  return {
    client_ip = ip and ip:is_valid() and ip:to_string() or '',
    client_name = settings.verified_names and name ~= 'unknown' and text(name) or '',
    helo = text(task:get_helo()),
    authenticated = task:get_user() ~= nil,
    listener = settings.listener,
    recipients = domains,
    queue_id = task:get_queue_id() or '',
    own_received = settings.own_received,
    -- in base64, for a header may hold what is not UTF-8
    raw_headers = tostring(rspamd_util.encode_base64(table.concat(fields))),
  }
end

local function obey(task, answer)
  local would = answer.would_be
  local symbol = would and 'WEHR_WOULD_' .. would:upper() or 'WEHR_' .. answer.action:upper()
  if not SYMBOLS[symbol] then
    return
  end
  local about = {}
  for _, key in ipairs { 'reason', 'server', 'build', 'stage' } do
    if answer[key] then
      about[#about + 1] = tostring(answer[key])
    end
  end
  task:insert_result(symbol, 1.0, about)
  if settings.apply and not would then
    task:set_pre_result { action = ACTIONS[answer.action], message = answer.text, module = N }
  end
end

local function check(task)
  local function answered(err, code, body)
    local parser = ucl.parser()
    if err or code ~= 200 then
      rspamd_logger.errx(task, 'not asked: %s', err or code)
    elseif not parser:parse_string(tostring(body)) then
      rspamd_logger.errx(task, 'no answer that can be read')
    else
      obey(task, parser:get_object())
    end
  end

  rspamd_http.request {
    task = task,
    url = settings.url,
    method = 'post',
    mime_type = 'application/json',
    headers = settings.token and { Authorization = 'Bearer ' .. settings.token } or {},
    body = ucl.to_format(question(task), 'json-compact'),
    timeout = settings.timeout,
    callback = answered,
  }
end

settings = lua_util.override_defaults(settings, rspamd_config:get_all_opt(N) or {})
if not settings.url then
  lua_util.disable_module(N, 'config')
  return
end

local id = rspamd_config:register_symbol {
  name = 'WEHR_CHECK',
  type = 'prefilter',
  callback = check,
  flags = 'empty,nostat',
  group = N,
  augmentations = { string.format('timeout=%f', settings.timeout) },
}
for name, description in pairs(SYMBOLS) do
  rspamd_config:register_symbol { name = name, type = 'virtual', parent = id, group = N, score = 0.0,
    description = description }
end
