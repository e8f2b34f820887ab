// Time to live through the AWS SDK for JavaScript: a store of sessions that ends them by itself, and is told by the
// stream which ones ended by themselves and which ones were ended by users.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import {
  CreateTableCommand, DeleteTableCommand, DescribeTimeToLiveCommand, DynamoDBClient, UpdateTimeToLiveCommand,
  waitUntilTableExists,
} from "@aws-sdk/client-dynamodb";
import { DynamoDBStreamsClient } from "@aws-sdk/client-dynamodb-streams";
import {
  BatchWriteCommand, DeleteCommand, DynamoDBDocumentClient, GetCommand, PutCommand, QueryCommand, UpdateCommand,
} from "@aws-sdk/lib-dynamodb";
import { eventually } from "./eventually.js";
import { StreamConsumer } from "./stream_consumer.js";

const client = new DynamoDBClient({});
const streams = new DynamoDBStreamsClient({});
const documents = DynamoDBDocumentClient.from(client);
const TableName = `varley-sdk-expiry-${process.pid}-${Date.now()}`;
const leaseTable = `${TableName}-leases`;
const hour = 3600;
let StreamArn;

const now = () => Math.floor(Date.now() / 1000);
const session = async (id) => (await documents.send(new GetCommand({ TableName, Key: { id }, ConsistentRead: true }))).Item;

before(async () => {
  const { TableDescription } = await client.send(new CreateTableCommand({
    TableName, KeySchema: [{ AttributeName: "id", KeyType: "HASH" }], BillingMode: "PAY_PER_REQUEST",
    AttributeDefinitions: [{ AttributeName: "id", AttributeType: "S" }, { AttributeName: "user", AttributeType: "S" }],
    GlobalSecondaryIndexes: [{
      IndexName: "by-user", KeySchema: [{ AttributeName: "user", KeyType: "HASH" }],
      Projection: { ProjectionType: "INCLUDE", NonKeyAttributes: ["expires"] },
    }],
    StreamSpecification: { StreamEnabled: true, StreamViewType: "NEW_AND_OLD_IMAGES" },
  }));
  StreamArn = TableDescription.LatestStreamArn;
  await waitUntilTableExists({ client, maxWaitTime: 120, minDelay: 1 }, { TableName });
});

after(async () => {
  for (const name of [TableName, leaseTable]) await client.send(new DeleteTableCommand({ TableName: name }));
});

test("sessions that were there before expire once it is turned on", async () => {
  const sessions = Array.from({ length: 10 }, (_, n) => ({
    id: `old-${n}`, user: "ada", expires: n < 5 ? now() - hour : now() + hour,
  }));
  await documents.send(new BatchWriteCommand({
    RequestItems: { [TableName]: sessions.map((Item) => ({ PutRequest: { Item } })) },
  }));
  const asked = await client.send(new UpdateTimeToLiveCommand({
    TableName, TimeToLiveSpecification: { AttributeName: "expires", Enabled: true },
  }));
  assert.deepEqual(asked.TimeToLiveSpecification, { AttributeName: "expires", Enabled: true });
  await eventually(
    async () => (await client.send(new DescribeTimeToLiveCommand({ TableName }))).TimeToLiveDescription,
    (description) => description.TimeToLiveStatus === "ENABLED" && description.AttributeName === "expires",
  );
  const left = await eventually(() => Promise.all(sessions.map(({ id }) => session(id))),
    (found) => found.slice(0, 5).every((one) => one === undefined));
  assert.deepEqual(left.slice(5).map((one) => one.id), sessions.slice(5).map((one) => one.id));
  const active = async () => (await documents.send(new QueryCommand({
    TableName, IndexName: "by-user", KeyConditionExpression: "#user = :ada", FilterExpression: "expires > :now",
    ExpressionAttributeNames: { "#user": "user" }, ExpressionAttributeValues: { ":ada": "ada", ":now": now() },
  }))).Items;
  assert.equal((await eventually(active, (items) => items.length === 5)).length, 5);
});

test("a session that is used in time lives on, one without a time for ever", async () => {
  await documents.send(new PutCommand({ TableName, Item: { id: "used", expires: now() + hour } }));
  await documents.send(new PutCommand({ TableName, Item: { id: "text", expires: String(now() - hour) } }));
  await documents.send(new PutCommand({ TableName, Item: { id: "none" } }));
  await documents.send(new PutCommand({ TableName, Item: { id: "gone", expires: now() - 1 } }));
  await documents.send(new UpdateCommand({
    TableName, Key: { id: "used" }, UpdateExpression: "SET expires = :later",
    ExpressionAttributeValues: { ":later": now() + 2 * hour },
  }));
  await eventually(() => session("gone"), (item) => item === undefined);
  for (const id of ["used", "text", "none"]) assert.equal((await session(id)).id, id);
});

test("the stream tells which sessions ended by themselves", async () => {
  await documents.send(new PutCommand({ TableName, Item: { id: "by-itself", expires: now() - 1 } }));
  await documents.send(new PutCommand({ TableName, Item: { id: "by-user", expires: now() + hour } }));
  await documents.send(new DeleteCommand({ TableName, Key: { id: "by-user" } }));
  const removed = new Map();
  const consumer = new StreamConsumer({
    client, streams, StreamArn, leaseTable, worker: "worker-1",
    onRecord: (record) => record.eventName === "REMOVE" && removed.set(record.keys.id, record),
  });
  await consumer.createLeaseTable();
  await eventually(() => consumer.round(), () => removed.has("by-itself") && removed.has("by-user"));
  assert.deepEqual(removed.get("by-itself").userIdentity, { Type: "Service", PrincipalId: "dynamodb.amazonaws.com" });
  assert.equal(removed.get("by-itself").old.id, "by-itself");
  assert.equal(removed.get("by-user").userIdentity, undefined);
  assert.ok(removed.has("old-0") && !removed.has("old-9"));
});
