// Dynamoose: models that make and change their own tables, populate each other, and take part in transactions.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import dynamoose from "dynamoose";
import { eventually } from "./eventually.js";

const prefix = `varley-dynamoose-${process.pid}-${Date.now()}-`;
dynamoose.Table.defaults.set({
  prefix, initialize: false, throughput: "ON_DEMAND", waitForActive: { enabled: true, check: { frequency: 20 } },
});

const Artist = dynamoose.model("Artist", new dynamoose.Schema({ id: String, name: String }));
const Album = dynamoose.model("Album", new dynamoose.Schema({
  artist: { type: String, hashKey: true },
  title: { type: String, rangeKey: true },
  year: { type: Number, index: { name: "by-year", type: "local" } },
  label: { type: String, index: { name: "by-label", type: "global", rangeKey: "year", project: true } },
  by: { type: Artist },
  songs: { type: Array, schema: [{ type: Object, schema: { name: String, seconds: Number } }] },
  genres: { type: Set, schema: [String] },
  released: Date,
  cover: Buffer,
}, { timestamps: true }));
const Play = dynamoose.model("Play", new dynamoose.Schema({ id: String, count: Number }));
const tables = [["Artist", Artist], ["Album", Album], ["Play", Play]]
  .map(([name, model]) => new dynamoose.Table(name, [model]));

after(async () => {
  for (const table of tables) await dynamoose.aws.ddb().deleteTable({ TableName: table.name });
});

test("models make their tables, with indexes", async () => {
  for (const table of tables) await table.initialize();
  const { Table } = await dynamoose.aws.ddb().describeTable({ TableName: `${prefix}Album` });
  assert.equal(Table.BillingModeSummary.BillingMode, "PAY_PER_REQUEST");
  assert.deepEqual(Table.GlobalSecondaryIndexes.map((index) => index.IndexName), ["by-label"]);
  assert.deepEqual(Table.LocalSecondaryIndexes.map((index) => index.IndexName), ["by-year"]);
});

test("an album is created, changed, saved, and deleted", async () => {
  await Artist.create({ id: "nina", name: "Nina Simone" });
  const album = await Album.create({
    artist: "Nina Simone", title: "Pastel Blues", year: 1965, label: "Philips", by: "nina",
    songs: [{ name: "Sinnerman", seconds: 622 }], genres: new Set(["jazz", "blues"]), released: new Date(0),
    cover: Buffer.from([0, 255]),
  });
  assert.ok(Math.abs(Date.now() - album.createdAt) < 60_000);
  await assert.rejects(Album.create({ artist: "Nina Simone", title: "Pastel Blues" }),
    { name: "ConditionalCheckFailedException" });
  const key = { artist: "Nina Simone", title: "Pastel Blues" };
  const updated = await Album.update(key, { $SET: { label: "Verve" }, $ADD: { year: 1 }, $REMOVE: ["cover"] });
  assert.deepEqual([updated.label, updated.year, updated.cover], ["Verve", 1966, undefined]);
  await assert.rejects(
    Album.update(key, { label: "EMI" }, { condition: new dynamoose.Condition().where("label").eq("Philips") }),
    { name: "ConditionalCheckFailedException" },
  );
  const read = await Album.get(key, { consistent: true });
  assert.deepEqual(read.genres, new Set(["jazz", "blues"]));
  assert.deepEqual(read.songs, [{ name: "Sinnerman", seconds: 622 }]);
  assert.deepEqual(read.released, new Date(0));
  assert.equal((await read.populate()).by.name, "Nina Simone");
  await (await Album.get(key)).delete();
  assert.equal(await Album.get(key), undefined);
});

