"""confluent-kafka on librdkafka: usage `confluent.py HOST:PORT [check...]`.

Topics, every codec and acks, idempotence, assignment, seeking by offset and by time.
"""
import os
import socket
import struct
import sys
import time

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, Producer
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewPartitions, NewTopic, OffsetSpec
from confluent_kafka.admin import ScramCredentialInfo, ScramMechanism
from confluent_kafka.admin import UserScramCredentialDeletion, UserScramCredentialUpsertion
from confluent_kafka.error import KafkaException

from checks import check, equal, for_each, main, topic_name, true

BROKER = {"bootstrap.servers": sys.argv[1]}
ADMIN = AdminClient(BROKER)


def create(words, partitions=1, config=None):
    """Creates a topic and returns its name."""
    topic = topic_name(words)
    wanted = NewTopic(topic, partitions, 1, config=config or {})
    ADMIN.create_topics([wanted])[topic].result(20)
    return topic


def send(topic, values, timestamps=None, **options):
    """Sends to partition 0; returns the offsets the broker gave."""
    settings = {name.replace("_", "."): value for name, value in options.items()}
    producer = Producer({**BROKER, "linger.ms": 20, **settings})
    offsets = []

    def delivered(error, message):
        if error is not None:
            raise KafkaException(error)
        offsets.append(message.offset())

    for i, value in enumerate(values):
        more = {"timestamp": timestamps[i]} if timestamps else {}
        producer.produce(topic, value, partition=0, on_delivery=delivered, **more)
        producer.poll(0)
    equal(producer.flush(30), 0, "messages left")
    return offsets


def consumer(**options):
    """A consumer that is only ever assigned."""
    settings = {name.replace("_", "."): value for name, value in options.items()}
    always = {"group.id": "unused", "enable.auto.commit": False}
    return Consumer({**BROKER, **always, **settings})


def take(reader, count):
    """Reads that many records."""
    messages = []
    while len(messages) < count:
        for message in reader.consume(count - len(messages), 1.0):
            if message.error():
                raise KafkaException(message.error())
            messages.append(message)
    return messages


def read(topic, count, offset=0):
    """Reads from an offset of partition 0."""
    reader = consumer(check_crcs=True)
    reader.assign([TopicPartition(topic, 0, offset)])
    messages = take(reader, count)
    reader.close()
    return messages


CODECS = ("none", "gzip", "snappy", "lz4", "zstd")


@for_each(*[(codec, acks) for codec in CODECS for acks in ("0", "1", "all")])
def produce(codec, acks):
    """What was sent is what is read, at offsets from 0, with CRCs checked by the client."""
    topic = create("produce-%s-%s" % (codec, acks))
    values = [b"%d-" % i + b"x" * 100 for i in range(300)]
    offsets = send(topic, values, compression_type=codec, acks=acks)
    if acks != "0":
        equal(offsets, list(range(300)), "offsets")
    messages = read(topic, 300)
    equal([message.value() for message in messages], values)
    equal([message.offset() for message in messages], list(range(300)), "offsets")


@for_each(*CODECS)
def idempotent(codec):
    """Many small batches in flight keep their order and their number, from two producers."""
    topic = create("idempotent-" + codec)
    options = {"enable_idempotence": True, "linger_ms": 0, "batch_num_messages": 10}
    for start in (0, 1000):
        values = [b"%d" % i for i in range(start, start + 1000)]
        offsets = send(topic, values, compression_type=codec, **options)
        equal(offsets, list(range(start, start + 1000)), "offsets")
    equal([message.value() for message in read(topic, 2000)], [b"%d" % i for i in range(2000)])


@check
def keys_headers_and_nulls():
    """Keys, headers, empty and absent values arrive as they were sent."""
    topic = create("headers")
    producer = Producer(BROKER)
    headers = [("a", b"1"), ("a", b"2"), ("null", None)]
    producer.produce(topic, b"", b"key", headers=headers, timestamp=1234567890123)
    producer.produce(topic, None, b"key")
    equal(producer.flush(20), 0, "messages left")
    first, second = read(topic, 2)
    equal((first.key(), first.value(), first.headers()), (b"key", b"", headers))
    equal(first.timestamp()[1], 1234567890123, "timestamp")
    equal((second.key(), second.value(), second.headers()), (b"key", None, None))


