-- All ten items of one key of a global index.
local c = dofile(os.getenv("BENCH_WORKLOADS") .. "/common.lua")
function init()
  c.seed()
  request = c.requests(
    "Query",
    '{"TableName":"bench_indexed","IndexName":"by-group","KeyConditionExpression":"grp = :g",'
      .. '"ExpressionAttributeValues":{":g":{"S":"group-KEY"}}}',
    c.items / 10
  )
end
