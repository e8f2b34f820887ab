// DynamoDB-Toolbox: typed entities of a table, built command by command. Sensors and their readings.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { CreateTableCommand, DeleteTableCommand, DynamoDBClient, waitUntilTableExists } from "@aws-sdk/client-dynamodb";
import { DynamoDBDocumentClient } from "@aws-sdk/lib-dynamodb";
import {
  $add, $append, $remove, BatchGetCommand, BatchGetRequest, BatchPutRequest, BatchWriteCommand, ConditionCheck,
  DeleteItemCommand, DeleteTransaction, Entity, GetItemCommand, GetTransaction, PutItemCommand, PutTransaction,
  QueryCommand, ScanCommand, Table, UpdateItemCommand, UpdateTransaction, executeBatchGet, executeBatchWrite,
  executeTransactGet, executeTransactWrite, item, list, number, set, string,
} from "dynamodb-toolbox";
import { eventually } from "./eventually.js";

const client = new DynamoDBClient({});
const documentClient = DynamoDBDocumentClient.from(client);
const name = `varley-toolbox-${process.pid}-${Date.now()}`;

const table = new Table({
  name, documentClient,
  partitionKey: { name: "sensor", type: "string" }, sortKey: { name: "at", type: "number" },
  indexes: {
    byValue: { type: "local", sortKey: { name: "value", type: "number" } },
    byPlace: { type: "global", partitionKey: { name: "place", type: "string" }, sortKey: { name: "at", type: "number" } },
  },
});

const Reading = new Entity({
  name: "Reading", table,
  schema: item({
    sensor: string().key(), at: number().key(), value: number().optional(), place: string().optional(),
    notes: list(string()).optional(), flags: set(string()).optional(), seen: number().default(0),
  }),
});

before(async () => {
  await client.send(new CreateTableCommand({
    TableName: name, BillingMode: "PAY_PER_REQUEST",
    KeySchema: [{ AttributeName: "sensor", KeyType: "HASH" }, { AttributeName: "at", KeyType: "RANGE" }],
    AttributeDefinitions: [
      { AttributeName: "sensor", AttributeType: "S" }, { AttributeName: "at", AttributeType: "N" },
      { AttributeName: "value", AttributeType: "N" }, { AttributeName: "place", AttributeType: "S" },
    ],
    LocalSecondaryIndexes: [{
      IndexName: "byValue", Projection: { ProjectionType: "ALL" },
      KeySchema: [{ AttributeName: "sensor", KeyType: "HASH" }, { AttributeName: "value", KeyType: "RANGE" }],
    }],
    GlobalSecondaryIndexes: [{
      IndexName: "byPlace", Projection: { ProjectionType: "ALL" },
      KeySchema: [{ AttributeName: "place", KeyType: "HASH" }, { AttributeName: "at", KeyType: "RANGE" }],
    }],
  }));
  await waitUntilTableExists({ client, maxWaitTime: 120, minDelay: 1 }, { TableName: name });
});

after(() => client.send(new DeleteTableCommand({ TableName: name })));

function bare({ sensor, at, value, place, notes, flags, seen }) {
  return { sensor, at, value, place, notes, flags, seen };
}

test("a reading is put once, updated by its parts, and deleted", async () => {
  const key = { sensor: "s1", at: 100 };
  const once = Reading.build(PutItemCommand)
    .item({ ...key, value: 20.5, notes: ["new"], flags: new Set(["raw"]) })
    .options({ condition: { attr: "sensor", exists: false } });
  await once.send();
  await assert.rejects(once.send(), { name: "ConditionalCheckFailedException" });
  const { Attributes } = await Reading.build(UpdateItemCommand)
    .item({ ...key, value: $add(1), notes: $append(["checked"]), flags: $add(new Set(["ok"])), place: "roof" })
    .options({ returnValues: "ALL_NEW" }).send();
  assert.deepEqual(bare(Attributes), {
    ...key, value: 21.5, place: "roof", notes: ["new", "checked"], flags: new Set(["raw", "ok"]), seen: 0,
  });
  await Reading.build(UpdateItemCommand).item({ ...key, notes: $remove() }).send();
  const read = await Reading.build(GetItemCommand).key(key)
    .options({ consistent: true, attributes: ["value", "notes"], capacity: "TOTAL" }).send();
  assert.deepEqual(read.Item, { value: 21.5 });
  assert.equal(read.ConsumedCapacity.CapacityUnits, 1);
  await Reading.build(DeleteItemCommand).key(key).send();
  assert.equal((await Reading.build(GetItemCommand).key(key).send()).Item, undefined);
});

