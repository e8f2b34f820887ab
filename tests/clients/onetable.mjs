// OneTable: a schema of one table with overloaded keys, its own id generation, unique attributes kept by transactions,
// and soft expiry. It makes and drops its table itself.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { Dynamo } from "dynamodb-onetable/Dynamo";
import { Table } from "dynamodb-onetable";
import { eventually } from "./eventually.js";

const table = new Table({
  client: new Dynamo({ client: new DynamoDBClient({}) }),
  name: `varley-onetable-${process.pid}-${Date.now()}`,
  partial: true,
  schema: {
    version: "0.0.1", format: "onetable:1.1.0", params: { isoDates: true, timestamps: true },
    indexes: {
      primary: { hash: "pk", sort: "sk" },
      gs1: { hash: "gs1pk", sort: "gs1sk", project: "all" },
      ls1: { type: "local", sort: "lastName", project: "all" },
    },
    models: {
      Account: {
        pk: { type: String, value: "account#${id}" }, sk: { type: String, value: "account#" },
        id: { type: String, generate: "ulid" }, name: { type: String, required: true, unique: true },
        balance: { type: Number, default: 0 },
      },
      User: {
        pk: { type: String, value: "account#${accountId}" }, sk: { type: String, value: "user#${email}" },
        gs1pk: { type: String, value: "user#" }, gs1sk: { type: String, value: "user#${email}" },
        accountId: { type: String, required: true }, email: { type: String, required: true },
        lastName: { type: String }, address: { type: Object, schema: { city: { type: String }, zip: { type: String } } },
        roles: { type: Array, items: { type: String } }, joined: { type: Date },
      },
    },
  },
});
const Account = table.getModel("Account");
const User = table.getModel("User");

before(async () => {
  await table.createTable({ waiter: 120 });
  await eventually(() => table.exists(), (is) => is);
});

after(() => table.deleteTable("DeleteTableForever"));

test("an account and its users live in one collection", async () => {
  const account = await Account.create({ name: "Acme" });
  assert.match(account.id, /^[0-9A-Z]{26}$/);
  const joined = new Date("2026-01-02T03:04:05Z");
  for (const [email, lastName] of [["b@acme", "Byron"], ["a@acme", "Zuse"], ["c@acme", "Ada"]]) {
    await User.create({ accountId: account.id, email, lastName, joined, address: { city: "Paris" }, roles: ["user"] });
  }
  await assert.rejects(User.create({ accountId: account.id, email: "a@acme" }), /Conditional create failed/);
  const collection = await table.fetch(["Account", "User"], { pk: `account#${account.id}` }, { consistent: true });
  assert.deepEqual([collection.Account.length, collection.User.length], [1, 3]);
  const user = await User.get({ accountId: account.id, email: "a@acme" });
  assert.deepEqual(user.joined, joined);
  const changed = await User.update({ accountId: account.id, email: "a@acme" }, {
    set: { "address.zip": "75001", "roles[0]": "admin" }, remove: ["lastName"],
  });
  assert.deepEqual([changed.address, changed.roles, changed.lastName], [
    { city: "Paris", zip: "75001" }, ["admin"], undefined,
  ]);
  const byName = await User.find({ pk: `account#${account.id}` }, { index: "ls1" });
  assert.deepEqual(byName.map((found) => found.lastName), ["Ada", "Byron"]);
  await User.remove({ accountId: account.id, email: "b@acme" });
  assert.equal(await User.get({ accountId: account.id, email: "b@acme" }), undefined);
});

test("a batch is written and read, and found in pages", async () => {
  const batch = {};
  for (let n = 0; n < 20; n++) {
    await User.create({ accountId: "batch", email: `u${String(n).padStart(2, "0")}`, lastName: `${n}` }, { batch });
  }
  assert.ok(await table.batchWrite(batch));
  const found = [];
  let next;
  do {
    const page = await User.find({ accountId: "batch", sk: { begins: "user#u" } }, { limit: 6, next, consistent: true });
    found.push(...page.map((user) => user.email));
    next = page.next;
  } while (next);
  assert.deepEqual(found, Array.from({ length: 20 }, (_, n) => `u${String(n).padStart(2, "0")}`));
  const wanted = {};
  for (const email of ["u03", "u07"]) await User.get({ accountId: "batch", email }, { batch: wanted });
  const got = await table.batchGet(wanted, { parse: true, hidden: false });
  assert.deepEqual(got.map((user) => user.email).sort(), ["u03", "u07"]);
  const counted = await User.find({ accountId: "batch" }, { where: `\${lastName} < {"2"}`, count: true });
  assert.equal(counted.count, 12);
  const scanned = await User.scan({ accountId: "batch" }, { consistent: true });
  assert.equal(scanned.length, 20);
});

test("the global index finds users of all accounts", async () => {
  await User.create({ accountId: "g1", email: "index-1@x" });
  await User.create({ accountId: "g2", email: "index-2@x" });
  const found = await eventually(
    () => User.find({ gs1pk: "user#", gs1sk: { begins: "user#index-" } }, { index: "gs1" }), (users) => users.length === 2,
  );
  assert.deepEqual(found.map((user) => user.accountId), ["g1", "g2"]);
});

test("a name is unique, which takes transactions", async () => {
  const first = await Account.create({ name: "Unique" });
  await assert.rejects(Account.create({ name: "Unique" }), /unique/i);
  await Account.update({ id: first.id, name: "Renamed" });
  const second = await Account.create({ name: "Unique" });
  await Account.remove({ id: second.id });
  assert.equal((await Account.create({ name: "Unique" })).name, "Unique");
});

test("a transfer between accounts", async () => {
  const from = await Account.create({ name: "From", balance: 10 });
  const to = await Account.create({ name: "To" });
  const move = async (amount) => {
    const transaction = {};
    await Account.update({ id: from.id }, { add: { balance: -amount }, where: `\${balance} >= {${amount}}`, transaction });
    await Account.update({ id: to.id }, { add: { balance: amount }, transaction });
    await table.transact("write", transaction);
  };
  await move(7);
  await assert.rejects(move(7), /ConditionalCheckFailed, None/);
  const transaction = {};
  for (const { id } of [from, to]) await Account.get({ id }, { transaction });
  const both = await table.transact("get", transaction, { parse: true });
  assert.deepEqual(both.map((account) => account.balance), [3, 7]);
});
