// ElectroDB: several kinds of things in one table, found through one global index. A small task board.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { CreateTableCommand, DeleteTableCommand, DynamoDBClient, waitUntilTableExists } from "@aws-sdk/client-dynamodb";
import { Entity, Service } from "electrodb";
import { eventually } from "./eventually.js";

const client = new DynamoDBClient({});
const table = `varley-electrodb-${process.pid}-${Date.now()}`;
const service = "board";

const Task = new Entity({
  model: { entity: "task", version: "1", service },
  attributes: {
    board: { type: "string", required: true },
    task: { type: "string", required: true },
    assignee: { type: "string", default: "nobody" },
    state: { type: ["open", "doing", "done"], required: true, default: "open" },
    points: { type: "number" },
    labels: { type: "set", items: "string" },
    steps: { type: "list", items: { type: "map", properties: { text: { type: "string" }, done: { type: "boolean" } } } },
  },
  indexes: {
    onBoard: {
      collection: "work", pk: { field: "pk", composite: ["board"] }, sk: { field: "sk", composite: ["task"] },
    },
    assigned: {
      index: "gsi1", collection: "assignments",
      pk: { field: "gsi1pk", composite: ["assignee"] }, sk: { field: "gsi1sk", composite: ["state", "task"] },
    },
  },
}, { client, table });

const Member = new Entity({
  model: { entity: "member", version: "1", service },
  attributes: { board: { type: "string" }, assignee: { type: "string" }, role: { type: "string" } },
  indexes: {
    onBoard: {
      collection: "work", pk: { field: "pk", composite: ["board"] }, sk: { field: "sk", composite: ["assignee"] },
    },
    assigned: {
      index: "gsi1", collection: "assignments",
      pk: { field: "gsi1pk", composite: ["assignee"] }, sk: { field: "gsi1sk", composite: ["board"] },
    },
  },
}, { client, table });

const Board = new Service({ task: Task, member: Member }, { client, table });

before(async () => {
  await client.send(new CreateTableCommand({
    TableName: table, BillingMode: "PAY_PER_REQUEST",
    KeySchema: [{ AttributeName: "pk", KeyType: "HASH" }, { AttributeName: "sk", KeyType: "RANGE" }],
    AttributeDefinitions: ["pk", "sk", "gsi1pk", "gsi1sk"].map((AttributeName) => ({ AttributeName, AttributeType: "S" })),
    GlobalSecondaryIndexes: [{
      IndexName: "gsi1", Projection: { ProjectionType: "ALL" },
      KeySchema: [{ AttributeName: "gsi1pk", KeyType: "HASH" }, { AttributeName: "gsi1sk", KeyType: "RANGE" }],
    }],
  }));
  await waitUntilTableExists({ client, maxWaitTime: 120, minDelay: 1 }, { TableName: table });
});

after(() => client.send(new DeleteTableCommand({ TableName: table })));

test("a task is created, read, patched, and removed", async () => {
  const key = { board: "life", task: "t1" };
  const created = await Task.create({ ...key, points: 3, labels: ["a", "b"], steps: [{ text: "one", done: false }] }).go();
  assert.equal(created.data.state, "open");
  await assert.rejects(Task.create(key).go(), /conditional request failed/i);
  const patched = await Task.patch(key).set({ state: "doing" }).add({ points: 2, labels: ["c"] })
    .data((task, { set }) => set(task.steps[0].done, true)).go({ response: "all_new" });
  assert.equal(patched.data.points, 5);
  const read = await Task.get(key).go({ consistent: true });
  assert.deepEqual(read.data, {
    ...key, assignee: "nobody", state: "doing", points: 5, labels: ["a", "b", "c"], steps: [{ text: "one", done: true }],
  });
  await Task.remove(key).go();
  assert.equal((await Task.get(key).go()).data, null);
  await assert.rejects(Task.patch(key).set({ points: 1 }).go(), /conditional request failed/i);
});

test("a batch is written, and queried in pages", async () => {
  const tasks = Array.from({ length: 40 }, (_, n) => ({ board: "batch", task: `t${String(n).padStart(2, "0")}`, points: n }));
  const { unprocessed } = await Task.put(tasks).go({ concurrent: 2 });
  assert.deepEqual(unprocessed, []);
  const found = [];
  let cursor = null;
  do {
    const page = await Task.query.onBoard({ board: "batch" }).gte({ task: "t10" }).go({ cursor, count: 7 });
    found.push(...page.data.map((task) => task.task));
    cursor = page.cursor;
  } while (cursor !== null);
  assert.deepEqual(found, tasks.slice(10).map((task) => task.task));
  const heavy = await Task.query.onBoard({ board: "batch" })
    .where(({ points }, { gt }) => gt(points, 35)).go({ pages: "all" });
  assert.equal(heavy.data.length, 4);
  const got = await Task.get(tasks.slice(0, 3).map(({ board, task }) => ({ board, task }))).go({ consistent: true });
  assert.equal(got.data.length, 3);
  await Task.delete(tasks.map(({ board, task }) => ({ board, task }))).go();
  assert.equal((await Task.query.onBoard({ board: "batch" }).go()).data.length, 0);
});

test("a collection has tasks and members, from the table and from the index", async () => {
  await Member.put({ board: "b7", assignee: "ada", role: "lead" }).go();
  await Task.put([
    { board: "b7", task: "t1", assignee: "ada", state: "open" },
    { board: "b7", task: "t2", assignee: "ada", state: "done" },
    { board: "b7", task: "t3", assignee: "bob" },
  ]).go();
  const work = (await Board.collections.work({ board: "b7" }).go({ consistent: true })).data;
  assert.deepEqual([work.task.length, work.member.length], [3, 1]);
  const adas = await eventually(
    async () => (await Board.collections.assignments({ assignee: "ada" }).go()).data,
    (data) => data.task.length === 2 && data.member.length === 1,
  );
  assert.deepEqual(adas.member, [{ board: "b7", assignee: "ada", role: "lead" }]);
  const open = await Task.query.assigned({ assignee: "ada", state: "open" }).go();
  assert.deepEqual(open.data.map((task) => task.task), ["t1"]);
  await Task.patch({ board: "b7", task: "t1" }).set({ assignee: "bob", state: "open" }).go();
  const bobs = await eventually(
    async () => (await Task.query.assigned({ assignee: "bob" }).go()).data, (tasks) => tasks.length === 2,
  );
  assert.deepEqual(new Set(bobs.map((task) => task.task)), new Set(["t1", "t3"]));
});

test("a transaction of two kinds of things", async () => {
  const first = await Board.transaction.write(({ task, member }) => [
    member.create({ board: "tx", assignee: "ada", role: "lead" }).commit(),
    task.create({ board: "tx", task: "t1" }).commit(),
  ]).go();
  assert.equal(first.canceled, false);
  const second = await Board.transaction.write(({ task, member }) => [
    task.create({ board: "tx", task: "t1" }).commit({ response: "all_old" }),
    member.remove({ board: "tx", assignee: "ada" }).commit(),
  ]).go();
  assert.equal(second.canceled, true);
  assert.deepEqual(second.data.map((reason) => reason.code), ["ConditionalCheckFailed", "None"]);
  assert.equal(second.data[0].item.task, "t1");
  const both = await Board.transaction.get(({ task, member }) => [
    task.get({ board: "tx", task: "t1" }).commit(), member.get({ board: "tx", assignee: "ada" }).commit(),
  ]).go();
  assert.deepEqual(both.data.map((result) => result.item.board), ["tx", "tx"]);
});
