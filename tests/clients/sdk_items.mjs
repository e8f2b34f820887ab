// The document client of the AWS SDK for JavaScript, as a web shop's service uses it: items of every type, conditions,
// counters, pages, batches, a local index, PartiQL. The SDK checks x-amz-crc32 of each answer by itself.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import {
  BatchGetItemCommand, ConditionalCheckFailedException, CreateTableCommand, DeleteTableCommand, DynamoDBClient,
  waitUntilTableExists,
} from "@aws-sdk/client-dynamodb";
import {
  BatchExecuteStatementCommand, BatchGetCommand, BatchWriteCommand, DeleteCommand, DynamoDBDocumentClient,
  ExecuteStatementCommand, GetCommand, NumberValue, PutCommand, QueryCommand, UpdateCommand, paginateQuery,
  paginateScan,
} from "@aws-sdk/lib-dynamodb";

const client = new DynamoDBClient({ maxAttempts: 1 });
const documents = DynamoDBDocumentClient.from(client, { marshallOptions: { removeUndefinedValues: true } });
// A client of its own: document clients of one client share their options.
const exact = DynamoDBDocumentClient.from(new DynamoDBClient({}), { unmarshallOptions: { wrapNumbers: (text) => text } });
const TableName = `varley-sdk-items-${process.pid}-${Date.now()}`;

before(async () => {
  await client.send(new CreateTableCommand({
    TableName,
    KeySchema: [{ AttributeName: "customer", KeyType: "HASH" }, { AttributeName: "order", KeyType: "RANGE" }],
    AttributeDefinitions: [
      { AttributeName: "customer", AttributeType: "S" },
      { AttributeName: "order", AttributeType: "N" },
      { AttributeName: "total", AttributeType: "N" },
    ],
    LocalSecondaryIndexes: [{
      IndexName: "by-total",
      KeySchema: [{ AttributeName: "customer", KeyType: "HASH" }, { AttributeName: "total", KeyType: "RANGE" }],
      Projection: { ProjectionType: "INCLUDE", NonKeyAttributes: ["state"] },
    }],
    BillingMode: "PAY_PER_REQUEST",
  }));
  await waitUntilTableExists({ client, maxWaitTime: 120, minDelay: 1 }, { TableName });
});

after(() => client.send(new DeleteTableCommand({ TableName })));

async function write(requests) {
  let waiting = requests.map((Item) => ({ PutRequest: { Item } }));
  while (waiting.length > 0) {
    const now = waiting.splice(0, 25);
    const { UnprocessedItems } = await documents.send(new BatchWriteCommand({ RequestItems: { [TableName]: now } }));
    waiting.push(...(UnprocessedItems[TableName] ?? []));
  }
}

test("an item of every type comes back as it went", async () => {
  const key = { customer: "types", order: 1 };
  const item = {
    ...key, text: "é😀", blank: "", yes: true, nothing: null, list: [1, "two", [], {}], map: { x: { y: [null] } },
    texts: new Set(["a", "b"]), numbers: new Set([1.5, -2]), bytes: new Uint8Array([0, 1, 255]),
    big: NumberValue.from("12345678901234567890123456789012345678"), left: undefined,
  };
  await documents.send(new PutCommand({ TableName, Item: item }));
  const read = await documents.send(new GetCommand({
    TableName, Key: key, ConsistentRead: true, ProjectionExpression: "#t, blank, yes, nothing, #l, #m, texts, numbers",
    ExpressionAttributeNames: { "#t": "text", "#l": "list", "#m": "map" },
  }));
  const { text, blank, yes, nothing, list, map, texts, numbers } = item;
  assert.deepEqual(read.Item, { text, blank, yes, nothing, list, map, texts, numbers });
  const { Item: whole } = await exact.send(new GetCommand({ TableName, Key: key, ConsistentRead: true }));
  assert.equal(whole.big, "12345678901234567890123456789012345678");
  assert.deepEqual([...whole.bytes], [0, 1, 255]);
  assert.ok(!("left" in whole));
});

test("an order is paid once", async () => {
  const Key = { customer: "conditions", order: 1 };
  await documents.send(new PutCommand({ TableName, Item: { ...Key, state: "open", lines: ["pen"], total: 3 } }));
  const pay = new UpdateCommand({
    TableName, Key, ReturnValues: "ALL_NEW", ReturnValuesOnConditionCheckFailure: "ALL_OLD",
    UpdateExpression: "SET #state = :paid, #lines = list_append(#lines, :more) ADD version :one REMOVE #total",
    ConditionExpression: "#state = :open AND attribute_exists(customer)",
    ExpressionAttributeNames: { "#state": "state", "#lines": "lines", "#total": "total" },
    ExpressionAttributeValues: { ":paid": "paid", ":open": "open", ":more": ["ink"], ":one": 1 },
  });
  const { Attributes } = await documents.send(pay);
  const paid = { ...Key, state: "paid", lines: ["pen", "ink"], version: 1 };
  assert.deepEqual(Attributes, paid);
  await assert.rejects(documents.send(pay), (error) => {
    assert.ok(error instanceof ConditionalCheckFailedException);
    assert.equal(error.message, "The conditional request failed");
    assert.equal(error.Item.state.S, "paid");
    return true;
  });
  const gone = await documents.send(new DeleteCommand({ TableName, Key, ReturnValues: "ALL_OLD" }));
  assert.deepEqual(gone.Attributes, paid);
  assert.equal((await documents.send(new GetCommand({ TableName, Key, ConsistentRead: true }))).Item, undefined);
});

