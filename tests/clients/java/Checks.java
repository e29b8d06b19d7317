// Apache Kafka's own Java clients: usage `java -cp 'lib/*' Checks.java HOST:PORT`.
// Topics, every codec and acks, idempotence, assignment, seeking by offset and by time.

import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

public class Checks {
    private static final int LIMIT_S = 60;
    private static String broker;
    private static Admin admin;
    private static boolean failed;

    private interface Body {
        void run() throws Exception;
    }

    public static void main(String[] arguments) throws Exception {
        broker = arguments[0];
        admin = Admin.create(Map.of("bootstrap.servers", broker));
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            for (String acks : List.of("0", "1", "all")) {
                check("produce_" + codec + "_" + acks, () -> roundTrip(codec, acks, false));
            }
            check("idempotent_" + codec, () -> roundTrip(codec, "all", true));
        }
        check("seek", Checks::seek);
        check("topics", Checks::topics);
        check("configs", Checks::configs);
        check("delete_records", Checks::deleteRecords);
        check("describe_producers", Checks::describeProducers);
        check("describe_quorum", Checks::describeQuorum);
        check("transactions_are_refused", Checks::transactionsAreRefused);
        check("delete_records_without_a_policy", Checks::deleteRecordsWithoutPolicy);
        admin.close(Duration.ofSeconds(5));
        Runtime.getRuntime().halt(failed ? 1 : 0);
    }

    private static void check(String name, Body body) {
        try {
            CompletableFuture.runAsync(() -> {
                try {
                    body.run();
                } catch (Exception error) {
                    throw new IllegalStateException(error);
                }
            }).get(LIMIT_S, TimeUnit.SECONDS);
            System.out.println("PASS " + name);
        } catch (Throwable error) {
            failed = true;
            System.out.println("FAIL " + name + " " + error.toString().replaceAll("\\s+", " "));
        }
    }

    private static void equal(Object got, Object wanted) {
        if (!got.equals(wanted)) {
            throw new AssertionError("got " + got + ", wanted " + wanted);
        }
    }

    private static TopicPartition create(String words, int partitions) throws Exception {
        String topic = "check-java-" + words + "-" + System.nanoTime();
        admin.createTopics(List.of(new NewTopic(topic, partitions, (short) 1))).all().get();
        return new TopicPartition(topic, 0);
    }

    private static KafkaConsumer<String, String> consumer(TopicPartition partition) {
        Map<String, Object> options = new HashMap<>();
        options.put("bootstrap.servers", broker);
        options.put("enable.auto.commit", false);
        StringDeserializer text = new StringDeserializer();
        KafkaConsumer<String, String> consumer = new KafkaConsumer<>(options, text, text);
        consumer.assign(List.of(partition));
        return consumer;
    }

    private static List<RecordMetadata> send(
            TopicPartition to, int count, Map<String, Object> more) throws Exception {
        Map<String, Object> options = new HashMap<>(more);
        options.put("bootstrap.servers", broker);
        options.putIfAbsent("linger.ms", 5);
        StringSerializer text = new StringSerializer();
        List<RecordMetadata> answers = new ArrayList<>();
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(options, text, text)) {
            List<Future<RecordMetadata>> futures = new ArrayList<>();
            for (int i = 0; i < count; i++) {
                String value = i + "-" + "x".repeat(100);
                long time = 1_000_000L + i * 1000L;
                futures.add(producer.send(
                        new ProducerRecord<>(to.topic(), to.partition(), time, "k" + i, value)));
            }
            for (Future<RecordMetadata> future : futures) {
                answers.add(future.get());
            }
        }
        return answers;
    }

    private static void roundTrip(String codec, String acks, boolean idempotent) throws Exception {
        TopicPartition partition = create("produce-" + codec, 1);
        Map<String, Object> options = Map.of(
                "compression.type", codec, "acks", acks, "enable.idempotence", idempotent);
        List<RecordMetadata> answers = send(partition, 300, options);
        equal(answers.get(299).offset(), acks.equals("0") ? -1L : 299L);
        try (KafkaConsumer<String, String> consumer = consumer(partition)) {
            consumer.seekToBeginning(List.of(partition));
            long next = 0;
            while (next < 300) {
                for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofSeconds(1))) {
                    equal(record.offset(), next);
                    equal(record.key(), "k" + next);
                    equal(record.value(), next + "-" + "x".repeat(100));
                    next++;
                }
            }
        }
    }

    private static void seek() throws Exception {
        TopicPartition partition = create("seek", 1);
        send(partition, 20, Map.of());
        try (KafkaConsumer<String, String> consumer = consumer(partition)) {
            consumer.seek(partition, 13);
            List<ConsumerRecord<String, String>> records = List.of();
            while (records.isEmpty()) {
                records = consumer.poll(Duration.ofSeconds(1)).records(partition);
            }
            equal(records.get(0).offset(), 13L);
            equal(consumer.beginningOffsets(List.of(partition)), Map.of(partition, 0L));
            equal(consumer.endOffsets(List.of(partition)), Map.of(partition, 20L));
            long found = consumer.offsetsForTimes(Map.of(partition, 1_007_500L))
                    .get(partition).offset();
            equal(found, 8L);
            consumer.seekToEnd(List.of(partition));
            equal(consumer.position(partition), 20L);
        }
        equal(admin.listOffsets(Map.of(partition, OffsetSpec.maxTimestamp())).all().get()
                .get(partition).offset(), 19L);
    }

    private static void topics() throws Exception {
        String topic = create("topics", 2).topic();
        admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(4))).all().get();
        equal(admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic)
                .partitions().size(), 4);
        equal(admin.listTopics().names().get().contains(topic), true);
        admin.deleteTopics(List.of(topic)).all().get();
        equal(admin.listTopics().names().get().contains(topic), false);
    }

    private static void configs() throws Exception {
        String topic = create("configs", 1).topic();
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        equal(admin.describeConfigs(List.of(resource)).all().get().get(resource)
                .get("cleanup.policy").value(), "delete");
        ConfigResource server = new ConfigResource(ConfigResource.Type.BROKER, "1");
        equal(admin.describeConfigs(List.of(server)).all().get().get(server)
                .get("node.id").value(), "1");
    }

    private static void deleteRecords() throws Exception {
        TopicPartition partition = create("delete", 1);
        send(partition, 50, Map.of());
        long low = admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(20)))
                .lowWatermarks().get(partition).get().lowWatermark();
        equal(low, 20L);
        equal(admin.listOffsets(Map.of(partition, OffsetSpec.earliest())).all().get()
                .get(partition).offset(), 20L);
    }

    private static void describeProducers() throws Exception {
        TopicPartition partition = create("producers", 1);
        send(partition, 50, Map.of("batch.size", 200));
        var state = admin.describeProducers(Set.of(partition)).partitionResult(partition).get();
        equal(state.activeProducers().size(), 1);
        equal(state.activeProducers().get(0).lastSequence(), 49);
    }

    private static void transactionsAreRefused() {
        StringSerializer text = new StringSerializer();
        Map<String, Object> options = Map.of(
                "bootstrap.servers", broker, "transactional.id", "check-" + System.nanoTime());
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(options, text, text)) {
            producer.initTransactions();
            throw new AssertionError("transactions are there");
        } catch (KafkaException error) {
            equal(error.getMessage().endsWith("There are no transactions yet."), true);
        }
    }

    private static void deleteRecordsWithoutPolicy() throws Exception {
        TopicPartition partition = create("keeps", 1);
        ConfigResource topic = new ConfigResource(ConfigResource.Type.TOPIC, partition.topic());
        ConfigEntry none = new ConfigEntry("cleanup.policy", "");
        AlterConfigOp change = new AlterConfigOp(none, AlterConfigOp.OpType.SET);
        admin.incrementalAlterConfigs(Map.of(topic, List.of(change))).all().get();
        send(partition, 10, Map.of());
        var before = Map.of(partition, RecordsToDelete.beforeOffset(4));
        var told = admin.deleteRecords(before).lowWatermarks().get(partition).get();
        equal(told.lowWatermark(), 4L);
    }

    private static void describeQuorum() throws Exception {
        var quorum = admin.describeMetadataQuorum().quorumInfo().get();
        equal(quorum.leaderId(), 1);
        equal(quorum.voters().size(), 1);
    }
}
