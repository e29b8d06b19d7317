"""A group member on confluent-kafka (librdkafka): see `member.py`."""
from confluent_kafka import Consumer, KafkaError, TopicPartition
from confluent_kafka.error import KafkaException

import member

BROKER_AWAY = (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN)


class Client:
    """The consumer, what it has read, and what is assigned."""

    def __init__(self):
        broker, options = member.options()
        self.cooperative = options["assignor"].startswith("cooperative")
        settings = {
            "bootstrap.servers": broker,
            "group.id": options["group"],
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "session.timeout.ms": int(options["session_ms"]),
            "heartbeat.interval.ms": 200,
            "topic.metadata.refresh.interval.ms": 1000,
            "partition.assignment.strategy": options["assignor"],
            "fetch.wait.max.ms": 100,
            "reconnect.backoff.max.ms": 500,
            "on_commit": self.answered,
        }
        if "instance" in options:
            settings["group.instance.id"] = options["instance"]
        self.positions, self.assigned = {}, set()
        self.consumer = Consumer(settings)
        topics = member.topics(options)
        self.consumer.subscribe(topics, on_assign=self.on_assign, on_revoke=self.on_revoke)

    def on_assign(self, consumer, partitions):
        """Takes what is given."""
        given = {(each.topic, each.partition) for each in partitions}
        if self.cooperative:
            consumer.incremental_assign(partitions)
            self.assigned |= given
        else:
            consumer.assign(partitions)
            self.assigned = given
        member.say_assigned(self.assigned)

    def on_revoke(self, consumer, partitions):
        """Gives up what is taken."""
        taken = {(each.topic, each.partition) for each in partitions}
        member.say("revoked")
        self.assigned -= taken
        self.positions = {at: n for at, n in self.positions.items() if at in self.assigned}
        if self.cooperative:
            consumer.incremental_unassign(partitions)
            member.say_assigned(self.assigned)
        else:
            consumer.unassign()

    def poll(self):
        """Reads what there is."""
        for message in self.consumer.consume(100, 0.05):
            if message.error():
                if message.error().code() not in BROKER_AWAY:
                    raise KafkaException(message.error())
                continue
            self.positions[message.topic(), message.partition()] = message.offset() + 1
            member.say("record", "%s:%d" % (message.topic(), message.partition()), message.offset())

    def due(self):
        """What a commit commits."""
        return [TopicPartition(*at, offset) for at, offset in self.positions.items()]

    def commit(self):
        """Commits and waits."""
        done = self.consumer.commit(offsets=self.due(), asynchronous=False)
        for each in done:
            if each.error:
                raise KafkaException(each.error)
        member.say_committed({(each.topic, each.partition): each.offset for each in done})

    def commit_async(self):
        """Commits; a later poll learns of the answer."""
        self.consumer.commit(offsets=self.due(), asynchronous=True)

    @staticmethod
    def answered(error, partitions):
        """librdkafka calls it after commits that nobody waits for."""
        if error is not None:
            member.say("failed", error)
        else:
            member.say_committed({(each.topic, each.partition): each.offset for each in partitions})

    def seek(self, topic, partition, offset):
        """Reads on from there."""
        self.consumer.seek(TopicPartition(topic, partition, offset))

    def pause(self, topic, partition):
        """Reads nothing of it."""
        self.consumer.pause([TopicPartition(topic, partition)])

    def resume(self, topic, partition):
        """Reads of it again."""
        self.consumer.resume([TopicPartition(topic, partition)])

    def close(self):
        """Leaves the group."""
        self.consumer.close()


member.run(Client())
