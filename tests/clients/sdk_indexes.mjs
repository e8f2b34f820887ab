// Global secondary indexes through the AWS SDK for JavaScript: sparse ones, projections, pages, an index that is added
// to a table with items in it and dropped again. An index may be behind the table, so reads of one are asked again
// until they agree, with a limit; the order and the projection must be right in each answer.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import {
  CreateTableCommand, DeleteTableCommand, DescribeTableCommand, DynamoDBClient, UpdateTableCommand,
  waitUntilTableExists,
} from "@aws-sdk/client-dynamodb";
import {
  BatchWriteCommand, DeleteCommand, DynamoDBDocumentClient, PutCommand, QueryCommand, UpdateCommand, paginateQuery,
  paginateScan,
} from "@aws-sdk/lib-dynamodb";
import { eventually } from "./eventually.js";

const client = new DynamoDBClient({ maxAttempts: 1 });
const documents = DynamoDBDocumentClient.from(client);
const TableName = `varley-sdk-indexes-${process.pid}-${Date.now()}`;

before(async () => {
  await client.send(new CreateTableCommand({
    TableName,
    KeySchema: [{ AttributeName: "id", KeyType: "HASH" }],
    AttributeDefinitions: [
      { AttributeName: "id", AttributeType: "S" },
      { AttributeName: "owner", AttributeType: "S" },
      { AttributeName: "due", AttributeType: "N" },
      { AttributeName: "assignee", AttributeType: "S" },
    ],
    GlobalSecondaryIndexes: [
      {
        IndexName: "by-owner",
        KeySchema: [{ AttributeName: "owner", KeyType: "HASH" }, { AttributeName: "due", KeyType: "RANGE" }],
        Projection: { ProjectionType: "ALL" },
      },
      {
        IndexName: "by-assignee",
        KeySchema: [{ AttributeName: "assignee", KeyType: "HASH" }],
        Projection: { ProjectionType: "KEYS_ONLY" },
      },
    ],
    BillingMode: "PAY_PER_REQUEST",
  }));
  await waitUntilTableExists({ client, maxWaitTime: 120, minDelay: 1 }, { TableName });
});

after(() => client.send(new DeleteTableCommand({ TableName })));

function ofOwner(owner, parameters = {}) {
  const query = {
    TableName, IndexName: "by-owner", KeyConditionExpression: "#owner = :owner",
    ExpressionAttributeNames: { "#owner": "owner" }, ExpressionAttributeValues: { ":owner": owner }, ...parameters,
  };
  return collected(paginateQuery({ client: documents, pageSize: 3 }, query));
}

async function collected(pages) {
  const found = [];
  for await (const page of pages) found.push(...page.Items);
  return found;
}

test("an index has what has its key, in the order of its range key, page by page", async () => {
  const tasks = [5, 3, 9, 1, 7, 3, 3].map((due, n) => ({ id: `order-${n}`, owner: "ada", due, note: `n${n}` }));
  const RequestItems = { [TableName]: tasks.map((Item) => ({ PutRequest: { Item } })) };
  await documents.send(new BatchWriteCommand({ RequestItems }));
  await documents.send(new PutCommand({ TableName, Item: { id: "order-none", owner: "ada", note: "no due" } }));
  const found = await eventually(() => ofOwner("ada"), (items) => items.length === tasks.length);
  assert.deepEqual(found.map((task) => task.due), [1, 3, 3, 3, 5, 7, 9]);
  assert.deepEqual(new Set(found.map((task) => task.id)), new Set(tasks.map((task) => task.id)));
  const late = await ofOwner("ada", {
    ScanIndexForward: false, KeyConditionExpression: "#owner = :owner AND due > :five",
    ExpressionAttributeValues: { ":owner": "ada", ":five": 5 },
  });
  assert.deepEqual(late.map((task) => task.due), [9, 7]);
});

