// Kafka Streams at least once: usage `java -cp 'lib/*' Streams.java HOST:PORT`.
// A word count with a state store, through a repartition topic and a changelog; then again with an
// empty state folder, so that the counts come back from the changelog.

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.TreeMap;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.LongDeserializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;

public class Streams {
    private static final long LIMIT_NS = Duration.ofSeconds(90).toNanos();
    private static String broker;
    private static String name;
    private static Admin admin;
    private static boolean failed;

    private interface Body {
        void run() throws Exception;
    }

    public static void main(String[] arguments) throws Exception {
        broker = arguments[0];
        name = "streams-" + System.nanoTime();
        admin = Admin.create(Map.of("bootstrap.servers", broker));
        admin.createTopics(List.of(
                new NewTopic(name + "-in", 2, (short) 1), new NewTopic(name + "-out", 2, (short) 1)))
                .all().get();
        check("streams_word_count", () -> count(
                List.of("to be or not to be", "to do is to be"),
                Map.of("to", 4L, "be", 3L, "or", 1L, "not", 1L, "do", 1L, "is", 1L)));
        check("streams_restart_restores_counts", () -> count(
                List.of("to be is to do", "do be do"),
                Map.of("to", 6L, "be", 5L, "or", 1L, "not", 1L, "do", 4L, "is", 2L)));
        check("streams_internal_topics", Streams::internalTopics);
        admin.close(Duration.ofSeconds(5));
        Runtime.getRuntime().halt(failed ? 1 : 0);
    }

    private static void check(String name, Body body) {
        try {
            body.run();
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

    private static Topology topology() {
        StreamsBuilder builder = new StreamsBuilder();
        builder.<String, String>stream(name + "-in")
                .flatMapValues(line -> Arrays.asList(line.split(" ")))
                .groupBy((key, word) -> word, Grouped.as("words"))
                .count(Materialized.as("counts"))
                .toStream()
                .to(name + "-out", Produced.with(Serdes.String(), Serdes.Long()));
        return builder.build();
    }

    /** Counts the words of more lines, beginning with an empty state folder. */
    private static void count(List<String> lines, Map<String, Long> wanted) throws Exception {
        Path state = Files.createTempDirectory("streams");
        Properties settings = new Properties();
        settings.put("application.id", name);
        settings.put("bootstrap.servers", broker);
        settings.put("state.dir", state.toString());
        settings.put("default.key.serde", Serdes.StringSerde.class);
        settings.put("default.value.serde", Serdes.StringSerde.class);
        settings.put("dsl.store.suppliers.class",
                "org.apache.kafka.streams.state.BuiltInDslStoreSuppliers$InMemoryDslStoreSuppliers");
        settings.put("num.stream.threads", 2);
        settings.put("commit.interval.ms", 200);
        settings.put("repartition.purge.interval.ms", 200);
        settings.put("statestore.cache.max.bytes", 0);
        settings.put("consumer.auto.offset.reset", "earliest");
        try (KafkaStreams streams = new KafkaStreams(topology(), settings)) {
            streams.start();
            StringSerializer text = new StringSerializer();
            Map<String, Object> options = Map.of("bootstrap.servers", broker);
            try (KafkaProducer<String, String> producer =
                    new KafkaProducer<>(options, text, text)) {
                lines.forEach(line -> producer.send(new ProducerRecord<>(name + "-in", line)));
            }
            awaitCounts(wanted);
            awaitPurge();
            streams.close(Duration.ofSeconds(30));
        }
    }

    /** Reads the output from its start until the last count of each word is the wanted one. */
    private static void awaitCounts(Map<String, Long> wanted) {
        Map<String, Long> counts = new TreeMap<>();
        long end = System.nanoTime() + LIMIT_NS;
        Map<String, Object> options = new HashMap<>();
        options.put("bootstrap.servers", broker);
        options.put("enable.auto.commit", false);
        try (KafkaConsumer<String, Long> consumer =
                new KafkaConsumer<>(options, new StringDeserializer(), new LongDeserializer())) {
            List<TopicPartition> all = List.of(
                    new TopicPartition(name + "-out", 0), new TopicPartition(name + "-out", 1));
            consumer.assign(all);
            consumer.seekToBeginning(all);
            while (!counts.equals(wanted)) {
                if (System.nanoTime() > end) {
                    throw new AssertionError("got " + counts + ", wanted " + wanted);
                }
                for (ConsumerRecord<String, Long> record : consumer.poll(Duration.ofMillis(200))) {
                    counts.put(record.key(), record.value());
                }
            }
        }
    }

    /** The topics that Streams made for itself, their settings, and that it purges what it read. */
    private static void internalTopics() throws Exception {
        String repartition = name + "-words-repartition";
        String changelog = name + "-counts-changelog";
        Set<String> names = admin.listTopics().names().get();
        equal(names.containsAll(List.of(repartition, changelog)), true);
        equal(setting(changelog, "cleanup.policy"), "compact");
        equal(setting(repartition, "cleanup.policy"), "delete");
        equal(setting(repartition, "retention.ms"), "-1");
        equal(purged() > 0, true);
    }

    /** Waits until Streams has purged some of what it read: it does so for as long as it runs. */
    private static void awaitPurge() throws Exception {
        long end = System.nanoTime() + LIMIT_NS;
        while (purged() == 0) {
            if (System.nanoTime() > end) {
                throw new AssertionError("what was read is not purged");
            }
        }
    }

    /** How many records of the repartition topic are gone. */
    private static long purged() throws Exception {
        long purged = 0;
        for (int partition = 0; partition < 2; partition++) {
            TopicPartition of = new TopicPartition(name + "-words-repartition", partition);
            purged += admin.listOffsets(Map.of(of, OffsetSpec.earliest())).partitionResult(of)
                    .get().offset();
        }
        return purged;
    }

    private static String setting(String topic, String setting) throws Exception {
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        return admin.describeConfigs(List.of(resource)).all().get().get(resource).get(setting)
                .value();
    }
}