test("batches, queries in pages, counts and scans", async () => {
  const albums = Array.from({ length: 24 }, (_, n) => ({
    artist: "batch", title: `t${String(n).padStart(2, "0")}`, year: 2000 - n, label: n % 3 === 0 ? "three" : "other",
  }));
  assert.deepEqual((await Album.batchPut(albums)).unprocessedItems, []);
  const found = [];
  let last;
  do {
    const query = Album.query("artist").eq("batch").where("title").ge("t04").limit(6).consistent();
    const page = await (last ? query.startAt(last) : query).exec();
    found.push(...page.map((album) => album.title));
    last = page.lastKey;
  } while (last);
  assert.deepEqual(found, albums.slice(4).map((album) => album.title));
  const byYear = await Album.query("artist").eq("batch").where("year").between(1990, 1992).using("by-year").exec();
  assert.deepEqual(byYear.map((album) => album.year), [1990, 1991, 1992]);
  const { count } = await Album.query("artist").eq("batch").filter("label").eq("three").count().exec();
  assert.equal(count, 8);
  const scanned = await Album.scan("title").beginsWith("t1").consistent().all().exec();
  assert.equal(scanned.length, 10);
  const got = await Album.batchGet(albums.slice(0, 5).map(({ artist, title }) => ({ artist, title })));
  assert.equal(got.length, 5);
  await Album.batchDelete(albums.slice(0, 20).map(({ artist, title }) => ({ artist, title })));
  assert.equal((await Album.query("artist").eq("batch").consistent().exec()).length, 4);
});

test("the global index of a label, newest first", async () => {
  await Album.batchPut([1959, 1971, 1965].map((year) => ({ artist: `a${year}`, title: "t", year, label: "Blue Note" })));
  const found = await eventually(
    () => Album.query("label").eq("Blue Note").using("by-label").sort("descending").exec(),
    (albums) => albums.length === 3,
  );
  assert.deepEqual(found.map((album) => album.year), [1971, 1965, 1959]);
});

test("a transaction over two models", async () => {
  await Play.create({ id: "sinnerman", count: 1 });
  await dynamoose.transaction([
    Play.transaction.update({ id: "sinnerman" }, { $ADD: { count: 1 } }),
    Artist.transaction.create({ id: "new", name: "New" }),
  ]);
  await assert.rejects(
    dynamoose.transaction([
      Play.transaction.update({ id: "sinnerman" }, { $ADD: { count: 1 } }),
      Artist.transaction.create({ id: "new", name: "Again" }),
    ]),
    (error) => error.name === "TransactionCanceledException"
      && error.CancellationReasons.map((reason) => reason.Code).join() === "None,ConditionalCheckFailed",
  );
  const [play, artist] = await dynamoose.transaction([
    Play.transaction.get({ id: "sinnerman" }), Artist.transaction.get({ id: "new" }),
  ]);
  assert.deepEqual([play.count, artist.name], [2, "New"]);
});

test("a model that gains an index and an expiry changes its table", async () => {
  const name = "Session";
  const Before = dynamoose.model(name, new dynamoose.Schema({ id: String, user: String }));
  const first = new dynamoose.Table(name, [Before]);
  await first.initialize();
  await Before.create({ id: "s1", user: "ada" });
  const After = dynamoose.model(name, new dynamoose.Schema({
    id: String, user: { type: String, index: { name: "by-user", type: "global" } },
  }));
  const second = new dynamoose.Table(name, [After], {
    update: ["indexes", "ttl"], expires: { ttl: 3600, attribute: "ttl" },
  });
  tables.push(second);
  await second.initialize();
  const { TimeToLiveDescription } = await dynamoose.aws.ddb().describeTimeToLive({ TableName: second.name });
  assert.equal(TimeToLiveDescription.AttributeName, "ttl");
  assert.ok(["ENABLING", "ENABLED"].includes(TimeToLiveDescription.TimeToLiveStatus));
  const found = await eventually(
    async () => {
      const { Table } = await dynamoose.aws.ddb().describeTable({ TableName: second.name });
      if (Table.GlobalSecondaryIndexes[0].IndexStatus !== "ACTIVE") return [];
      return After.query("user").eq("ada").using("by-user").exec();
    },
    (sessions) => sessions.length === 1, 600,
  );
  assert.equal(found[0].id, "s1");
});
