local c = dofile(os.getenv("BENCH_WORKLOADS") .. "/common.lua")
function request()
  return c.post("Query", '{"TableName":"bench_range","KeyConditionExpression":"pk = :p","ExpressionAttributeValues":{":p":{"S":"group-'
    .. math.random(0, c.items / 10 - 1) .. '"}}}')
end
