local c = dofile(os.getenv("BENCH_WORKLOADS") .. "/common.lua")
function request()
  return c.post("UpdateItem", '{"TableName":"bench_simple","Key":{"pk":{"S":"key-' .. math.random(0, c.items - 1)
    .. '"}},"UpdateExpression":"SET #n = #n + :one, touched = :t","ConditionExpression":"attribute_exists(pk) AND #n >= :zero",'
    .. '"ExpressionAttributeNames":{"#n":"n"},"ExpressionAttributeValues":{":one":{"N":"1"},":zero":{"N":"0"},":t":{"S":"yes"}}}')
end