test("batches write and read, and say what is not there", async () => {
  const orders = Array.from({ length: 60 }, (_, order) => ({ customer: "batch", order, text: "x".repeat(order) }));
  await write(orders);
  const Keys = [...orders, { customer: "batch", order: 1000 }].map(({ customer, order }) => ({ customer, order }));
  const { Responses, UnprocessedKeys, ConsumedCapacity } = await documents.send(new BatchGetCommand({
    RequestItems: { [TableName]: { Keys, ConsistentRead: true } }, ReturnConsumedCapacity: "TOTAL",
  }));
  assert.deepEqual(Responses[TableName].sort((a, b) => a.order - b.order), orders);
  assert.deepEqual(UnprocessedKeys, {});
  assert.equal(ConsumedCapacity[0].TableName, TableName);
  assert.equal(ConsumedCapacity[0].CapacityUnits, 61);
  await assert.rejects(
    client.send(new BatchGetItemCommand({ RequestItems: { [TableName]: { Keys: [] } } })),
    { name: "ValidationException" },
  );
});

test("a query is paged, in both directions, and filtered", async () => {
  await write(Array.from({ length: 30 }, (_, order) => ({ customer: "pages", order, even: order % 2 === 0 })));
  const query = {
    TableName, ConsistentRead: true, KeyConditionExpression: "customer = :c AND #order BETWEEN :low AND :high",
    ExpressionAttributeNames: { "#order": "order" }, ExpressionAttributeValues: { ":c": "pages", ":low": 3, ":high": 22 },
  };
  const found = [];
  for await (const page of paginateQuery({ client: documents, pageSize: 7 }, { ...query, ScanIndexForward: false })) {
    assert.ok(page.Items.length <= 7);
    found.push(...page.Items.map((item) => item.order));
  }
  assert.deepEqual(found, Array.from({ length: 20 }, (_, i) => 22 - i));
  const counted = await documents.send(new QueryCommand({
    ...query, Select: "COUNT", FilterExpression: "even = :yes",
    ExpressionAttributeValues: { ...query.ExpressionAttributeValues, ":yes": true },
  }));
  assert.deepEqual([counted.Count, counted.ScannedCount, counted.Items], [10, 20, undefined]);
});

test("a parallel scan finds each item once", async () => {
  await write(Array.from({ length: 40 }, (_, n) => ({ customer: `scan-${n}`, order: 0, kind: "scanned" })));
  const segment = async (Segment) => {
    const found = [];
    const scan = {
      TableName, ConsistentRead: true, Segment, TotalSegments: 4, FilterExpression: "kind = :kind",
      ExpressionAttributeValues: { ":kind": "scanned" }, ProjectionExpression: "customer",
    };
    for await (const page of paginateScan({ client: documents, pageSize: 15 }, scan)) found.push(...page.Items);
    return found.map((item) => item.customer);
  };
  const found = (await Promise.all([0, 1, 2, 3].map(segment))).flat();
  assert.deepEqual(found.sort(), Array.from({ length: 40 }, (_, n) => `scan-${n}`).sort());
});

test("a local index orders a customer's orders by their total", async () => {
  await write([7, 1, 9, 4].map((total, order) => ({ customer: "index", order, total, state: "open", note: "long" })));
  await write([{ customer: "index", order: 99, state: "not in the index" }]);
  const query = {
    TableName, IndexName: "by-total", KeyConditionExpression: "customer = :c AND #total > :least", ConsistentRead: true,
    ExpressionAttributeNames: { "#total": "total" }, ExpressionAttributeValues: { ":c": "index", ":least": 3 },
  };
  const found = [];
  for await (const page of paginateQuery({ client: documents, pageSize: 2 }, query)) found.push(...page.Items);
  assert.deepEqual(found, [[3, 4], [0, 7], [2, 9]].map(([order, total]) => ({
    customer: "index", order, total, state: "open",
  })));
});

test("PartiQL inserts, pages, and fails one statement of a batch alone", async () => {
  const insert = `INSERT INTO "${TableName}" VALUE {'customer': ?, 'order': ?, 'tags': ?}`;
  for (const order of [1, 2, 3]) {
    await documents.send(new ExecuteStatementCommand({ Statement: insert, Parameters: ["partiql", order, ["a"]] }));
  }
  const found = [];
  let NextToken;
  do {
    const page = await documents.send(new ExecuteStatementCommand({
      Statement: `SELECT "order", tags FROM "${TableName}" WHERE customer = ?`, Parameters: ["partiql"],
      ConsistentRead: true, Limit: 2, NextToken,
    }));
    found.push(...page.Items);
    NextToken = page.NextToken;
  } while (NextToken !== undefined);
  assert.deepEqual(found, [1, 2, 3].map((order) => ({ order, tags: ["a"] })));
  const { Responses } = await documents.send(new BatchExecuteStatementCommand({
    Statements: [
      { Statement: insert, Parameters: ["partiql", 1, []] },
      { Statement: insert, Parameters: ["partiql", 4, []] },
    ],
  }));
  assert.equal(Responses[0].Error.Code, "DuplicateItem");
  assert.equal(Responses[1].Error, undefined);
});