@check
def seek_by_offset():
    """Reading begins exactly where the reader was put, and the end is announced."""
    topic = create("seek")
    send(topic, [b"%d" % i for i in range(100)])
    reader = consumer(enable_partition_eof=True)
    reader.assign([TopicPartition(topic, 0, 98)])
    equal([message.offset() for message in take(reader, 2)], [98, 99])
    end = reader.poll(20)
    equal(end.error().code(), KafkaError._PARTITION_EOF, "the end")
    reader.seek(TopicPartition(topic, 0, 37))
    equal(take(reader, 1)[0].offset(), 37, "offset")
    equal(reader.get_watermark_offsets(TopicPartition(topic, 0), 20), (0, 100))
    reader.close()


@check
def seek_by_time():
    """The first record at or after a time; the end for a time after the last."""
    topic = create("times")
    start = 1_600_000_000_000
    times = [start + i * 1000 for i in range(20)]
    send(topic, [b"%d" % i for i in range(20)], times)
    reader = consumer()

    def at(time_ms):
        return reader.offsets_for_times([TopicPartition(topic, 0, time_ms)], 20)[0].offset

    equal([at(start + 7500), at(start + 7000), at(0)], [8, 7, 0])
    equal(at(start + 19001), OFFSET_END, "offset after the last")
    reader.close()


@check
def offsets_of_every_kind():
    """ListOffsets: earliest, latest, and the record with the greatest timestamp."""
    topic = create("offsets")
    start = 1_600_000_000_000
    send(topic, [b"a", b"b", b"c"], [start, start + 9000, start + 1000])
    partition = TopicPartition(topic, 0)

    def at(spec):
        return ADMIN.list_offsets({partition: spec})[partition].result(20)

    equal(at(OffsetSpec.earliest()).offset, 0)
    equal(at(OffsetSpec.latest()).offset, 3)
    greatest = at(OffsetSpec.max_timestamp())
    equal((greatest.offset, greatest.timestamp), (1, start + 9000))


@check
def long_poll_wakes():
    """A waiting reader gets a record as soon as it is there, long before its wait is over."""
    topic = create("poll")
    reader = consumer(fetch_wait_max_ms=20000, socket_timeout_ms=60000)
    reader.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    true(reader.poll(1.0) is None, "an empty topic has a record")
    started = time.monotonic()
    send(topic, [b"x"])
    equal(take(reader, 1)[0].value(), b"x")
    true(time.monotonic() - started < 5, "woke after %.1f s" % (time.monotonic() - started))
    reader.close()


@check
def topics_and_their_errors():
    """Create, create again, grow, describe, delete, delete again."""
    topic = create("topics", 2)

    def code(futures):
        try:
            next(iter(futures.values())).result(20)
            return None
        except KafkaException as error:
            return error.args[0].code()

    exists = code(ADMIN.create_topics([NewTopic(topic, 1, 1)]))
    equal(exists, KafkaError.TOPIC_ALREADY_EXISTS)
    equal(code(ADMIN.create_partitions([NewPartitions(topic, 5)])), None)
    equal(code(ADMIN.create_partitions([NewPartitions(topic, 5)])), KafkaError.INVALID_PARTITIONS)
    equal(len(ADMIN.list_topics(topic, 20).topics[topic].partitions), 5, "partitions")
    invalid = code(ADMIN.create_topics([NewTopic("no/slash", 1, 1)]))
    equal(invalid, KafkaError.TOPIC_EXCEPTION)
    equal(code(ADMIN.delete_topics([topic])), None)
    equal(code(ADMIN.delete_topics([topic])), KafkaError.UNKNOWN_TOPIC_OR_PART)


@check
def cluster_and_configs():
    """The cluster describes itself; a topic's configuration says where each value comes from."""
    cluster = ADMIN.describe_cluster().result(20)
    true(cluster.cluster_id and len(cluster.nodes) == 1, "a cluster of one with an id")
    topic = create("configs", 1, {"segment.bytes": "1048576"})
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    entries = ADMIN.describe_configs([resource])[resource].result(20)
    equal(entries["segment.bytes"].value, "1048576")
    true(not entries["segment.bytes"].is_default, "a value that was set is no default")
    true(entries["cleanup.policy"].is_default, "a value that was not set is a default")


@check
def records_are_deleted():
    """DeleteRecords moves the beginning; what lies before it is out of range."""
    topic = create("delete")
    send(topic, [b"%d" % i for i in range(50)])
    partition = TopicPartition(topic, 0, 20)
    low = ADMIN.delete_records([partition])[partition].result(20)
    equal(low.low_watermark, 20)
    reader = consumer(auto_offset_reset="earliest")
    reader.assign([TopicPartition(topic, 0, 3)])
    equal(take(reader, 1)[0].offset(), 20, "offset")
    reader.close()


