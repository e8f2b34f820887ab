local c = dofile(os.getenv("BENCH_WORKLOADS") .. "/common.lua")
function request()
  return c.post("PutItem", '{"TableName":"bench_simple","Item":{"pk":{"S":"key-' .. math.random(0, c.items - 1)
    .. '"},"filler":{"S":"' .. c.filler .. '"},"n":{"N":"' .. math.random(1, 100000) .. '"}}}')
end
