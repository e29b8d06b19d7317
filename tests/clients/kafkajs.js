// KafkaJS: usage `NODE_PATH=... node kafkajs.js HOST:PORT`.
// Topics, codecs and acks, idempotence, and reading back. Its consumer needs groups, so records are
// read through the library's inner cluster object, with its own fetch request and decoders. LZ4 is
// left out: KafkaJS has only a native addon for it.
"use strict";

const { CompressionCodecs, CompressionTypes, Kafka, logLevel } = require("kafkajs");
const Cluster = require("kafkajs/src/cluster");
const createSocketFactory = require("kafkajs/src/network/socketFactory");
const snappy = require("kafkajs-snappy");
const zstd = require("@bokuweb/zstd-wasm");

const LIMIT_MS = 60_000;
const broker = process.argv[2];
const kafka = new Kafka({ brokers: [broker], clientId: "check", logLevel: logLevel.ERROR });
const admin = kafka.admin();
let failed = 0;

CompressionCodecs[CompressionTypes.Snappy] = snappy;
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async (encoder) => Buffer.from(zstd.compress(encoder.buffer, 3)),
  decompress: async (bytes) => Buffer.from(zstd.decompress(bytes)),
});

async function check(name, run) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done after ${LIMIT_MS} ms`)), LIMIT_MS);
  });
  try {
    await Promise.race([run(), late]);
    console.log(`PASS ${name}`);
  } catch (error) {
    failed = 1;
    console.log(`FAIL ${name} ${String(error.stack).replace(/\s+/g, " ").slice(0, 300)}`);
  }
  clearTimeout(timer);
}

function equal(got, wanted) {
  const [left, right] = [JSON.stringify(got), JSON.stringify(wanted)];
  if (left !== right) throw new Error(`got ${left.slice(0, 150)}, wanted ${right.slice(0, 150)}`);
}

async function create(words, numPartitions = 1) {
  const topic = `check-${words}-${process.pid}-${Date.now()}`;
  const topics = [{ topic, numPartitions }];
  equal(await admin.createTopics({ topics, waitForLeaders: true }), true);
  return topic;
}

// Reads partition 0 from an offset, through the library's own codecs.
async function read(topic, count, offset = 0) {
  const cluster = await connect(topic);
  const records = [];
  while (records.length < count) {
    const node = cluster.findLeaderForPartitions(topic, [0]);
    const leader = await cluster.findBroker({ nodeId: Object.keys(node)[0] });
    const fetchOffset = offset + records.length;
    const { responses } = await leader.fetch({
      maxWaitTime: 1000,
      minBytes: 1,
      maxBytes: 10_000_000,
      isolationLevel: 1,
      topics: [{ topic, partitions: [{ partition: 0, fetchOffset, maxBytes: 1_000_000 }] }],
    });
    const { messages } = responses[0].partitions[0];
    records.push(...messages.filter((message) => Number(message.offset) >= fetchOffset));
  }
  await cluster.disconnect();
  return records;
}

async function connect(topic) {
  const cluster = new Cluster({
    logger: kafka.logger(),
    socketFactory: createSocketFactory(),
    brokers: [broker],
    clientId: "check",
    connectionTimeout: 5000,
    authenticationTimeout: 5000,
    reauthenticationThreshold: 10_000,
    requestTimeout: 30_000,
    enforceRequestTimeout: true,
    metadataMaxAge: 300_000,
    retry: {},
    allowAutoTopicCreation: false,
    maxInFlightRequests: null,
    isolationLevel: 1,
    instrumentationEmitter: null,
    offsets: new Map(),
  });
  await cluster.connect();
  await cluster.addTargetTopic(topic);
  return cluster;
}

async function roundTrip(compression, acks, options = {}) {
  const topic = await create(`produce-${compression}-${acks}`);
  const values = Array.from({ length: 300 }, (_, i) => `${i}-${"x".repeat(100)}`);
  const producer = kafka.producer(options);
  await producer.connect();
  for (const half of [values.slice(0, 150), values.slice(150)]) {
    const messages = half.map((value) => ({ value, partition: 0 }));
    const answer = await producer.send({ topic, acks, compression, messages });
    if (acks !== 0) equal(answer[0].errorCode, 0);
  }
  await producer.disconnect();
  const records = await read(topic, 300);
  equal(records.map((record) => record.value.toString()), values);
  equal(records.map((record) => Number(record.offset)), values.map((_, i) => i));
}

async function main() {
  await zstd.init();
  await admin.connect();
  for (const name of ["None", "GZIP", "Snappy", "ZSTD"]) {
    const compression = CompressionTypes[name];
    for (const acks of [0, 1, -1]) {
      await check(`produce_${name}_${acks}`, () => roundTrip(compression, acks));
    }
    await check(`idempotent_${name}`, () => roundTrip(compression, -1, { idempotent: true }));
  }
  await check("keys_and_headers", async () => {
    const topic = await create("headers");
    const producer = kafka.producer();
    await producer.connect();
    const message = { key: "k", value: "v", headers: { a: "1" }, timestamp: "1234567890123" };
    await producer.send({ topic, messages: [message, { key: "k", value: null }] });
    await producer.disconnect();
    const [first, second] = await read(topic, 2);
    const { key, value, headers, timestamp } = first;
    equal([`${key}`, `${value}`, `${headers.a}`, timestamp], ["k", "v", "1", "1234567890123"]);
    equal([`${second.key}`, second.value], ["k", null]);
  });
  await check("from_an_offset", async () => {
    const topic = await create("offset");
    const producer = kafka.producer();
    await producer.connect();
    const messages = Array.from({ length: 20 }, (_, i) => ({ value: `${i}` }));
    await producer.send({ topic, messages });
    await producer.disconnect();
    equal(`${(await read(topic, 1, 13))[0].value}`, "13");
  });
  await check("offsets_by_time", async () => {
    const topic = await create("times");
    const producer = kafka.producer();
    await producer.connect();
    const messages = [1000, 2000, 3000].map((time) => ({ value: "v", timestamp: `${time}` }));
    await producer.send({ topic, messages });
    await producer.disconnect();
    const found = await admin.fetchTopicOffsetsByTimestamp(topic, 1500);
    equal(found, [{ partition: 0, offset: "1" }]);
    const ends = await admin.fetchTopicOffsets(topic);
    equal([ends[0].low, ends[0].high], ["0", "3"]);
  });
  await check("topics", async () => {
    const topic = await create("topics", 3);
    equal((await admin.listTopics()).includes(topic), true);
    await admin.createPartitions({ topicPartitions: [{ topic, count: 5 }] });
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
    equal(topics[0].partitions.length, 5);
    await admin.deleteTopics({ topics: [topic] });
    equal((await admin.listTopics()).includes(topic), false);
  });
  await check("transactions_are_refused", async () => {
    const transactionalId = await create("transaction");
    const producer = kafka.producer({ transactionalId, idempotent: true, maxInFlightRequests: 1 });
    await producer.connect();
    const refused = await producer.transaction().catch((error) => error.name);
    await producer.disconnect();
    equal(refused, "KafkaJSGroupCoordinatorNotFound");
  });
  await check("cluster", async () => {
    const { brokers, clusterId } = await admin.describeCluster();
    equal([brokers.length, typeof clusterId], [1, "string"]);
  });
  await admin.disconnect();
  process.exit(failed);
}

main();
