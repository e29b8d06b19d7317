"""kafka-python, at 2.0.2 and today's: usage `kafka_python.py HOST:PORT [check...]`.

Topics, every codec and acks, idempotence where the client has it, assignment, seeking by offset and
by time. Groups are another step.
"""
import sys

import kafka
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from kafka.admin import NewPartitions, NewTopic
from kafka.errors import TopicAlreadyExistsError, UnknownTopicOrPartitionError

from checks import check, equal, for_each, main, topic_name, true

BROKER = {"bootstrap_servers": sys.argv[1]}
if "api_version_auto_timeout_ms" in KafkaConsumer.DEFAULT_CONFIG:
    # 2.0.2 gives a broker up that has not told its versions after 2 s; the machine may be busy.
    BROKER["api_version_auto_timeout_ms"] = 30_000
HAS_IDEMPOTENCE = int(kafka.__version__.split(".")[0]) >= 3
CODECS = (None, "gzip", "snappy", "lz4", "zstd")


def create(words, partitions=1, configs=None):
    """Creates a topic and returns its name."""
    topic = topic_name(words)
    admin = KafkaAdminClient(**BROKER)
    admin.create_topics([NewTopic(topic, partitions, 1, topic_configs=configs or {})])
    admin.close()
    return topic


def send(topic, values, **options):
    """Sends values to partition 0 and returns what the broker said of each."""
    producer = KafkaProducer(**BROKER, **options)
    futures = [producer.send(topic, value, partition=0) for value in values]
    producer.flush(20)
    answers = [future.get(20) for future in futures]
    producer.close(5)
    return answers


def consumer(**options):
    """A consumer without a group."""
    return KafkaConsumer(**BROKER, enable_auto_commit=False, **options)


def take(reader, count):
    """Polls until that many records have come, and returns exactly what came."""
    records = []
    while len(records) < count:
        for batch in reader.poll(timeout_ms=1000).values():
            records.extend(batch)
    return records


def read(topic, count, offset=0):
    """Reads from an offset of partition 0."""
    reader = consumer()
    reader.assign([TopicPartition(topic, 0)])
    reader.seek(TopicPartition(topic, 0), offset)
    records = take(reader, count)
    reader.close()
    return records


@for_each(*[(codec, acks) for codec in CODECS for acks in (0, 1, "all")])
def produce(codec, acks):
    """What was sent is what is read, at offsets from 0."""
    topic = create("produce-%s-%s" % (codec, acks))
    values = [b"%d-" % i + b"x" * 100 for i in range(300)]
    options = {"linger_ms": 20, "compression_type": codec, "acks": acks}
    if HAS_IDEMPOTENCE:
        options["enable_idempotence"] = False
    answers = send(topic, values, **options)
    if acks != 0:
        equal([answer.offset for answer in answers], list(range(300)), "offsets")
    records = read(topic, 300)
    equal([record.value for record in records], values)
    equal([record.offset for record in records], list(range(300)), "offsets")


def idempotent_producer():
    """Sequence numbers start at 0 and are accepted, from two producers."""
    topic = create("idempotent")
    options = {"enable_idempotence": True}
    for start in (0, 500):
        values = [b"%d" % i for i in range(start, start + 500)]
        answers = send(topic, values, linger_ms=1, batch_size=500, **options)
        equal([answer.offset for answer in answers], list(range(start, start + 500)), "offsets")
    equal([record.value for record in read(topic, 1000)], [b"%d" % i for i in range(1000)])


if HAS_IDEMPOTENCE:
    check(idempotent_producer)


@check
def keys_headers_and_nulls():
    """Keys, headers, empty and absent values arrive as they were sent."""
    topic = create("headers")
    producer = KafkaProducer(**BROKER)
    headers = [("a", b"1"), ("a", b"2"), ("empty", b"")]
    producer.send(topic, key=b"key", value=b"", headers=headers, timestamp_ms=1234567890123)
    producer.send(topic, key=b"key", value=None)
    producer.flush(20)
    producer.close(5)
    first, second = read(topic, 2)
    equal((first.key, first.value, list(first.headers)), (b"key", b"", headers))
    equal((first.timestamp, first.timestamp_type), (1234567890123, 0), "timestamp")
    equal((second.key, second.value), (b"key", None))


