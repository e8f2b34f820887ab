-- 25 items in each request. Their keys follow each other, from a random one on, in one of 400 requests made ahead.
local c = dofile(os.getenv("BENCH_WORKLOADS") .. "/common.lua")
local BATCH, READY = 25, 400
local ready = {}
function init()
  c.seed()
  for number = 1, READY do
    local first = math.random(0, c.items - BATCH)
    local puts = {}
    for offset = 1, BATCH do
      puts[offset] = string.format(
        '{"PutRequest":{"Item":{"pk":{"S":"key-%08d"},"filler":{"S":"%s"},"n":{"N":"4321"}}}}', first + offset - 1, c.filler
      )
    end
    ready[number] = c.request("BatchWriteItem", '{"RequestItems":{"bench_simple":[' .. table.concat(puts, ",") .. "]}}")
  end
end
local last = 0
function request()
  last = last % READY + 1
  return ready[last]
end
