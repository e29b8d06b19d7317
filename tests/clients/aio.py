"""aiokafka: usage `aio.py HOST:PORT [check...]`.

Topics, every codec and acks, idempotence, assignment, seeking by offset and by time.
"""
import asyncio
import sys

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TransactionalIdAuthorizationFailed

from checks import CHECKS, equal, for_each, main, topic_name

BROKER = sys.argv[1]
CODECS = (None, "gzip", "snappy", "lz4", "zstd")


def check(function):
    """Registers an asynchronous check."""
    CHECKS.append((function.__name__, lambda: asyncio.run(function())))
    return function


async def create(words, partitions=1):
    """Creates a topic and returns its name."""
    topic = topic_name(words)
    admin = AIOKafkaAdminClient(bootstrap_servers=BROKER)
    await admin.start()
    answer = await admin.create_topics([NewTopic(topic, partitions, 1)])
    equal([error[1] for error in answer.topic_errors], [0], "errors")
    await admin.close()
    return topic


async def send(topic, values, timestamps=None, **options):
    """Sends to partition 0 and returns what the broker said of each."""
    async with AIOKafkaProducer(bootstrap_servers=BROKER, linger_ms=20, **options) as producer:
        futures = []
        for i, value in enumerate(values):
            more = {"timestamp_ms": timestamps[i]} if timestamps else {}
            futures.append(await producer.send(topic, value, partition=0, **more))
        return [await future for future in futures]


async def take(reader, count):
    """Reads that many records."""
    records = []
    while len(records) < count:
        for batch in (await reader.getmany(timeout_ms=1000)).values():
            records.extend(batch)
    return records


@for_each(*[(codec, acks) for codec in CODECS for acks in (0, 1, "all")])
def produce(codec, acks):
    """What was sent is what is read, at offsets from 0."""
    asyncio.run(round_trip(codec, {"acks": acks}))


@for_each(*CODECS)
def idempotent(codec):
    """The same with sequence numbers."""
    asyncio.run(round_trip(codec, {"enable_idempotence": True}))


async def round_trip(codec, options):
    """Sends and reads back."""
    topic = await create("produce-%s" % codec)
    values = [b"%d-" % i + b"x" * 100 for i in range(300)]
    answers = await send(topic, values, compression_type=codec, **options)
    if options.get("acks") != 0:
        equal([answer.offset for answer in answers], list(range(300)), "offsets")
    async with AIOKafkaConsumer(bootstrap_servers=BROKER) as reader:
        reader.assign([TopicPartition(topic, 0)])
        reader.seek(TopicPartition(topic, 0), 0)
        records = await take(reader, 300)
    equal([record.value for record in records], values)
    equal([record.offset for record in records], list(range(300)), "offsets")


@check
async def seek_by_offset_and_time():
    """Positions by offset, by time, at both ends."""
    topic = await create("seek")
    start = 1_600_000_000_000
    times = [start + i * 1000 for i in range(20)]
    await send(topic, [b"%d" % i for i in range(20)], times)
    partition = TopicPartition(topic, 0)
    async with AIOKafkaConsumer(bootstrap_servers=BROKER) as reader:
        reader.assign([partition])
        for offset in (7, 0, 19):
            reader.seek(partition, offset)
            equal((await reader.getone()).offset, offset, "offset")
        found = await reader.offsets_for_times({partition: start + 7500})
        equal((found[partition].offset, found[partition].timestamp), (8, start + 8000))
        equal(await reader.offsets_for_times({partition: start + 19001}), {partition: None})
        equal(await reader.beginning_offsets([partition]), {partition: 0})
        equal(await reader.end_offsets([partition]), {partition: 20})


@check
async def keys_headers_and_nulls():
    """Keys, headers, empty and absent values arrive as they were sent."""
    topic = await create("headers")
    headers = [("a", b"1"), ("a", b"2")]
    async with AIOKafkaProducer(bootstrap_servers=BROKER) as producer:
        options = {"headers": headers, "timestamp_ms": 1234567890123}
        await producer.send_and_wait(topic, b"", b"key", **options)
        await producer.send_and_wait(topic, None, b"key")
    async with AIOKafkaConsumer(bootstrap_servers=BROKER) as reader:
        reader.assign([TopicPartition(topic, 0)])
        reader.seek(TopicPartition(topic, 0), 0)
        first, second = await take(reader, 2)
    equal((first.key, first.value, list(first.headers)), (b"key", b"", headers))
    equal(first.timestamp, 1234567890123, "timestamp")
    equal((second.key, second.value), (b"key", None))


@check
async def transactions_are_refused():
    """There are none yet, and the client ends at once."""
    name = topic_name("transaction")
    producer = AIOKafkaProducer(bootstrap_servers=BROKER, transactional_id=name)
    try:
        await producer.start()
    except TransactionalIdAuthorizationFailed:
        await producer.stop()
    else:
        raise AssertionError("transactions are there")


main()
