-- Each update changes the rows of all five indexes, which project everything.
local c = dofile(os.getenv("BENCH_WORKLOADS") .. "/common.lua")
function init()
  c.seed()
  request = c.requests(
    "UpdateItem",
    '{"TableName":"bench_5_indexes","Key":{"pk":{"S":"key-KEY"}},"UpdateExpression":"SET #n = #n + :one",'
      .. '"ExpressionAttributeNames":{"#n":"n"},"ExpressionAttributeValues":{":one":{"N":"1"}}}',
    c.items
  )
end
