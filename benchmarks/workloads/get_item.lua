local c = dofile(os.getenv("BENCH_WORKLOADS") .. "/common.lua")
function init()
  c.seed()
  request = c.requests("GetItem", '{"TableName":"bench_simple","Key":{"pk":{"S":"key-KEY"}}}', c.items)
end