@check
def seek_by_offset():
    """Reading begins exactly where the reader was put."""
    topic = create("seek")
    send(topic, [b"%d" % i for i in range(100)], linger_ms=50)
    partition = TopicPartition(topic, 0)
    reader = consumer()
    reader.assign([partition])
    for offset in (37, 0, 99):
        reader.seek(partition, offset)
        equal(take(reader, 1)[0].offset, offset, "offset")
    reader.seek_to_end(partition)
    equal(reader.position(partition), 100, "end")
    reader.seek_to_beginning(partition)
    equal(reader.position(partition), 0, "beginning")
    equal(reader.beginning_offsets([partition]), {partition: 0})
    equal(reader.end_offsets([partition]), {partition: 100})
    reader.close()


@check
def seek_by_time():
    """The first record at or after a time; nothing after the last."""
    topic = create("times")
    # What is acknowledged by the write alone, as 2.0.2 asks, is found by its time a moment later.
    producer = KafkaProducer(**BROKER, linger_ms=50, acks="all")
    start = 1_600_000_000_000
    for i in range(20):
        producer.send(topic, b"%d" % i, partition=0, timestamp_ms=start + i * 1000)
    producer.flush(20)
    producer.close(5)
    partition = TopicPartition(topic, 0)
    reader = consumer()
    found = reader.offsets_for_times({partition: start + 7500})[partition]
    equal((found.offset, found.timestamp), (8, start + 8000))
    equal(reader.offsets_for_times({partition: start + 7000})[partition].offset, 7)
    equal(reader.offsets_for_times({partition: start + 19001})[partition], None)
    reader.close()


@check
def several_partitions():
    """Every partition has its own offsets, and one reader reads them all."""
    topic = create("partitions", 4)
    producer = KafkaProducer(**BROKER)
    for i in range(40):
        producer.send(topic, b"%d" % i, partition=i % 4)
    producer.flush(20)
    producer.close(5)
    partitions = [TopicPartition(topic, i) for i in range(4)]
    reader = consumer()
    reader.assign(partitions)
    reader.seek_to_beginning(*partitions)
    records = take(reader, 40)
    for i in range(4):
        mine = [record for record in records if record.partition == i]
        equal([record.offset for record in mine], list(range(10)), "offsets")
        equal([record.value for record in mine], [b"%d" % j for j in range(i, 40, 4)])
    reader.close()


@check
def out_of_range_begins_anew():
    """A position past the end is answered with an error that the client resets on."""
    topic = create("range")
    send(topic, [b"a", b"b"])
    reader = consumer(auto_offset_reset="earliest")
    reader.assign([TopicPartition(topic, 0)])
    reader.seek(TopicPartition(topic, 0), 1000)
    equal(take(reader, 2)[0].offset, 0, "offset")
    reader.close()


@check
def topics_and_their_errors():
    """Create, grow, describe, create again, delete, delete again."""
    topic = create("topics", 2)
    admin = KafkaAdminClient(**BROKER)
    true(topic in admin.list_topics(), "the topic is listed")
    try:
        admin.create_topics([NewTopic(topic, 1, 1)])
        raise AssertionError("created twice")
    except TopicAlreadyExistsError:
        pass
    admin.create_partitions({topic: NewPartitions(5)})
    equal(len(admin.describe_topics([topic])[0]["partitions"]), 5, "partitions")
    admin.delete_topics([topic])
    try:
        admin.delete_topics([topic])
        raise AssertionError("deleted twice")
    except UnknownTopicOrPartitionError:
        pass
    true(topic not in admin.list_topics(), "the topic is gone")
    admin.close()


@check
def topic_configs():
    """A configuration given at creation is described, with the others at their defaults."""
    topic = create("configs", 1, {"retention.ms": "12345"})
    admin = KafkaAdminClient(**BROKER)
    answer = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    if HAS_IDEMPOTENCE:
        text = str(answer)
        true("retention.ms" in text and "12345" in text, text[:300])
    else:
        values = {entry[0]: entry[1] for entry in answer[0].resources[0][4]}
        equal((values["retention.ms"], values["cleanup.policy"]), ("12345", "delete"))
    admin.close()


@check
def large_records():
    """Records near the limit pass; reading goes on though each exceeds the reader's fetch size."""
    topic = create("large")
    values = [bytes([i]) * 900_000 for i in range(4)]
    send(topic, values)
    reader = consumer(max_partition_fetch_bytes=1000, fetch_max_bytes=1000)
    reader.assign([TopicPartition(topic, 0)])
    reader.seek(TopicPartition(topic, 0), 0)
    equal([record.value for record in take(reader, 4)], values)
    reader.close()


main()
