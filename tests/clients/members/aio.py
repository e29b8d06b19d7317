"""A group member on aiokafka: see `member.py`."""
import asyncio
import os

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor

import member

ASSIGNORS = {
    "range": RangePartitionAssignor,
    "roundrobin": RoundRobinPartitionAssignor,
    "sticky": StickyPartitionAssignor,
}


class Listener(ConsumerRebalanceListener):
    """Tells of rebalances."""

    def on_partitions_revoked(self, revoked):
        member.say("revoked")

    def on_partitions_assigned(self, assigned):
        member.say_assigned(assigned)


async def obey(consumer, positions, command):
    """Carries out one command."""
    word, arguments = command[0], command[1:]
    if word in ("commit", "commit-async"):
        due = {
            TopicPartition(*at): offset for at, offset in positions.items()
            if TopicPartition(*at) in consumer.assignment()
        }
        await consumer.commit(due)
        member.say_committed(due)
    elif word == "leave":
        await consumer.stop()
        member.say("left")
        os._exit(0)
    else:
        partition = TopicPartition(*member.parsed(arguments[0]))
        if word == "seek":
            consumer.seek(partition, int(arguments[1]))
        elif word == "pause":
            consumer.pause(partition)
        elif word == "resume":
            consumer.resume(partition)
        else:
            raise ValueError(word)


async def main():
    """Polls and obeys until told to leave."""
    broker, options = member.options()
    consumer = AIOKafkaConsumer(
        bootstrap_servers=broker,
        group_id=options["group"],
        group_instance_id=options.get("instance"),
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        session_timeout_ms=int(options["session_ms"]),
        heartbeat_interval_ms=200,
        metadata_max_age_ms=1000,
        partition_assignment_strategy=[ASSIGNORS[options["assignor"]]],
    )
    if "pattern" in options:
        consumer.subscribe(pattern=options["pattern"], listener=Listener())
    else:
        consumer.subscribe(topics=options["topics"].split(","), listener=Listener())
    await consumer.start()
    positions, waiting = {}, member.commands()
    while True:
        for records in (await consumer.getmany(timeout_ms=50)).values():
            for record in records:
                positions[record.topic, record.partition] = record.offset + 1
                member.say("record", "%s:%d" % (record.topic, record.partition), record.offset)
        while not waiting.empty():
            await obey(consumer, positions, waiting.get())


asyncio.run(main())
