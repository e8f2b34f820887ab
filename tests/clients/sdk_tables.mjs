// The AWS SDK for JavaScript around a table: what deployment scripts do with it before the first item and after the last.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import {
  BillingMode, CreateTableCommand, DeleteTableCommand, DescribeTableCommand, DynamoDBClient, ListTagsOfResourceCommand,
  ResourceInUseException, ResourceNotFoundException, TagResourceCommand, UntagResourceCommand, UpdateTableCommand,
  paginateListTables, waitUntilTableExists, waitUntilTableNotExists,
} from "@aws-sdk/client-dynamodb";

const client = new DynamoDBClient({ maxAttempts: 1 });
const prefix = `varley-sdk-tables-${process.pid}-${Date.now()}`;
const patience = { client, maxWaitTime: 120, minDelay: 1 };
const made = [];

async function make(suffix, parameters = {}) {
  const TableName = `${prefix}-${suffix}`;
  made.push(TableName);
  const { TableDescription } = await client.send(new CreateTableCommand({
    TableName,
    KeySchema: [{ AttributeName: "pk", KeyType: "HASH" }],
    AttributeDefinitions: [{ AttributeName: "pk", AttributeType: "S" }],
    BillingMode: BillingMode.PAY_PER_REQUEST,
    ...parameters,
  }));
  assert.equal(TableDescription.TableStatus, "CREATING");
  assert.ok(TableDescription.CreationDateTime instanceof Date);
  await waitUntilTableExists(patience, { TableName });
  return TableDescription;
}

async function described(TableName) {
  return (await client.send(new DescribeTableCommand({ TableName }))).Table;
}

after(async () => {
  for (const TableName of made) {
    await client.send(new DeleteTableCommand({ TableName })).catch((error) => {
      if (!(error instanceof ResourceNotFoundException)) throw error;
    });
  }
});

test("a table is made, changed, and dropped, with waiters between", async () => {
  const { TableName, TableId } = await make("life");
  await client.send(new UpdateTableCommand({
    TableName,
    BillingMode: BillingMode.PROVISIONED,
    ProvisionedThroughput: { ReadCapacityUnits: 5, WriteCapacityUnits: 6 },
  }));
  await waitUntilTableExists(patience, { TableName });
  const table = await described(TableName);
  assert.equal(table.TableId, TableId);
  assert.equal(table.TableStatus, "ACTIVE");
  assert.equal(table.ProvisionedThroughput.WriteCapacityUnits, 6);
  assert.equal(table.ItemCount, 0);
  await client.send(new DeleteTableCommand({ TableName }));
  await waitUntilTableNotExists(patience, { TableName });
  await assert.rejects(described(TableName), ResourceNotFoundException);
});

test("deletion protection is heeded until it is lifted", async () => {
  const { TableName } = await make("protected", { DeletionProtectionEnabled: true });
  await assert.rejects(client.send(new DeleteTableCommand({ TableName })), { name: "ValidationException" });
  await client.send(new UpdateTableCommand({ TableName, DeletionProtectionEnabled: false }));
  await waitUntilTableExists(patience, { TableName });
  await client.send(new DeleteTableCommand({ TableName }));
});

test("a name that is taken is refused with the class that programs catch", async () => {
  await make("taken");
  await assert.rejects(make("taken"), (error) => {
    assert.ok(error instanceof ResourceInUseException);
    assert.equal(error.$metadata.httpStatusCode, 400);
    assert.ok(error.$metadata.requestId.length > 30);
    return true;
  });
});

test("tables are listed over several pages", async () => {
  for (const suffix of ["list-a", "list-b", "list-c"]) await make(suffix);
  const found = [];
  const start = { ExclusiveStartTableName: `${prefix}-list` };
  for await (const page of paginateListTables({ client, pageSize: 2 }, start)) {
    assert.ok(page.TableNames.length <= 2);
    found.push(...page.TableNames);
    if (page.TableNames.some((name) => !name.startsWith(`${prefix}-list`))) break;
  }
  const ours = found.filter((name) => name.startsWith(`${prefix}-list`));
  assert.deepEqual(ours, ["list-a", "list-b", "list-c"].map((suffix) => `${prefix}-${suffix}`));
});

test("tags come and go", async () => {
  const { TableArn: ResourceArn } = await make("tags", { Tags: [{ Key: "team", Value: "music" }] });
  await client.send(new TagResourceCommand({ ResourceArn, Tags: [{ Key: "stage", Value: "test" }] }));
  await client.send(new UntagResourceCommand({ ResourceArn, TagKeys: ["team"] }));
  const { Tags } = await client.send(new ListTagsOfResourceCommand({ ResourceArn }));
  assert.deepEqual(Tags, [{ Key: "stage", Value: "test" }]);
});
