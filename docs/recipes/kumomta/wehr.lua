-- Asks Wehr about a message, and refuses it where Wehr does: /opt/kumomta/etc/policy/wehr.lua
--
--   local wehr = dofile '/opt/kumomta/etc/policy/wehr.lua'
--   local ask = wehr.at { url = 'http://127.0.0.1:8896/v1/decide', token = nil, timeout = '3 seconds' }
--
--   kumo.on('smtp_server_ehlo', function(domain, conn_meta)
--     conn_meta:set_meta('ehlo_domain', domain)
--   end)
--   kumo.on('smtp_server_data', ask)
--
-- smtp_server_data (KumoMTA 2025.12.02 and up) comes once a message, before KumoMTA's own Received field.

local kumo = require 'kumo'
local wehr = {}

-- ADDRESS:PORT or [ADDRESS]:PORT as its parts
local function parts(peer)
  local address, port = (peer or ''):match '^%[?(.-)%]?:(%d+)$'
  return address or '', port or ''
end

-- The header as it stands: get_all_named_header_values decodes it (RFC 2047), and in it what a client calls itself
local function header(msg)
  local data = msg:get_data()
  return data:sub(1, math.min(data:find '\r?\n\r?\n' or #data, 131072))
end

local function question(msg, conn_meta)
  local recipients = {}
  for _, recipient in ipairs(msg:recipient_list()) do
    recipients[#recipients + 1] = recipient.domain
  end
  local _, port = parts(conn_meta:get_meta 'received_via')
  return {
    client_ip = parts(conn_meta:get_meta 'received_from'),
    helo = conn_meta:get_meta 'ehlo_domain' or '',
    authenticated = conn_meta:get_meta 'authn_id' ~= nil,
    listener = port,
    recipients = #recipients > 0 and recipients or nil, -- an empty table might be written as an object
    raw_headers = kumo.encode.base64_encode(header(msg)),
    queue_id = tostring(msg:id()),
  }
end

function wehr.at(settings)
  local function answer(msg, conn_meta)
    local client = kumo.http.build_client { timeout = settings.timeout or '3 seconds' }
    local request = client:post(settings.url)
    request:header('Content-Type', 'application/json')
    if settings.token then
      request:bearer_auth(settings.token)
    end
    request:body(kumo.serde.json_encode(question(msg, conn_meta)))
    local response = request:send()
    if response:status_code() ~= 200 then
      error(response:status_code() .. ' ' .. response:text())
    end
    return kumo.serde.json_parse(response:text())
  end

  return function(msg, conn_meta)
    local asked, found = pcall(answer, msg, conn_meta)
    if not asked then
      kumo.log_warn('wehr was not asked: ' .. tostring(found)) -- the message goes on
    elseif found.action ~= 'accept' then
      kumo.reject(found.smtp_code, found.enhanced_code .. ' ' .. found.text)
    end
  end
end

return wehr
