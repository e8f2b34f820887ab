// Streams through the AWS SDK for JavaScript, read as consumers read them that keep leases (stream_consumer.js).

import assert from "node:assert/strict";
import { after, test } from "node:test";
import {
  CreateTableCommand, DeleteTableCommand, DescribeTableCommand, DynamoDBClient, UpdateTableCommand,
  waitUntilTableExists,
} from "@aws-sdk/client-dynamodb";
import {
  DescribeStreamCommand, DynamoDBStreamsClient, GetRecordsCommand, GetShardIteratorCommand, ListStreamsCommand,
} from "@aws-sdk/client-dynamodb-streams";
import { BatchWriteCommand, DeleteCommand, DynamoDBDocumentClient, PutCommand, UpdateCommand } from "@aws-sdk/lib-dynamodb";
import { eventually } from "./eventually.js";
import { StreamConsumer } from "./stream_consumer.js";

const client = new DynamoDBClient({});
const streams = new DynamoDBStreamsClient({});
const documents = DynamoDBDocumentClient.from(client);
const prefix = `varley-sdk-streams-${process.pid}-${Date.now()}`;
const patience = { client, maxWaitTime: 120, minDelay: 1 };
const made = [];

after(async () => {
  for (const TableName of made) await client.send(new DeleteTableCommand({ TableName }));
});

async function table(suffix, StreamViewType) {
  const TableName = `${prefix}-${suffix}`;
  made.push(TableName);
  const { TableDescription } = await client.send(new CreateTableCommand({
    TableName, KeySchema: [{ AttributeName: "pk", KeyType: "HASH" }], BillingMode: "PAY_PER_REQUEST",
    AttributeDefinitions: [{ AttributeName: "pk", AttributeType: "S" }],
    StreamSpecification: { StreamEnabled: true, StreamViewType },
  }));
  await waitUntilTableExists(patience, { TableName });
  return { TableName, StreamArn: TableDescription.LatestStreamArn };
}

async function consumer(StreamArn, suffix, onRecord, worker = "worker-1") {
  const leaseTable = `${prefix}-${suffix}`;
  const made_ = new StreamConsumer({ client, streams, StreamArn, leaseTable, worker, onRecord });
  if (!made.includes(leaseTable)) {
    await made_.createLeaseTable();
    made.push(leaseTable);
  }
  return made_;
}

async function drain(consuming, count) {
  let seen = 0;
  await eventually(async () => (seen += await consuming.round()), (total) => total >= count);
  assert.equal(seen, count);
}

test("each change is told once, in the order of its item, with both images", async () => {
  const { TableName, StreamArn } = await table("orders", "NEW_AND_OLD_IMAGES");
  const records = [];
  const consuming = await consumer(StreamArn, "orders-leases", (record) => records.push(record));
  for (let n = 0; n < 5; n++) {
    const pk = `order-${n}`;
    await documents.send(new PutCommand({ TableName, Item: { pk, state: "open" } }));
    await documents.send(new UpdateCommand({
      TableName, Key: { pk }, UpdateExpression: "SET #s = :paid", ExpressionAttributeNames: { "#s": "state" },
      ExpressionAttributeValues: { ":paid": "paid" },
    }));
    await documents.send(new PutCommand({ TableName, Item: { pk, state: "paid" } }));    // changes nothing
    await documents.send(new DeleteCommand({ TableName, Key: { pk } }));
    await documents.send(new DeleteCommand({ TableName, Key: { pk } }));                 // nor does this
  }
  await drain(consuming, 15);
  for (let n = 0; n < 5; n++) {
    const pk = `order-${n}`;
    const ours = records.filter((record) => record.keys.pk === pk);
    assert.deepEqual(ours.map(({ eventName, old, new: newer }) => [eventName, old?.state, newer?.state]), [
      ["INSERT", undefined, "open"], ["MODIFY", "open", "paid"], ["REMOVE", "paid", undefined],
    ]);
    assert.ok(ours[0].sequence < ours[1].sequence && ours[1].sequence < ours[2].sequence);
    assert.deepEqual(ours[0].new, { pk, state: "open" });
  }
});

