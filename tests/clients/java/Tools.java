// Apache Kafka's own command line tools, all in one process: usage
// `java -cp 'lib/*' Tools.java HOST:PORT DATA_FOLDER SCRIPT [record]`.
//
// The script holds commands with what they print and their status, as Kafka's tools printed it
// against Kafka's broker; `record` writes it anew. A block is
//
//     # lines above it, comments
//     $ topics --create --topic a
//     > a line of standard input
//     Created topic a.
//     ! the first line of standard error
//     = 0
//
// `$ [WORD...] command` says how its output is compared: `sorted`; `numbers` masks every number;
// `only=REGEX` keeps the lines that match, `find=REGEX` makes a line of each match, `first` keeps
// the first line, `unique` each once; `until=REGEX` runs it again until what it prints matches.
// A command that begins with `&` goes on in the background;
// `$ await REGEX` waits until it has printed such a line, `$ stop` ends it as a signal would.
// `$ await-group GROUP STATE` asks the broker until a group is in a state.
//
// Each tool is loaded anew, for tools keep counts in static fields.

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.PrintStream;
import java.lang.reflect.Field;
import java.lang.reflect.InvocationTargetException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.common.utils.Exit;

public class Tools {
    private static final int LIMIT_S = 30;
    private static final String ENDED = "the tool ends here";
    private static final String TOOLS = "org.apache.kafka.tools.";
    private static final Map<String, String> CLASSES = Map.ofEntries(
            Map.entry("broker-api-versions", TOOLS + "BrokerApiVersionsCommand"),
            Map.entry("cluster", TOOLS + "ClusterTool"),
            Map.entry("configs", "kafka.admin.ConfigCommand"),
            Map.entry("console-consumer", TOOLS + "consumer.ConsoleConsumer"),
            Map.entry("console-producer", TOOLS + "ConsoleProducer"),
            Map.entry("consumer-groups", TOOLS + "consumer.group.ConsumerGroupCommand"),
            Map.entry("consumer-perf-test", TOOLS + "ConsumerPerformance"),
            Map.entry("delete-records", TOOLS + "DeleteRecordsCommand"),
            Map.entry("dump-log", TOOLS + "DumpLogSegments"),
            Map.entry("features", TOOLS + "FeatureCommand"),
            Map.entry("get-offsets", TOOLS + "GetOffsetShell"),
            Map.entry("groups", TOOLS + "GroupsCommand"),
            Map.entry("leader-election", TOOLS + "LeaderElectionCommand"),
            Map.entry("log-dirs", TOOLS + "LogDirsCommand"),
            Map.entry("metadata-quorum", TOOLS + "MetadataQuorumCommand"),
            Map.entry("producer-perf-test", TOOLS + "ProducerPerformance"),
            Map.entry("reassign-partitions", TOOLS + "reassign.ReassignPartitionsCommand"),
            Map.entry("replica-verification", TOOLS + "ReplicaVerificationTool"),
            Map.entry("topics", TOOLS + "TopicCommand"),
            Map.entry("verifiable-consumer", TOOLS + "VerifiableConsumer"),
            Map.entry("verifiable-producer", TOOLS + "VerifiableProducer"));
    /** Tools that are told of the broker by another flag, or not at all. */
    private static final Map<String, String> FLAGS = Map.of(
            "dump-log", "", "replica-verification", "--broker-list");

    /** Where the threads of the tool that starts them write. */
    private static final InheritableThreadLocal<OutputStream> OUT = new InheritableThreadLocal<>();
    private static final InheritableThreadLocal<OutputStream> ERR = new InheritableThreadLocal<>();

    private static String broker;
    private static String data;
    private static Path scratch;
    private static Running background;

    /** A block of the script. */
    private static final class Block {
        final StringBuilder above = new StringBuilder();
        final StringBuilder input = new StringBuilder();
        final StringBuilder output = new StringBuilder();
        String command = "";
        String error = "";
        String status = "";

        @Override
        public String toString() {
            StringBuilder text = new StringBuilder(above).append("$ ").append(command).append('\n');
            input.toString().lines().forEach(line -> text.append("> ").append(line).append('\n'));
            text.append(output);
            if (!error.isEmpty()) {
                text.append("! ").append(error).append('\n');
            }
            return text.append("= ").append(status).append('\n').toString();
        }
    }

