-- Two items of two tables, so of two partitions.
local c = dofile(os.getenv("BENCH_WORKLOADS") .. "/common.lua")
function init()
  c.seed()
  local filled = '"filler":{"S":"' .. c.filler .. '"},"n":{"N":"4321"}}}}'
  request = c.transactions(
    "TransactWriteItems",
    '{"TransactItems":[{"Put":{"TableName":"bench_simple","Item":{"pk":{"S":"key-KEY"},' .. filled
      .. ',{"Put":{"TableName":"bench_range","Item":{"pk":{"S":"group-KEY"},"sk":{"N":"0"},' .. filled
      .. '],"ClientRequestToken":"TOKEN"}',
    c.items / 10
  )
end
