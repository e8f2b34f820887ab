-- Shared by all workloads: the headers that boto3 sends, and a report as one line of JSON.
local M = {}

function M.headers(operation)
  return {
    ["Content-Type"] = "application/x-amz-json-1.0",
    ["X-Amz-Target"] = "DynamoDB_20120810." .. operation,
    ["User-Agent"] = "Boto3/1.44.5 md/Botocore#1.44.5 ua/2.1 os/linux md/arch#x86_64 lang/python#3.11",
    ["X-Amz-Date"] = "20260101T000000Z",
    ["Accept-Encoding"] = "identity",
    ["amz-sdk-invocation-id"] = "0f2c7e9e-8f3e-4f6e-9d2c-0a1b2c3d4e5f",
    ["amz-sdk-request"] = "attempt=1",
    ["Authorization"] = "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20260101/us-east-1/dynamodb/aws4_request, "
      .. "SignedHeaders=content-type;host;x-amz-date;x-amz-target, "
      .. "Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
  }
end

function M.post(operation, body)
  return wrk.format("POST", "/", M.headers(operation), body)
end

M.items = tonumber(os.getenv("BENCH_ITEMS") or "10000")
M.filler = string.rep("x", 950)

local complaints = 0
function response(status, headers, body)
  if status ~= 200 and complaints < 3 then
    complaints = complaints + 1
    io.stderr:write("status " .. status .. ": " .. body:sub(1, 300) .. "\n")
  end
end

function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    'RESULT {"requests": %d, "seconds": %.6f, "p50_ms": %.3f, "p99_ms": %.3f, "p999_ms": %.3f, "max_ms": %.3f, '
      .. '"errors": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    latency:percentile(99.9) / 1e3, latency.max / 1e3,
    e.connect + e.read + e.write + e.timeout + e.status))
end

return M