    /** Ends a tool's thread where the tool would end the process. */
    private static final class Exited extends Error {
        Exited() {
            super(ENDED, null, false, false);
        }
    }

    /** Loads the tools' own classes anew; all others are shared. */
    private static final class Fresh extends ClassLoader {
        @Override
        protected Class<?> loadClass(String name, boolean resolve) throws ClassNotFoundException {
            if (!name.startsWith(TOOLS) && !name.startsWith("kafka.admin.")) {
                return super.loadClass(name, resolve);
            }
            Class<?> loaded = findLoadedClass(name);
            if (loaded != null) {
                return loaded;
            }
            String file = name.replace('.', '/') + ".class";
            try (InputStream code = getParent().getResourceAsStream(file)) {
                if (code == null) {
                    throw new ClassNotFoundException(name);
                }
                byte[] bytes = code.readAllBytes();
                return defineClass(name, bytes, 0, bytes.length);
            } catch (IOException error) {
                throw new ClassNotFoundException(name, error);
            }
        }
    }

    /** A tool that runs. What it prints goes where its thread's streams lead. */
    private static final class Running {
        final ByteArrayOutputStream out = new ByteArrayOutputStream();
        final ByteArrayOutputStream err = new ByteArrayOutputStream();
        final List<Runnable> hooks = Collections.synchronizedList(new ArrayList<>());
        Integer status;
        Thread thread;

        void start(String name, String[] arguments, String input) {
            System.setIn(new ByteArrayInputStream(input.getBytes()));
            Exit.setExitProcedure((code, message) -> end(code));
            Exit.setHaltProcedure((code, message) -> end(code));
            Exit.setShutdownHookAdder((hook, run) -> hooks.add(run));
            OUT.set(out);
            ERR.set(err);
            thread = new Thread(() -> call(name, arguments), name);
            OUT.remove();
            ERR.remove();
            Fresh fresh = new Fresh();
            thread.setContextClassLoader(fresh);
            thread.setDaemon(true);
            thread.start();
        }

        private void end(int code) {
            if (status == null) {
                status = code;
            }
            throw new Exited();
        }

        private void call(String name, String[] arguments) {
            try {
                Class<?> tool = Class.forName(
                        CLASSES.get(name), true, thread.getContextClassLoader());
                tool.getMethod("main", String[].class).invoke(null, (Object) arguments);
            } catch (InvocationTargetException error) {
                if (!(error.getCause() instanceof Exited)) {
                    error.getCause().printStackTrace();
                    status = 1;
                }
            } catch (ReflectiveOperationException error) {
                error.printStackTrace();
                status = 1;
            }
        }

        /** What it would do at the end of the process; it prints where the tool does. */
        boolean runHooks() {
            OUT.set(out);
            ERR.set(err);
            List.copyOf(hooks).forEach(Runnable::run);
            OUT.remove();
            ERR.remove();
            boolean ran = !hooks.isEmpty();
            for (Thread hook : hooksOfTheProcess()) {
                if (hook.getName().startsWith(thread.getName())) {
                    Runtime.getRuntime().removeShutdownHook(hook);
                    hook.start();
                    waitFor(hook);
                    ran = true;
                }
            }
            return ran;
        }

        /** Waits for its end; gives its status, or why there is none. */
        String finish() {
            waitFor(thread);
            if (thread.isAlive()) {
                thread.interrupt();
                return "still running";
            }
            runHooks();
            return Integer.toString(status == null ? 0 : status);
        }
    }

