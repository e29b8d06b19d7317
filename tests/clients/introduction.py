"""The introduction's example with kafka-python, against localhost:9092 and the topic `test`.

(`recv()` in the example's original never existed: a consumer is iterated.)
"""
import sys

from kafka import KafkaConsumer, KafkaProducer

producer = KafkaProducer(bootstrap_servers="localhost:9092")
producer.send("test", b"Hello, World!")
producer.flush()

consumer = KafkaConsumer(
    "test",
    bootstrap_servers="localhost:9092",
    auto_offset_reset="earliest",
    consumer_timeout_ms=10000,
)
for message in consumer:
    passed = message.value == b"Hello, World!"
    print("PASS introduction" if passed else "FAIL introduction got %r" % message.value)
    sys.exit(0 if passed else 1)
print("FAIL introduction nothing came")
sys.exit(1)