test("a second worker goes on where the first one stopped", async () => {
  const { TableName, StreamArn } = await table("resumed", "KEYS_ONLY");
  const write = (from, to) => documents.send(new BatchWriteCommand({
    RequestItems: { [TableName]: Array.from({ length: to - from }, (_, n) => ({
      PutRequest: { Item: { pk: `item-${from + n}` } },
    })) },
  }));
  const seen = [];
  const onRecord = (record) => {
    assert.equal(record.old, undefined);
    assert.equal(record.new, undefined);
    seen.push(record.keys.pk);
  };
  await write(0, 20);
  await drain(await consumer(StreamArn, "resumed-leases", onRecord), 20);
  await write(20, 45);
  await drain(await consumer(StreamArn, "resumed-leases", onRecord, "worker-2"), 25);
  assert.deepEqual(new Set(seen), new Set(Array.from({ length: 45 }, (_, n) => `item-${n}`)));
  assert.equal(seen.length, 45);
});

test("a stream that is turned off is read to its end, and the next one begins empty", async () => {
  const { TableName, StreamArn } = await table("off", "NEW_IMAGE");
  await documents.send(new PutCommand({ TableName, Item: { pk: "last", n: 1 } }));
  await client.send(new UpdateTableCommand({ TableName, StreamSpecification: { StreamEnabled: false } }));
  await waitUntilTableExists(patience, { TableName });
  const records = [];
  const consuming = await consumer(StreamArn, "off-leases", (record) => records.push(record));
  await drain(consuming, 1);
  await eventually(async () => (await consuming.round(), [...(await consuming.leases()).values()]),
    (leases) => leases.every((lease) => lease.checkpoint === "SHARD_END"));
  assert.deepEqual(records.map((record) => record.new), [{ pk: "last", n: 1 }]);
  const { StreamDescription } = await streams.send(new DescribeStreamCommand({ StreamArn }));
  assert.equal(StreamDescription.StreamStatus, "DISABLED");
  assert.ok(StreamDescription.Shards.every((shard) => shard.SequenceNumberRange.EndingSequenceNumber !== undefined));

  await client.send(new UpdateTableCommand({
    TableName, StreamSpecification: { StreamEnabled: true, StreamViewType: "OLD_IMAGE" },
  }));
  await waitUntilTableExists(patience, { TableName });
  const { Table } = await client.send(new DescribeTableCommand({ TableName }));
  assert.notEqual(Table.LatestStreamArn, StreamArn);
  assert.equal(Table.StreamSpecification.StreamViewType, "OLD_IMAGE");
  const { Streams } = await streams.send(new ListStreamsCommand({ TableName }));
  assert.deepEqual(new Set(Streams.map((stream) => stream.StreamArn)), new Set([StreamArn, Table.LatestStreamArn]));
});

test("a reader that begins at LATEST sees what comes after", async () => {
  const { TableName, StreamArn } = await table("latest", "NEW_IMAGE");
  await documents.send(new PutCommand({ TableName, Item: { pk: "before" } }));
  const { StreamDescription } = await streams.send(new DescribeStreamCommand({ StreamArn }));
  const iterators = await Promise.all(StreamDescription.Shards.map(async ({ ShardId }) => (
    await streams.send(new GetShardIteratorCommand({ StreamArn, ShardId, ShardIteratorType: "LATEST" }))
  ).ShardIterator));
  await documents.send(new PutCommand({ TableName, Item: { pk: "after" } }));
  const seen = await eventually(async () => {
    const found = [];
    for (const [n, ShardIterator] of iterators.entries()) {
      const page = await streams.send(new GetRecordsCommand({ ShardIterator }));
      found.push(...page.Records);
      if (page.Records.length === 0) iterators[n] = page.NextShardIterator;
    }
    return found;
  }, (found) => found.length > 0);
  assert.deepEqual(seen.map((record) => record.dynamodb.NewImage), [{ pk: { S: "after" } }]);
  assert.equal(seen[0].eventSource, "aws:dynamodb");
  assert.equal(seen[0].eventVersion, "1.1");
  assert.equal(seen[0].dynamodb.StreamViewType, "NEW_IMAGE");
  assert.ok(seen[0].dynamodb.ApproximateCreationDateTime instanceof Date);
});
