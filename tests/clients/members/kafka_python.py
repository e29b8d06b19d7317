"""A group member on kafka-python of the second series: see `member.py`."""
import kafka
from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from kafka.errors import CommitFailedError, RebalanceInProgressError
from kafka.structs import OffsetAndMetadata

import member

ASSIGNORS = {"range": RangePartitionAssignor, "roundrobin": RoundRobinPartitionAssignor}


def assignor(name):
    """The class of an assignor."""
    if name == "sticky":
        from kafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
        return StickyPartitionAssignor
    if name == "cooperative-sticky":
        from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
        return CooperativeStickyAssignor
    return ASSIGNORS[name]


class Listener(ConsumerRebalanceListener):
    """Tells of rebalances."""

    def __init__(self, consumer, cooperative):
        self.consumer, self.cooperative = consumer, cooperative

    def on_partitions_revoked(self, revoked):
        member.say("revoked")
        if self.cooperative:
            member.say_assigned(set(self.consumer.assignment()) - set(revoked))

    def on_partitions_assigned(self, assigned):
        member.say_assigned(self.consumer.assignment())


class Client:
    """The consumer, and what it has read."""

    def __init__(self):
        broker, options = member.options()
        settings = {
            "bootstrap_servers": broker,
            "group_id": options["group"],
            "auto_offset_reset": "earliest",
            "enable_auto_commit": False,
            "session_timeout_ms": int(options["session_ms"]),
            "heartbeat_interval_ms": 200,
            "metadata_max_age_ms": 1000,
            "partition_assignment_strategy": [assignor(options["assignor"])],
        }
        if "api_version_auto_timeout_ms" in KafkaConsumer.DEFAULT_CONFIG:
            # Before 3.0 it gives a broker up that has not told its versions after 2 s.
            settings["api_version_auto_timeout_ms"] = 30_000
        if "instance" in options:
            settings["group_instance_id"] = options["instance"]
        self.positions = {}
        self.consumer = KafkaConsumer(**settings)
        listener = Listener(self.consumer, options["assignor"].startswith("cooperative"))
        if "pattern" in options:
            self.consumer.subscribe(pattern=options["pattern"], listener=listener)
        else:
            topics = options["topics"].split(",")
            for topic in topics:
                # Of a topic that it does not know yet, 3.0 assigns itself nothing and joins again.
                self.consumer.partitions_for_topic(topic)
            self.consumer.subscribe(topics=topics, listener=listener)
            # It joins once more, at any later time, if it learns of its topics after it has joined.
            self.consumer.topics()

    def poll(self):
        """Reads what there is."""
        for records in self.consumer.poll(timeout_ms=50).values():
            for record in records:
                self.positions[record.topic, record.partition] = record.offset + 1
                member.say("record", "%s:%d" % (record.topic, record.partition), record.offset)

    def due(self):
        """What a commit commits, of what is still assigned."""
        self.positions = {
            at: offset for at, offset in self.positions.items()
            if TopicPartition(*at) in self.consumer.assignment()
        }
        more = [-1] * (len(OffsetAndMetadata._fields) - 2)
        return {
            TopicPartition(*at): OffsetAndMetadata(offset, "", *more)
            for at, offset in self.positions.items()
        }

    def commit(self):
        """Commits and waits; a rebalance on the way ends first."""
        while True:
            due = self.due()
            try:
                self.consumer.commit(due)
            except (CommitFailedError, RebalanceInProgressError):
                self.poll()
            else:
                member.say_committed({at: data.offset for at, data in due.items()})
                return

    def commit_async(self):
        """Commits; a later poll learns of the answer."""
        due = self.due()

        def answered(_, response):
            if isinstance(response, BaseException):
                member.say("failed", repr(response))
            else:
                member.say_committed({at: data.offset for at, data in due.items()})

        self.consumer.commit_async(due, callback=answered)

    def seek(self, topic, partition, offset):
        """Reads on from there."""
        self.consumer.seek(TopicPartition(topic, partition), offset)

    def pause(self, topic, partition):
        """Reads nothing of it."""
        self.consumer.pause(TopicPartition(topic, partition))

    def resume(self, topic, partition):
        """Reads of it again."""
        self.consumer.resume(TopicPartition(topic, partition))

    def close(self):
        """Leaves the group."""
        self.consumer.close()


member.run(Client())
