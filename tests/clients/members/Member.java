// A group member on Apache Kafka's Java consumer: see `member.py` for its command line, events and
// commands.

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.time.Duration;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.regex.Pattern;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

public class Member {
    private static final Map<String, String> ASSIGNORS = Map.of(
            "range", "RangeAssignor",
            "roundrobin", "RoundRobinAssignor",
            "sticky", "StickyAssignor",
            "cooperative-sticky", "CooperativeStickyAssignor");
    private static final Map<TopicPartition, OffsetAndMetadata> positions = new HashMap<>();
    private static KafkaConsumer<byte[], byte[]> consumer;

    public static void main(String[] arguments) {
        Map<String, String> options = new HashMap<>();
        for (String word : Arrays.copyOfRange(arguments, 1, arguments.length)) {
            String[] parts = word.split("=", 2);
            options.put(parts[0], parts[1]);
        }
        consumer = open(arguments[0], options);
        subscribe(options);
        ConcurrentLinkedQueue<String> commands = commands();
        while (true) {
            for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(50))) {
                TopicPartition from = new TopicPartition(record.topic(), record.partition());
                positions.put(from, new OffsetAndMetadata(record.offset() + 1));
                say("record " + named(from) + " " + record.offset());
            }
            for (String line = commands.poll(); line != null; line = commands.poll()) {
                obey(line.split(" "));
            }
        }
    }

    private static KafkaConsumer<byte[], byte[]> open(String broker, Map<String, String> options) {
        Map<String, Object> settings = new HashMap<>();
        settings.put("bootstrap.servers", broker);
        settings.put("group.id", options.get("group"));
        settings.put("auto.offset.reset", "earliest");
        settings.put("enable.auto.commit", false);
        settings.put("session.timeout.ms", options.get("session_ms"));
        settings.put("heartbeat.interval.ms", 200);
        settings.put("metadata.max.age.ms", 1000);
        settings.put("reconnect.backoff.max.ms", 500);
        settings.put("partition.assignment.strategy",
                "org.apache.kafka.clients.consumer." + ASSIGNORS.get(options.get("assignor")));
        if (options.containsKey("instance")) {
            settings.put("group.instance.id", options.get("instance"));
        }
        ByteArrayDeserializer bytes = new ByteArrayDeserializer();
        return new KafkaConsumer<>(settings, bytes, bytes);
    }

    private static void subscribe(Map<String, String> options) {
        ConsumerRebalanceListener listener = new ConsumerRebalanceListener() {
            @Override
            public void onPartitionsRevoked(Collection<TopicPartition> revoked) {
                say("revoked");
                positions.keySet().removeAll(revoked);
                TreeSet<TopicPartition> left = new TreeSet<>(Member::compare);
                left.addAll(consumer.assignment());
                left.removeAll(revoked);
                if (!left.isEmpty()) {
                    sayAssigned(left);
                }
            }

            @Override
            public void onPartitionsAssigned(Collection<TopicPartition> added) {
                sayAssigned(consumer.assignment());
            }
        };
        if (options.containsKey("pattern")) {
            consumer.subscribe(Pattern.compile(options.get("pattern") + ".*"), listener);
        } else {
            consumer.subscribe(List.of(options.get("topics").split(",")), listener);
        }
    }

    private static ConcurrentLinkedQueue<String> commands() {
        ConcurrentLinkedQueue<String> commands = new ConcurrentLinkedQueue<>();
        Thread reader = new Thread(() -> {
            try (var input = new BufferedReader(new InputStreamReader(System.in))) {
                for (String line = input.readLine(); line != null; line = input.readLine()) {
                    commands.add(line);
                }
            } catch (Exception gone) {
                say("failed " + gone);
            }
            Runtime.getRuntime().halt(1);
        });
        reader.setDaemon(true);
        reader.start();
        return commands;
    }

    private static void obey(String[] words) {
        switch (words[0]) {
            case "commit" -> {
                Map<TopicPartition, OffsetAndMetadata> due = new HashMap<>(positions);
                consumer.commitSync(due);
                sayCommitted(due);
            }
            case "commit-async" -> consumer.commitAsync(new HashMap<>(positions), (due, error) -> {
                if (error == null) {
                    sayCommitted(due);
                } else {
                    say("failed " + error);
                }
            });
            case "seek" -> consumer.seek(parsed(words[1]), Long.parseLong(words[2]));
            case "pause" -> consumer.pause(List.of(parsed(words[1])));
            case "resume" -> consumer.resume(List.of(parsed(words[1])));
            case "leave" -> {
                consumer.close();
                say("left");
                Runtime.getRuntime().halt(0);
            }
            default -> throw new IllegalArgumentException(words[0]);
        }
    }

    private static int compare(TopicPartition a, TopicPartition b) {
        return named(a).compareTo(named(b));
    }

    private static String named(TopicPartition partition) {
        return partition.topic() + ":" + partition.partition();
    }

    private static TopicPartition parsed(String word) {
        int colon = word.lastIndexOf(':');
        int partition = Integer.parseInt(word.substring(colon + 1));
        return new TopicPartition(word.substring(0, colon), partition);
    }

    private static void sayAssigned(Collection<TopicPartition> partitions) {
        TreeSet<String> names = new TreeSet<>();
        partitions.forEach(partition -> names.add(named(partition)));
        say(("assigned " + String.join(" ", names)).trim());
    }

    private static void sayCommitted(Map<TopicPartition, OffsetAndMetadata> due) {
        TreeMap<String, Long> sorted = new TreeMap<>();
        due.forEach((partition, data) -> sorted.put(named(partition), data.offset()));
        StringBuilder line = new StringBuilder("committed");
        sorted.forEach((name, offset) -> line.append(' ').append(name).append('=').append(offset));
        say(line.toString());
    }

    private static synchronized void say(String line) {
        System.out.println(line);
        System.out.flush();
    }
}
