// Kafka Connect, standalone: usage `java -cp 'lib/*' Connect.java HOST:PORT`.
// A file goes into a topic and out into another file; then the worker ends, starts again, and goes
// on where both connectors were.

import java.io.IOException;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.StandardWatchEventKinds;
import java.nio.file.WatchKey;
import java.nio.file.WatchService;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.common.utils.Exit;
import org.apache.kafka.connect.cli.ConnectStandalone;

public class Connect {
    private static final int LIMIT_S = 90;
    private static Path folder;
    private static boolean failed;

    /** A worker in this process: Connect's own `main`, with its shutdown hook in our hands. */
    private static final class Worker {
        final CountDownLatch hooked = new CountDownLatch(1);
        Runnable hook;
        Thread thread;

        void start(String... files) throws InterruptedException {
            Exit.setExitProcedure((code, message) -> {
                throw new IllegalStateException("the worker ended with " + code);
            });
            Exit.setShutdownHookAdder((name, run) -> {
                hook = run;
                hooked.countDown();
            });
            thread = new Thread(() -> ConnectStandalone.main(files), "worker");
            thread.start();
        }

        void stop() throws InterruptedException {
            if (!hooked.await(LIMIT_S, TimeUnit.SECONDS)) {
                throw new IllegalStateException("the worker never ran");
            }
            hook.run();
            thread.join();
        }
    }

    public static void main(String[] arguments) throws Exception {
        folder = Files.createTempDirectory("connect");
        String topic = "connect-" + System.nanoTime();
        String worker = write("worker", List.of(
                "bootstrap.servers=" + arguments[0],
                "key.converter=org.apache.kafka.connect.storage.StringConverter",
                "value.converter=org.apache.kafka.connect.storage.StringConverter",
                "offset.storage.file.filename=" + folder.resolve("offsets"),
                "offset.flush.interval.ms=500",
                "plugin.discovery=service_load",
                "listeners=http://127.0.0.1:0"));
        String source = write("source", List.of(
                "name=" + topic + "-source",
                "connector.class=org.apache.kafka.connect.file.FileStreamSourceConnector",
                "tasks.max=1",
                "file=" + folder.resolve("in.txt"),
                "topic=" + topic));
        String sink = write("sink", List.of(
                "name=" + topic + "-sink",
                "connector.class=org.apache.kafka.connect.file.FileStreamSinkConnector",
                "tasks.max=1",
                "file=" + folder.resolve("out.txt"),
                "topics=" + topic));
        Files.writeString(folder.resolve("in.txt"), "one\ntwo\n");
        check("connect_file_to_file", "one\ntwo\n", worker, source, sink);
        Files.writeString(folder.resolve("in.txt"), "three\nfour\n", StandardOpenOption.APPEND);
        check("connect_goes_on_after_a_restart", "one\ntwo\nthree\nfour\n", worker, source, sink);
        Runtime.getRuntime().halt(failed ? 1 : 0);
    }

    private static String write(String name, List<String> lines) throws IOException {
        return Files.write(folder.resolve(name + ".properties"), lines).toString();
    }

    private static void check(String name, String wanted, String... files) {
        try {
            Worker worker = new Worker();
            worker.start(files);
            awaitFile(folder.resolve("out.txt"), wanted);
            worker.stop();
            if (!Files.readString(folder.resolve("out.txt")).equals(wanted)) {
                throw new AssertionError("more came: " + Files.readString(folder.resolve("out.txt")));
            }
            System.out.println("PASS " + name);
        } catch (Throwable error) {
            failed = true;
            System.out.println("FAIL " + name + " " + error.toString().replaceAll("\\s+", " "));
        }
    }

    /** Waits until a file holds a text, looking whenever its folder changes. */
    private static void awaitFile(Path file, String wanted) throws Exception {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(LIMIT_S);
        try (WatchService changes = FileSystems.getDefault().newWatchService()) {
            folder.register(changes, StandardWatchEventKinds.ENTRY_CREATE,
                    StandardWatchEventKinds.ENTRY_MODIFY);
            String found = "";
            while (!found.equals(wanted)) {
                WatchKey key = changes.poll(1, TimeUnit.SECONDS);
                if (key != null) {
                    key.pollEvents();
                    key.reset();
                }
                found = Files.exists(file) ? Files.readString(file) : "";
                if (System.nanoTime() > end) {
                    throw new AssertionError("got " + found + ", wanted " + wanted);
                }
            }
        }
    }
}
