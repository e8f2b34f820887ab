-- All ten items of one partition key.
local c = dofile(os.getenv("BENCH_WORKLOADS") .. "/common.lua")
function init()
  c.seed()
  request = c.requests(
    "Query",
    '{"TableName":"bench_range","KeyConditionExpression":"pk = :p",'
      .. '"ExpressionAttributeValues":{":p":{"S":"group-KEY"}}}',
    c.items / 10
  )
end
