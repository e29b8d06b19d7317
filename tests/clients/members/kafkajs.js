// A group member on KafkaJS: see `member.py` for its command line, events and commands.
"use strict";

const readline = require("node:readline");
const { AssignerProtocol, Kafka, PartitionAssigners, logLevel } = require("kafkajs");

const { MemberAssignment, MemberMetadata } = AssignerProtocol;
const options = Object.fromEntries(process.argv.slice(3).map((word) => word.split(/=(.*)/s)));
const positions = new Map();

function say(...words) {
  process.stdout.write(`${words.join(" ")}\n`);
}

// KafkaJS brings round robin alone, under a name of its own. With this one it joins the others.
const range = ({ cluster }) => ({
  name: "range",
  version: 0,
  async assign({ members, topics }) {
    const given = new Map(members.map(({ memberId }) => [memberId, {}]));
    const ids = [...given.keys()].sort();
    for (const topic of topics) {
      const partitions = cluster.findTopicPartitionMetadata(topic).map((each) => each.partitionId);
      partitions.sort((a, b) => a - b);
      const each = Math.floor(partitions.length / ids.length);
      const more = partitions.length % ids.length;
      ids.forEach((id, i) => {
        given.get(id)[topic] = partitions.splice(0, each + (i < more ? 1 : 0));
      });
    }
    return ids.map((memberId) => ({
      memberId,
      memberAssignment: MemberAssignment.encode({ version: 0, assignment: given.get(memberId) }),
    }));
  },
  protocol({ topics }) {
    const metadata = MemberMetadata.encode({ version: 0, topics, userData: Buffer.alloc(0) });
    return { name: "range", metadata };
  },
});

const kafka = new Kafka({
  brokers: [process.argv[2]],
  clientId: "member",
  logLevel: logLevel.NOTHING,
  retry: { initialRetryTime: 100, maxRetryTime: 1000, retries: 100 },
});
const consumer = kafka.consumer({
  groupId: options.group,
  sessionTimeout: Number(options.session_ms),
  heartbeatInterval: 200,
  metadataMaxAge: 1000,
  maxWaitTimeInMs: 100,
  partitionAssigners: [options.assignor === "range" ? range : PartitionAssigners.roundRobin],
});

function parsed(word) {
  const colon = word.lastIndexOf(":");
  return { topic: word.slice(0, colon), partition: Number(word.slice(colon + 1)) };
}

function sayAssigned(assignment) {
  const all = Object.entries(assignment).flatMap(([topic, partitions]) =>
    partitions.map((partition) => `${topic}:${partition}`),
  );
  // Whoever joins goes on from what is committed, also where it had read further.
  positions.clear();
  say("assigned", ...all.sort());
}

async function obey([word, ...words]) {
  if (word === "commit") {
    const due = [...positions.entries()];
    const offsets = due.map(([at, offset]) => ({ ...parsed(at), offset: `${offset}` }));
    if (offsets.length > 0) await consumer.commitOffsets(offsets);
    say("committed", ...due.map(([at, offset]) => `${at}=${offset}`).sort());
  } else if (word === "leave") {
    await consumer.disconnect();
    say("left");
    process.exit(0);
  } else {
    const { topic, partition } = parsed(words[0]);
    if (word === "seek") consumer.seek({ topic, partition, offset: words[1] });
    else if (word === "pause") consumer.pause([{ topic, partitions: [partition] }]);
    else if (word === "resume") consumer.resume([{ topic, partitions: [partition] }]);
    else throw new Error(word);
  }
}

async function main() {
  consumer.on(consumer.events.REBALANCING, () => say("revoked"));
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => sayAssigned(payload.memberAssignment));
  await consumer.connect();
  const topics = options.pattern ? [new RegExp(options.pattern)] : options.topics.split(",");
  await consumer.subscribe({ topics, fromBeginning: true });
  await consumer.run({
    autoCommit: false,
    eachBatch: async ({ batch, resolveOffset, isStale }) => {
      for (const { offset } of batch.messages) {
        if (isStale()) break;
        const at = `${batch.topic}:${batch.partition}`;
        positions.set(at, Number(offset) + 1);
        resolveOffset(offset);
        say("record", at, offset);
      }
    },
  });
  const input = readline.createInterface({ input: process.stdin });
  let last = Promise.resolve();
  input.on("line", (line) => {
    last = last.then(() => obey(line.split(" "))).catch((error) => say("failed", error.message));
  });
  input.on("close", () => process.exit(1));
}

main();
