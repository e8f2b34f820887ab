// Transactions through the AWS SDK for JavaScript: money that moves between accounts, all or nothing, and once.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import {
  CreateTableCommand, DeleteTableCommand, DynamoDBClient, IdempotentParameterMismatchException,
  TransactionCanceledException, waitUntilTableExists,
} from "@aws-sdk/client-dynamodb";
import {
  DynamoDBDocumentClient, ExecuteTransactionCommand, GetCommand, PutCommand, TransactGetCommand, TransactWriteCommand,
} from "@aws-sdk/lib-dynamodb";

const client = new DynamoDBClient({ maxAttempts: 10 });
const documents = DynamoDBDocumentClient.from(client);
const unique = `${process.pid}-${Date.now()}`;
const Accounts = `varley-sdk-accounts-${unique}`;
const Transfers = `varley-sdk-transfers-${unique}`;

before(async () => {
  for (const TableName of [Accounts, Transfers]) {
    await client.send(new CreateTableCommand({
      TableName, KeySchema: [{ AttributeName: "id", KeyType: "HASH" }],
      AttributeDefinitions: [{ AttributeName: "id", AttributeType: "S" }], BillingMode: "PAY_PER_REQUEST",
    }));
  }
  for (const TableName of [Accounts, Transfers]) {
    await waitUntilTableExists({ client, maxWaitTime: 120, minDelay: 1 }, { TableName });
  }
});

after(async () => {
  for (const TableName of [Accounts, Transfers]) await client.send(new DeleteTableCommand({ TableName }));
});

function open(id, balance) {
  return documents.send(new PutCommand({ TableName: Accounts, Item: { id, balance } }));
}

async function balances(...ids) {
  const TransactItems = ids.map((id) => ({ Get: { TableName: Accounts, Key: { id } } }));
  const { Responses } = await documents.send(new TransactGetCommand({ TransactItems }));
  return Responses.map((response) => response.Item?.balance);
}

function transfer(id, from, to, amount, ClientRequestToken = undefined) {
  const change = (account, by, ConditionExpression) => ({
    Update: {
      TableName: Accounts, Key: { id: account }, UpdateExpression: "SET balance = balance + :by",
      ExpressionAttributeValues: { ":by": by, ...(ConditionExpression.includes(":a") && { ":a": amount }) },
      ConditionExpression, ReturnValuesOnConditionCheckFailure: "ALL_OLD",
    },
  });
  return new TransactWriteCommand({
    ClientRequestToken,
    TransactItems: [
      change(from, -amount, "balance >= :a"),
      change(to, amount, "attribute_exists(id)"),
      { Put: { TableName: Transfers, Item: { id, from, to, amount }, ConditionExpression: "attribute_not_exists(id)" } },
    ],
  });
}

test("a transfer changes both accounts and is written down", async () => {
  await Promise.all([open("a1", 100), open("a2", 0)]);
  const done = await documents.send(transfer("t1", "a1", "a2", 30));
  assert.equal(done.$metadata.httpStatusCode, 200);
  assert.deepEqual(await balances("a1", "a2", "nobody"), [70, 30, undefined]);
});

test("a transfer that fails changes nothing and says why", async () => {
  await Promise.all([open("b1", 10), open("b2", 0)]);
  await assert.rejects(documents.send(transfer("t2", "b1", "b2", 30)), (error) => {
    assert.ok(error instanceof TransactionCanceledException);
    assert.equal(error.message, "Transaction cancelled, please refer cancellation reasons for specific reasons " +
      "[ConditionalCheckFailed, None, None]");
    const [first, second, third] = error.CancellationReasons;
    assert.equal(first.Code, "ConditionalCheckFailed");
    assert.equal(first.Message, "The conditional request failed");
    assert.equal(first.Item.balance.N, "10");
    assert.equal(second.Code, "None");
    assert.equal(third.Code, "None");
    return true;
  });
  assert.deepEqual(await balances("b1", "b2"), [10, 0]);
  const { Item } = await documents.send(new GetCommand({ TableName: Transfers, Key: { id: "t2" } }));
  assert.equal(Item, undefined);
});

test("a transfer that is sent again with its token happens once", async () => {
  await Promise.all([open("c1", 100), open("c2", 0)]);
  const token = `token-${unique}`.slice(0, 36);
  for (let sent = 0; sent < 3; sent++) await documents.send(transfer("t3", "c1", "c2", 1, token));
  assert.deepEqual(await balances("c1", "c2"), [99, 1]);
  await assert.rejects(documents.send(transfer("t3", "c1", "c2", 2, token)), IdempotentParameterMismatchException);
});

test("deletes and checks take part, and an item only once", async () => {
  await Promise.all([open("d1", 0), open("d2", 5)]);
  const close = { Delete: { TableName: Accounts, Key: { id: "d1" }, ConditionExpression: "balance = :zero",
    ExpressionAttributeValues: { ":zero": 0 } } };
  const check = { ConditionCheck: { TableName: Accounts, Key: { id: "d2" }, ConditionExpression: "balance > :zero",
    ExpressionAttributeValues: { ":zero": 0 } } };
  await documents.send(new TransactWriteCommand({ TransactItems: [close, check] }));
  assert.deepEqual(await balances("d1", "d2"), [undefined, 5]);
  await assert.rejects(
    documents.send(new TransactWriteCommand({ TransactItems: [check, { ...check }] })),
    { name: "ValidationException", message: "Transaction request cannot include multiple operations on one item" },
  );
});

test("transfers at the same time neither make nor lose money", async () => {
  const ids = ["e0", "e1", "e2", "e3"];
  await Promise.all(ids.map((id) => open(id, 100)));
  const move = async (n) => {
    for (;;) {
      try {
        return await documents.send(transfer(`e-${n}`, ids[n % 4], ids[(n + 1 + (n % 3)) % 4], 1));
      } catch (error) {
        if (!(error instanceof TransactionCanceledException)) throw error;
        assert.ok(error.CancellationReasons.some((reason) => reason.Code === "TransactionConflict"), error.message);
      }
    }
  };
  await Promise.all(Array.from({ length: 24 }, (_, n) => move(n)));
  const after = await balances(...ids);
  assert.equal(after.reduce((sum, balance) => sum + balance, 0), 400);
});

test("a transaction of PartiQL statements", async () => {
  await open("f1", 1);
  await documents.send(new ExecuteTransactionCommand({
    TransactStatements: [
      { Statement: `UPDATE "${Accounts}" SET balance = 2 WHERE id = ?`, Parameters: ["f1"] },
      { Statement: `INSERT INTO "${Accounts}" VALUE {'id': ?, 'balance': ?}`, Parameters: ["f2", 7] },
    ],
  }));
  assert.deepEqual(await balances("f1", "f2"), [2, 7]);
});
