local c = dofile(os.getenv("BENCH_WORKLOADS") .. "/common.lua")
function init()
  c.seed()
  request = c.requests(
    "PutItem",
    '{"TableName":"bench_simple","Item":{"pk":{"S":"key-KEY"},"filler":{"S":"' .. c.filler .. '"},"n":{"N":"4321"}}}',
    c.items
  )
end
