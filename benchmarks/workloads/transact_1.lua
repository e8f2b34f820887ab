-- Two items of one partition key, so of one partition.
local c = dofile(os.getenv("BENCH_WORKLOADS") .. "/common.lua")
function init()
  c.seed()
  local function put(sk)
    return '{"Put":{"TableName":"bench_range","Item":{"pk":{"S":"group-KEY"},"sk":{"N":"' .. sk .. '"},"filler":{"S":"'
      .. c.filler .. '"},"n":{"N":"4321"}}}}'
  end
  request = c.transactions(
    "TransactWriteItems", '{"TransactItems":[' .. put(0) .. "," .. put(1) .. '],"ClientRequestToken":"TOKEN"}', c.items / 10
  )
end
