# Why: half of DynamoDB's users speak to it through the AWS SDK for JavaScript, whose HTTP handler, retry rules and
# checksum verification (x-amz-crc32) are not boto3's.

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.node]

PACKAGES = ["@aws-sdk/client-dynamodb", "@aws-sdk/lib-dynamodb"]

SCRIPT = """
import { DynamoDBClient, CreateTableCommand, DeleteTableCommand, waitUntilTableExists } from "@aws-sdk/client-dynamodb";
import { DynamoDBDocumentClient, PutCommand, GetCommand, UpdateCommand, DeleteCommand, paginateQuery }
  from "@aws-sdk/lib-dynamodb";
import assert from "node:assert/strict";

const client = new DynamoDBClient({ maxAttempts: 1 });
const documents = DynamoDBDocumentClient.from(client);
const TableName = "varley-node-" + process.pid;
await client.send(new CreateTableCommand({
  TableName,
  KeySchema: [{ AttributeName: "pk", KeyType: "HASH" }, { AttributeName: "sk", KeyType: "RANGE" }],
  AttributeDefinitions: [{ AttributeName: "pk", AttributeType: "S" }, { AttributeName: "sk", AttributeType: "N" }],
  BillingMode: "PAY_PER_REQUEST",
}));
try {
  await waitUntilTableExists({ client, maxWaitTime: 60, minDelay: 1 }, { TableName });
  const item = { pk: "a", sk: 1, text: "é😀", list: [1, "two", null, true], map: { x: { y: [] } },
                 bytes: new Uint8Array([0, 1, 255]), set: new Set(["a"]) };
  await documents.send(new PutCommand({ TableName, Item: item }));
  const got = await documents.send(new GetCommand({ TableName, Key: { pk: "a", sk: 1 }, ConsistentRead: true }));
  const read = got.Item;
  assert.deepEqual({ ...read, bytes: [...read.bytes] }, { ...item, bytes: [0, 1, 255] });
  for (let sk = 2; sk <= 10; sk++) await documents.send(new PutCommand({ TableName, Item: { pk: "a", sk } }));
  const found = [];
  const query = { TableName, KeyConditionExpression: "pk = :pk", ExpressionAttributeValues: { ":pk": "a" },
                  ConsistentRead: true, Limit: 3 };
  for await (const page of paginateQuery({ client: documents }, query)) found.push(...page.Items.map((i) => i.sk));
  assert.deepEqual(found, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  const updated = await documents.send(new UpdateCommand({ TableName, Key: { pk: "a", sk: 1 },
    ReturnValues: "UPDATED_NEW", UpdateExpression: "ADD n :one", ExpressionAttributeValues: { ":one": 1 } }));
  assert.deepEqual(updated.Attributes, { n: 1 });
  await assert.rejects(documents.send(new DeleteCommand({ TableName, Key: { pk: "a", sk: 1 },
    ConditionExpression: "attribute_not_exists(pk)", ReturnValuesOnConditionCheckFailure: "ALL_OLD" })),
    (error) => error.name === "ConditionalCheckFailedException" && error.$metadata.httpStatusCode === 400
      && error.Item.n.N === "1" && error.$metadata.requestId.length > 30);
} finally {
  await client.send(new DeleteTableCommand({ TableName }));
}
console.log("as it should be");
"""


@pytest.fixture(scope="module")
def project(request: pytest.FixtureRequest) -> Path:
    """A folder with the SDK installed: kept between runs in pytest's cache, or named by NODE_SDK_PROJECT."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("Node.js is missing: THE AWS SDK FOR JAVASCRIPT IS NOT TESTED. Install node and npm.")
    given = os.environ.get("NODE_SDK_PROJECT")
    cache = getattr(request.config, "cache", None)
    folder = Path(given) if given else Path(cache.mkdir("node-sdk")) if cache else None
    if folder is None:
        pytest.skip(
            "no pytest cache to install into: THE AWS SDK FOR JAVASCRIPT IS NOT TESTED. Set NODE_SDK_PROJECT."
        )
    if not (folder / "node_modules" / "@aws-sdk" / "lib-dynamodb").is_dir():
        (folder / "package.json").write_text(json.dumps({"private": True, "type": "module"}))
        installed = subprocess.run(
            [npm, "install", "--no-audit", "--no-fund", *PACKAGES],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if installed.returncode != 0:
            pytest.skip(f"npm cannot install: THE AWS SDK FOR JAVASCRIPT IS NOT TESTED. {installed.stderr[-300:]}")
    return folder


def test_the_javascript_sdk_writes_reads_pages_and_sees_errors(
    project: Path, endpoint: str, endpoint_kind: str
) -> None:
    script = project / "walk.mjs"
    script.write_text(SCRIPT)
    environment = {**os.environ, "AWS_ENDPOINT_URL_DYNAMODB": endpoint}
    if endpoint_kind != "aws":
        environment |= {
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "us-west-2",
        }
    done = subprocess.run(
        ["node", str(script)], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "as it should be"
