local c = dofile(os.getenv("BENCH_WORKLOADS") .. "/common.lua")
function init()
  c.seed()
  request = c.requests(
    "UpdateItem",
    '{"TableName":"bench_simple","Key":{"pk":{"S":"key-KEY"}},"UpdateExpression":"SET #n = #n + :one, touched = :t",'
      .. '"ConditionExpression":"attribute_exists(pk) AND #n >= :zero","ExpressionAttributeNames":{"#n":"n"},'
      .. '"ExpressionAttributeValues":{":one":{"N":"1"},":zero":{"N":"0"},":t":{"S":"yes"}}}',
    c.items
  )
end