def limit(client_id, limits):
    """Sets limits of a client; None removes one. The library has no call for it."""
    text = lambda word: struct.pack(">h", len(word)) + word.encode()
    operation = lambda key, value: text(key) + struct.pack(">d?", value or 0.0, value is None)
    operations = b"".join(operation(*item) for item in limits.items())
    entity = struct.pack(">i", 1) + text("client-id") + text(client_id)
    entry = entity + struct.pack(">i", len(limits)) + operations
    body = struct.pack(">i", 1) + entry + b"\0"
    frame = struct.pack(">hhi", 49, 0, 1) + text("limits") + body
    host, port = BROKER["bootstrap.servers"].rsplit(":", 1)
    with socket.create_connection((host, int(port)), 20) as connection:
        connection.sendall(struct.pack(">i", len(frame)) + frame)
        answer = connection.makefile("rb")
        (size,) = struct.unpack(">i", answer.read(4))
        _, _, entries, code = struct.unpack_from(">iiih", answer.read(size))
        equal((entries, code), (1, 0), "entries, error code")


@check
def limited_clients_are_throttled():
    """A client that does too much is told to wait, and does; another one is not concerned."""
    topic, name = create("limits"), topic_name("client")
    limit(name, {"producer_byte_rate": 50e3, "consumer_byte_rate": 50e3})
    values = [os.urandom(20_000) for _ in range(30)]

    def waits(client_id):
        told = []
        note = lambda event: told.append(event.throttle_time)
        options = {"client.id": client_id, "throttle_cb": note}
        producer = Producer({**BROKER, **options, "batch.size": 20_000})
        for value in values:
            producer.produce(topic, value, partition=0)
        equal(producer.flush(30), 0, "messages left")
        wrote, told = told, []
        note = lambda event: told.append(event.throttle_time)
        always = {"group.id": "unused", "fetch.message.max.bytes": 50_000}
        reader = Consumer({**BROKER, **always, "client.id": client_id, "throttle_cb": note})
        reader.assign([TopicPartition(topic, 0, 0)])
        equal([m.value() for m in take(reader, len(values))], values, "values")
        reader.close()
        return max(wrote, default=0), max(told, default=0)

    write_s, read_s = waits(name)
    true(write_s > 0, "the producer is told to wait")
    true(read_s > 0, "the consumer is told to wait")
    equal(waits(topic_name("other")), (0, 0), "waits of a client without limits")
    limit(name, {"producer_byte_rate": None, "consumer_byte_rate": None})
    equal(waits(name), (0, 0), "waits once the limits are gone")


@check
def users_have_credentials():
    """SCRAM credentials are set, described and deleted."""
    user = topic_name("user")
    sha_256, sha_512 = ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512
    for mechanism, iterations in ((sha_256, 4096), (sha_512, 5000)):
        info = ScramCredentialInfo(mechanism, iterations)
        change = UserScramCredentialUpsertion(user, info, b"a password", b"a salt")
        ADMIN.alter_user_scram_credentials([change])[user].result(20)
    described = ADMIN.describe_user_scram_credentials([user])[user].result(20)
    found = [(info.mechanism, info.iterations) for info in described.scram_credential_infos]
    equal(sorted(found, key=str), [(sha_256, 4096), (sha_512, 5000)], "credentials")
    for mechanism in (sha_256, sha_512):
        change = UserScramCredentialDeletion(user, mechanism)
        ADMIN.alter_user_scram_credentials([change])[user].result(20)
    try:
        ADMIN.describe_user_scram_credentials([user])[user].result(20)
    except KafkaException as error:
        equal(error.args[0].code(), KafkaError.RESOURCE_NOT_FOUND)
    else:
        raise AssertionError("a user without credentials is described")


@check
def transactions_are_refused():
    """There are none yet: the client is told so for good, and does not ask again for ever."""
    producer = Producer({**BROKER, "transactional.id": topic_name("transaction")})
    try:
        producer.init_transactions()
    except KafkaException as error:
        told = error.args[0]
        true(told.fatal(), "the client would try again")
        true("There are no transactions yet." in told.str(), told.str())
    else:
        raise AssertionError("transactions are there")


main()
