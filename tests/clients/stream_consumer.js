// A consumer of a stream in the manner of the Kinesis Client Library: it keeps a lease per shard in a table of its own,
// reads a child only after its parents are done, checkpoints as it goes, and begins again where the lease says.

import {
  ConditionalCheckFailedException, CreateTableCommand, waitUntilTableExists,
} from "@aws-sdk/client-dynamodb";
import { DynamoDBDocumentClient, PutCommand, ScanCommand, UpdateCommand } from "@aws-sdk/lib-dynamodb";
import {
  DescribeStreamCommand, GetRecordsCommand, GetShardIteratorCommand,
} from "@aws-sdk/client-dynamodb-streams";
import { unmarshall } from "@aws-sdk/util-dynamodb";

const SHARD_END = "SHARD_END";

export class StreamConsumer {
  constructor({ client, streams, StreamArn, leaseTable, worker, onRecord }) {
    Object.assign(this, { client, streams, StreamArn, leaseTable, worker, onRecord });
    this.documents = DynamoDBDocumentClient.from(client);
  }

  async createLeaseTable() {
    await this.client.send(new CreateTableCommand({
      TableName: this.leaseTable, KeySchema: [{ AttributeName: "leaseKey", KeyType: "HASH" }],
      AttributeDefinitions: [{ AttributeName: "leaseKey", AttributeType: "S" }], BillingMode: "PAY_PER_REQUEST",
    }));
    await waitUntilTableExists({ client: this.client, maxWaitTime: 120, minDelay: 1 }, { TableName: this.leaseTable });
  }

  async shards() {
    const found = [];
    let ExclusiveStartShardId;
    do {
      const { StreamDescription } = await this.streams.send(new DescribeStreamCommand({
        StreamArn: this.StreamArn, ExclusiveStartShardId, Limit: 2,
      }));
      found.push(...StreamDescription.Shards);
      ExclusiveStartShardId = StreamDescription.LastEvaluatedShardId;
    } while (ExclusiveStartShardId !== undefined);
    return found;
  }

  async leases() {
    const { Items } = await this.documents.send(new ScanCommand({ TableName: this.leaseTable, ConsistentRead: true }));
    return new Map(Items.map((lease) => [lease.leaseKey, lease]));
  }

  /** One round: find shards, lease those whose parents are done, read each for a few pages. Returns records read. */
  async round() {
    const shards = await this.shards();
    const ids = new Set(shards.map((shard) => shard.ShardId));
    for (const { ShardId, ParentShardId } of shards) {
      await this.#createLease({
        leaseKey: ShardId, checkpoint: "TRIM_HORIZON", leaseCounter: 0, ...(ParentShardId && { parent: ParentShardId }),
      });
    }
    const leases = await this.leases();
    let count = 0;
    for (const lease of leases.values()) {
      const waits = ids.has(lease.parent) && leases.get(lease.parent)?.checkpoint !== SHARD_END;
      if (!ids.has(lease.leaseKey) || lease.checkpoint === SHARD_END || waits) continue;
      if (await this.#take(lease)) count += await this.#read(lease);
    }
    return count;
  }

  async #createLease(lease) {
    try {
      await this.documents.send(new PutCommand({
        TableName: this.leaseTable, Item: lease, ConditionExpression: "attribute_not_exists(leaseKey)",
      }));
    } catch (error) {
      if (!(error instanceof ConditionalCheckFailedException)) throw error;   // it is there already
    }
  }

  async #take(lease) {
    try {
      await this.documents.send(new UpdateCommand({
        TableName: this.leaseTable, Key: { leaseKey: lease.leaseKey },
        UpdateExpression: "SET leaseOwner = :me, leaseCounter = leaseCounter + :one",
        ConditionExpression: "leaseCounter = :seen",
        ExpressionAttributeValues: { ":me": this.worker, ":one": 1, ":seen": lease.leaseCounter },
      }));
      return true;
    } catch (error) {
      if (error instanceof ConditionalCheckFailedException) return false;     // another worker was first
      throw error;
    }
  }

  #checkpoint(leaseKey, checkpoint) {
    return this.documents.send(new UpdateCommand({
      TableName: this.leaseTable, Key: { leaseKey }, UpdateExpression: "SET checkpoint = :at",
      ConditionExpression: "leaseOwner = :me", ExpressionAttributeValues: { ":at": checkpoint, ":me": this.worker },
    }));
  }

  async #read({ leaseKey, checkpoint }) {
    const from = checkpoint === "TRIM_HORIZON"
      ? { ShardIteratorType: "TRIM_HORIZON" }
      : { ShardIteratorType: "AFTER_SEQUENCE_NUMBER", SequenceNumber: checkpoint };
    let { ShardIterator } = await this.streams.send(new GetShardIteratorCommand({
      StreamArn: this.StreamArn, ShardId: leaseKey, ...from,
    }));
    for (let count = 0; ;) {
      const page = await this.streams.send(new GetRecordsCommand({ ShardIterator, Limit: 10 }));
      for (const record of page.Records) this.onRecord(read(record), leaseKey);
      count += page.Records.length;
      if (page.Records.length > 0) {
        await this.#checkpoint(leaseKey, page.Records.at(-1).dynamodb.SequenceNumber);
      }
      ShardIterator = page.NextShardIterator;
      if (ShardIterator === undefined) {
        await this.#checkpoint(leaseKey, SHARD_END);
        return count;
      }
      if (page.Records.length === 0) return count;
    }
  }
}

function read({ eventName, userIdentity, dynamodb: change }) {
  return {
    eventName, userIdentity, sequence: BigInt(change.SequenceNumber), keys: unmarshall(change.Keys),
    old: change.OldImage && unmarshall(change.OldImage), new: change.NewImage && unmarshall(change.NewImage),
  };
}