test("an item moves when its index key changes, and leaves when it loses it", async () => {
  const Key = { id: "moves" };
  await documents.send(new PutCommand({ TableName, Item: { ...Key, owner: "bob", due: 1 } }));
  await eventually(() => ofOwner("bob"), (items) => items.length === 1);
  await documents.send(new UpdateCommand({
    TableName, Key, UpdateExpression: "SET #owner = :eve", ExpressionAttributeNames: { "#owner": "owner" },
    ExpressionAttributeValues: { ":eve": "eve" },
  }));
  await eventually(() => ofOwner("eve"), (items) => items.length === 1);
  await eventually(() => ofOwner("bob"), (items) => items.length === 0);
  await documents.send(new UpdateCommand({ TableName, Key, UpdateExpression: "REMOVE due" }));
  await eventually(() => ofOwner("eve"), (items) => items.length === 0);
  await documents.send(new DeleteCommand({ TableName, Key }));
});

test("an index of keys shows keys, and a scan of it no more than has its key", async () => {
  const Item = { id: "keys", assignee: "dan", owner: "ada2", due: 4, note: "not projected" };
  await documents.send(new PutCommand({ TableName, Item }));
  const scan = { TableName, IndexName: "by-assignee" };
  const found = await eventually(
    () => collected(paginateScan({ client: documents }, scan)), (items) => items.length === 1,
  );
  assert.deepEqual(found, [{ id: "keys", assignee: "dan" }]);
  const page = await documents.send(new QueryCommand({
    ...scan, KeyConditionExpression: "assignee = :dan", ExpressionAttributeValues: { ":dan": "dan" },
    ReturnConsumedCapacity: "INDEXES",
  }));
  assert.equal(page.Count, 1);
  assert.equal(page.ConsumedCapacity.GlobalSecondaryIndexes["by-assignee"].CapacityUnits, 0.5);
});

test("what a global index cannot do is refused", async () => {
  await assert.rejects(ofOwner("ada", { ConsistentRead: true }), (error) =>
    error.name === "ValidationException" && /consistent read/i.test(error.message));
  await assert.rejects(
    documents.send(new PutCommand({ TableName, Item: { id: "bad", owner: 7, due: 1 } })),
    (error) => error.name === "ValidationException" && error.message.includes("Type mismatch for Index Key owner"),
  );
});

test("an index is added to a table with items, filled, and dropped", async () => {
  const RequestItems = {
    [TableName]: Array.from({ length: 20 }, (_, n) => ({ PutRequest: { Item: { id: `late-${n}`, room: "r1" } } })),
  };
  await documents.send(new BatchWriteCommand({ RequestItems }));
  const { TableDescription } = await client.send(new UpdateTableCommand({
    TableName,
    AttributeDefinitions: [{ AttributeName: "room", AttributeType: "S" }],
    GlobalSecondaryIndexUpdates: [{
      Create: {
        IndexName: "by-room", KeySchema: [{ AttributeName: "room", KeyType: "HASH" }],
        Projection: { ProjectionType: "ALL" },
      },
    }],
  }));
  const named = (table) => table.GlobalSecondaryIndexes.find((index) => index.IndexName === "by-room");
  assert.equal(named(TableDescription).IndexStatus, "CREATING");
  const described = async () => (await client.send(new DescribeTableCommand({ TableName }))).Table;
  const active = await eventually(described, (table) => named(table).IndexStatus === "ACTIVE", 600);
  assert.ok(!named(active).Backfilling);
  const found = await collected(paginateQuery({ client: documents, pageSize: 6 }, {
    TableName, IndexName: "by-room", KeyConditionExpression: "room = :r1", ExpressionAttributeValues: { ":r1": "r1" },
  }));
  assert.equal(new Set(found.map((item) => item.id)).size, 20);
  await waitUntilTableExists({ client, maxWaitTime: 120, minDelay: 1 }, { TableName });
  await client.send(new UpdateTableCommand({
    TableName, GlobalSecondaryIndexUpdates: [{ Delete: { IndexName: "by-room" } }],
  }));
  await eventually(described, (table) => named(table) === undefined, 600);
});
