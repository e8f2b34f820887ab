-- Shared by all workloads: the headers that boto3 sends, and a report as one line of JSON.
--
-- A request is put together from ready-made pieces, so that the load generator takes as little as possible of the
-- processor that it shares with the server. That works because every key has the same number of digits: whatever
-- the key, the head of the request is the same, Content-Length too.
local M = {}

local HEADERS = {
  ["Content-Type"] = "application/x-amz-json-1.0",
  ["User-Agent"] = "Boto3/1.44.5 md/Botocore#1.44.5 ua/2.1 os/linux md/arch#x86_64 lang/python#3.11",
  ["X-Amz-Date"] = "20260101T000000Z",
  ["Accept-Encoding"] = "identity",
  ["amz-sdk-invocation-id"] = "0f2c7e9e-8f3e-4f6e-9d2c-0a1b2c3d4e5f",
  ["amz-sdk-request"] = "attempt=1",
  ["Authorization"] = "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20260101/us-east-1/dynamodb/aws4_request, "
    .. "SignedHeaders=content-type;host;x-amz-date;x-amz-target, "
    .. "Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
}

M.items = tonumber(os.getenv("BENCH_ITEMS"))
M.filler = string.rep("x", tonumber(os.getenv("BENCH_FILLER")))

-- The bytes of one request.
function M.request(operation, body)
  local headers = { ["X-Amz-Target"] = "DynamoDB_20120810." .. operation }
  for name, value in pairs(HEADERS) do
    headers[name] = value
  end
  return wrk.format("POST", "/", headers, body)
end

-- A function that makes requests. `body` has KEY once, for a number below `keys` in eight digits.
function M.requests(operation, body, keys)
  local whole = M.request(operation, (body:gsub("KEY", "99999999", 1)))
  local from, to = whole:find("99999999", 1, true)
  local before, after = whole:sub(1, from - 1), whole:sub(to + 1)
  local random, format = math.random, string.format
  return function()
    return before .. format("%08d", random(0, keys - 1)) .. after
  end
end

-- The same for transactions: `body` has KEY, and TOKEN for a token that no other request has, as SDKs send it. Keys come
-- one after the other, so that no two requests under way have the same: DynamoDB refuses one of two such transactions,
-- which is not what is measured.
function M.transactions(operation, body, keys)
  local whole = M.request(operation, (body:gsub("KEY", "99999999"):gsub("TOKEN", ("t"):rep(24), 1)))
  local parts = {}
  local at = 1
  while true do
    local key_from, key_to = whole:find("99999999", at, true)
    local token_from, token_to = whole:find(("t"):rep(24), at, true)
    if not key_from and not token_from then
      break
    end
    local is_key = key_from and (not token_from or key_from < token_from)
    parts[#parts + 1] = { whole:sub(at, (is_key and key_from or token_from) - 1), is_key }
    at = (is_key and key_to or token_to) + 1
  end
  local rest, random, format, number = whole:sub(at), math.random, string.format, 0
  local run = random(0, 99999999)
  return function()
    number = number + 1
    local key, token = format("%08d", (run + number) % keys), format("%08d-%015d", run, number)
    local made = ""
    for _, part in ipairs(parts) do
      made = made .. part[1] .. (part[2] and key or token)
    end
    return made .. rest
  end
end

-- With BENCH_DELAY_MS each connection thinks between two requests, for so long on average: a load below saturation.
local delay_ms = tonumber(os.getenv("BENCH_DELAY_MS") or "0")
if delay_ms > 0 then
  function delay()
    return math.random(0, 2 * delay_ms)
  end
end

function M.seed()
  math.randomseed(tonumber(os.getenv("BENCH_SEED")))
end

-- There is no function `response`: with one, wrk copies each answer into Lua, which costs more than sending a request.
-- wrk itself counts answers of 400 and above, and a run with any of them fails.

function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    'RESULT {"requests": %d, "seconds": %.6f, "bytes": %d, "p50_ms": %.3f, "p99_ms": %.3f, "p999_ms": %.3f, '
      .. '"max_ms": %.3f, "errors": %d}\n',
    summary.requests, summary.duration / 1e6, summary.bytes, latency:percentile(50) / 1e3,
    latency:percentile(99) / 1e3, latency:percentile(99.9) / 1e3, latency.max / 1e3,
    e.connect + e.read + e.write + e.timeout + e.status))
end

return M