    public static void main(String[] arguments) throws Exception {
        broker = arguments[0];
        data = Path.of(arguments[1]).toAbsolutePath().toString();
        Path script = Path.of(arguments[2]);
        boolean record = arguments.length > 3;
        scratch = Files.createTempDirectory("tools");
        PrintStream out = System.out;
        System.setOut(routed(OUT, out));
        System.setErr(routed(ERR, System.err));
        StringBuilder played = new StringBuilder();
        boolean failed = false;
        for (Block block : parse(Files.readString(script))) {
            long start = System.nanoTime();
            Block got = run(block);
            played.append(got);
            long took = TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - start);
            if (record) {
                out.println(took + " ms: " + got.command);
            } else if (got.toString().equals(block.toString())) {
                out.println("PASS " + block.command);
            } else {
                failed = true;
                out.println("FAIL " + block.command + "\n--- Kafka\n" + block + "--- found\n" + got);
            }
        }
        if (record) {
            Files.writeString(script, played);
        }
        Runtime.getRuntime().halt(failed ? 1 : 0);
    }

    /** A stream that writes where the current thread's tool does. */
    private static PrintStream routed(ThreadLocal<OutputStream> to, PrintStream otherwise) {
        return new PrintStream(new OutputStream() {
            @Override
            public void write(int value) throws IOException {
                write(new byte[] {(byte) value}, 0, 1);
            }

            @Override
            public void write(byte[] bytes, int from, int length) throws IOException {
                OutputStream target = to.get();
                (target == null ? otherwise : target).write(bytes, from, length);
            }
        }, true);
    }

    /** The hooks that tools add without asking `Exit`. */
    private static List<Thread> hooksOfTheProcess() {
        try {
            Class<?> all = Class.forName("java.lang.ApplicationShutdownHooks");
            Field field = all.getDeclaredField("hooks");
            field.setAccessible(true);
            return new ArrayList<>(((Map<Thread, ?>) field.get(null)).keySet());
        } catch (ReflectiveOperationException error) {
            throw new IllegalStateException(error);
        }
    }

    private static void waitFor(Thread thread) {
        try {
            thread.join(TimeUnit.SECONDS.toMillis(LIMIT_S));
        } catch (InterruptedException error) {
            throw new IllegalStateException(error);
        }
    }

    private static List<Block> parse(String text) {
        List<Block> blocks = new ArrayList<>();
        Block block = new Block();
        for (String line : text.lines().toList()) {
            String rest = line.length() > 2 ? line.substring(2) : "";
            if (block.command.isEmpty() && !line.startsWith("$ ")) {
                block.above.append(line).append('\n');
            } else if (block.command.isEmpty()) {
                block.command = rest;
            } else if (line.startsWith("> ")) {
                block.input.append(rest).append('\n');
            } else if (line.startsWith("! ")) {
                block.error = rest;
            } else if (line.startsWith("= ")) {
                block.status = rest;
                blocks.add(block);
                block = new Block();
            } else {
                block.output.append(line).append('\n');
            }
        }
        return blocks;
    }

    private static Block run(Block wanted) {
        Block got = new Block();
        got.above.append(wanted.above);
        got.command = wanted.command;
        got.input.append(wanted.input);
        try {
            run(wanted, got);
        } catch (Exception error) {
            got.status = error.toString();
        }
        return got;
    }

    private static void run(Block wanted, Block got) throws Exception {
        List<String> words = words(wanted.command);
        List<String> how = new ArrayList<>();
        if (words.get(0).startsWith("[")) {
            String first = wanted.command.substring(1, wanted.command.indexOf("] "));
            how = words(first);
            words = words(wanted.command.substring(first.length() + 3));
        }
        Running tool = new Running();
        switch (words.get(0)) {
            case "await" -> {
                awaitOutput(Pattern.compile(words.get(1)));
                got.status = "0";
                return;
            }
            case "await-group" -> {
                awaitGroup(words.get(1), words.get(2));
                got.status = "0";
                return;
            }
            case "stop" -> {
                if (!background.runHooks()) {
                    background.thread.interrupt();
                }
                waitFor(background.thread);
                tool = background;
                got.status = tool.thread.isAlive() ? "still running" : "stopped";
            }
            case "&" -> {
                background = tool;
                start(tool, words.subList(1, words.size()), "");
                got.status = "started";
                return;
            }
            default -> {
                start(tool, words, wanted.input.toString());
                got.status = tool.finish();
                Pattern until = until(how);
                long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(LIMIT_S);
                while (!until.matcher(tool.out.toString()).find() && System.nanoTime() < end) {
                    tool = new Running();
                    start(tool, words, wanted.input.toString());
                    got.status = tool.finish();
                }
            }
        }
        got.output.append(normal(tool.out.toString(), how));
        String error = tool.err.toString().lines().filter(Tools::isForUsers).findFirst().orElse("");
        got.error = normal(error, List.of()).strip();
    }

    /** What a command must have printed; anything, where nothing is said. */
    private static Pattern until(List<String> how) {
        for (String word : how) {
            if (word.startsWith("until=")) {
                return Pattern.compile(word.substring("until=".length()));
            }
        }
        return Pattern.compile("");
    }

    private static void start(Running tool, List<String> words, String input) throws IOException {
        String name = words.get(0);
        List<String> arguments = new ArrayList<>();
        for (String raw : words.subList(1, words.size())) {
            String word = raw.replace("BROKER", broker).replace("DATA", data);
            if (word.startsWith("{")) {
                Path file = Files.createTempFile(scratch, "input", ".json");
                Files.writeString(file, word);
                word = file.toString();
            }
            arguments.add(word);
        }
        String flag = FLAGS.getOrDefault(name, "--bootstrap-server");
        if (!flag.isEmpty()) {
            arguments.addAll(
                    name.equals("features") || name.equals("metadata-quorum") ? 0 : arguments.size(),
                    List.of(flag, broker));
        }
        tool.start(name, arguments.toArray(String[]::new), input);
    }

    private static void awaitOutput(Pattern line) throws InterruptedException {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(LIMIT_S);
        while (!line.matcher(background.out.toString()).find()) {
            if (System.nanoTime() > end) {
                throw new IllegalStateException("no line like " + line + " in " + background.out);
            }
            background.thread.join(20);
        }
    }

    private static void awaitGroup(String group, String state) throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", broker))) {
            long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(LIMIT_S);
            String found = "";
            while (!found.equals(state)) {
                if (System.nanoTime() > end) {
                    throw new IllegalStateException(group + " is " + found + ", not " + state);
                }
                try {
                    found = admin.describeConsumerGroups(List.of(group)).all().get().get(group)
                            .groupState().toString();
                } catch (java.util.concurrent.ExecutionException error) {
                    found = error.getCause().toString();
                }
            }
        }
    }

    /** Words of a command line; quotes keep blanks together. */
    private static List<String> words(String command) {
        List<String> words = new ArrayList<>();
        Matcher word = Pattern.compile("(?:[^\\s']|'[^']*')+").matcher(command);
        while (word.find()) {
            words.add(word.group().replace("'", ""));
        }
        return words;
    }

    private static boolean isForUsers(String line) {
        return !line.isBlank() && !line.contains(ENDED) && !line.startsWith("[") && !line.startsWith("SLF4J")
                && !line.startsWith("\tat ") && !line.startsWith("The consumer rebalance protocol");
    }

    /** Replaces what differs from run to run: ids, times, places. */
    private static String normal(String text, List<String> how) {
        String port = broker.substring(broker.lastIndexOf(':') + 1);
        StringBuilder normal = new StringBuilder();
        List<String> lines = new ArrayList<>(text.lines().toList());
        for (String word : how) {
            if (word.startsWith("only=")) {
                Pattern only = Pattern.compile(word.substring("only=".length()));
                lines.removeIf(line -> !only.matcher(line).find());
            }
            if (word.startsWith("find=")) {
                Matcher match = Pattern.compile(word.substring("find=".length())).matcher(text);
                lines = new ArrayList<>(match.results().map(found -> found.group()).toList());
            }
        }
        // Kafka's broker sets it for the whole cluster.
        lines.removeIf(line -> line.startsWith("  min.insync.replicas="));
        for (int i = 0; i < lines.size(); i++) {
            String line = lines.get(i).replace(broker, "BROKER").replace(data, "DATA")
                    .replaceAll("min\\.insync\\.replicas=1,?", "")
                    .replaceAll("127\\.0\\.0\\.1( +)" + port, "HOST$1PORT")
                    .replaceAll("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UUID")
                    .replaceAll("(TopicId: |Cluster ID: |ClusterId: +|directoryId\":\")"
                            + "[A-Za-z0-9_-]{22}", "$1ID")
                    .replaceAll("Epoch: \\d+$", "Epoch: N")
                    .replaceAll("[A-Za-z0-9_-]{22}(?=\"|\\s+\\d+\\s+\\d+\\s+\\d{10})", "ID")
                    .replaceAll("((?:imestamp|Time|Ms|size|Size)\"?[:=] ?)\\d{3,}", "$1N");
            if (how.contains("numbers")) {
                line = line.replaceAll("-?\\d+([.,:]\\d+)*", "N").replaceAll(" {2,}", " ");
            }
            lines.set(i, line.stripTrailing());
        }
        if (how.contains("first") && lines.size() > 1) {
            lines.subList(1, lines.size()).clear();
        }
        if (how.contains("sorted")) {
            Collections.sort(lines);
        }
        if (how.contains("unique")) {
            lines = new ArrayList<>(new TreeSet<>(lines));
        }
        lines.forEach(line -> normal.append(line).append('\n'));
        return normal.toString();
    }
}
