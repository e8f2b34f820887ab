// node read_stream.js STREAM_ARN LEASE_TABLE COUNT: reads that many records with leases, as sdk_streams.mjs does, and
// prints as JSON: the records in the order in which they came, the shards, the leases at the end.

import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { DynamoDBStreamsClient } from "@aws-sdk/client-dynamodb-streams";
import { eventually } from "./eventually.js";
import { StreamConsumer } from "./stream_consumer.js";

const [, , StreamArn, leaseTable, count] = process.argv;
const records = [];
const consumer = new StreamConsumer({
  client: new DynamoDBClient({}), streams: new DynamoDBStreamsClient({}), StreamArn, leaseTable, worker: "reader",
  onRecord: (record, shard) => records.push({ shard, key: record.keys.pk, version: record.new.version }),
});
await consumer.createLeaseTable();
await eventually(() => consumer.round(), () => records.length >= Number(count));
await consumer.round();     // nothing comes twice, and shards that are over are seen to be
const leases = Object.fromEntries([...await consumer.leases()].map(([shard, lease]) => [shard, lease.checkpoint]));
console.log(JSON.stringify({ records, shards: await consumer.shards(), leases }));