test("batches, pages of a query, a local index, and a scan", async () => {
  const readings = Array.from({ length: 20 }, (_, at) => ({ sensor: "s2", at, value: (at * 7) % 20 }));
  const puts = readings.map((reading) => Reading.build(BatchPutRequest).item(reading));
  await executeBatchWrite({ maxAttempts: 5 }, table.build(BatchWriteCommand).requests(...puts));
  const ask = table.build(BatchGetCommand)
    .requests(...readings.slice(0, 5).map(({ sensor, at }) => Reading.build(BatchGetRequest).key({ sensor, at })));
  const { Responses } = await executeBatchGet(ask);
  assert.equal(Responses[0].length, 5);
  const found = [];
  let exclusiveStartKey;
  do {
    const page = await table.build(QueryCommand).entities(Reading)
      .query({ partition: "s2", range: { between: [5, 15] } })
      .options({ limit: 4, reverse: true, consistent: true, exclusiveStartKey }).send();
    found.push(...page.Items.map((reading) => reading.at));
    exclusiveStartKey = page.LastEvaluatedKey;
  } while (exclusiveStartKey);
  assert.deepEqual(found, [15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5]);
  const hot = await table.build(QueryCommand).entities(Reading)
    .query({ index: "byValue", partition: "s2", range: { gte: 17 } }).send();
  assert.deepEqual(hot.Items.map((reading) => reading.value), [17, 18, 19]);
  const scanned = await table.build(ScanCommand).entities(Reading)
    .options({ filters: { Reading: { attr: "value", lt: 3 } }, consistent: true, maxPages: Infinity }).send();
  assert.deepEqual(scanned.Items.map((reading) => reading.value).sort(), [0, 1, 2]);
});

test("the readings of a place, from the global index", async () => {
  for (const [at, sensor] of [[3, "a"], [1, "b"], [2, "c"]]) {
    await Reading.build(PutItemCommand).item({ sensor, at, place: "cellar" }).send();
  }
  const query = table.build(QueryCommand).entities(Reading).query({ index: "byPlace", partition: "cellar" });
  const { Items } = await eventually(() => query.send(), (page) => page.Count === 3);
  assert.deepEqual(Items.map((reading) => reading.sensor), ["b", "c", "a"]);
});

test("transactions of puts, updates, deletes and checks", async () => {
  const key = (at) => ({ sensor: "tx", at });
  for (const at of [1, 2, 3]) await Reading.build(PutItemCommand).item(key(at)).send();
  const write = (least) => executeTransactWrite(
    Reading.build(PutTransaction).item({ ...key(4), value: 4 }),
    Reading.build(UpdateTransaction).item({ ...key(1), seen: $add(1) }),
    Reading.build(DeleteTransaction).key(key(2)),
    Reading.build(ConditionCheck).key(key(3)).condition({ attr: "seen", gte: least }),
  );
  await assert.rejects(write(1), (error) => error.name === "TransactionCanceledException"
    && error.CancellationReasons.map((reason) => reason.Code).join() === "None,None,None,ConditionalCheckFailed");
  await write(0);
  const { Responses } = await executeTransactGet(
    ...[1, 2, 3, 4].map((at) => Reading.build(GetTransaction).key(key(at))),
  );
  assert.deepEqual(Responses.map((response) => response.Item?.seen), [1, undefined, 0, 0]);
});
