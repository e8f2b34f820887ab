local c = dofile(os.getenv("BENCH_WORKLOADS") .. "/common.lua")
function request()
  return c.post("GetItem", '{"TableName":"bench_simple","Key":{"pk":{"S":"key-' .. math.random(0, c.items - 1) .. '"}}}')
end
