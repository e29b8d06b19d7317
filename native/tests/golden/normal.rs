//! What two runs of a tool print, made alike: without what differs from run to run, or from Java.

/// Settings that Kafka's broker sets for the whole cluster, or does not have.
const OWN_SETTINGS: &[&str] = &[
    "flush.policy=",
    "min.insync.replicas=",
    "record.validation=",
];

/// What standard error says to people, line by line; of Java's usage errors what is wrong, on one
/// line and without the usage.
pub(super) fn errors(error: &str) -> Vec<String> {
    if error.starts_with("usage: ") {
        let words: Vec<&str> = error.split_whitespace().collect();
        let words = words.join(" ").replace(" -- ", " --");
        let wrong = words.split_once(": error: ");
        return wrong
            .map(|(_usage, wrong)| wrong.to_owned())
            .into_iter()
            .collect();
    }
    let mut said: Vec<String> = Vec::new();
    let mut is_explained = false;
    for line in error.lines().take_while(|line| !is_usage(line)) {
        if is_for_users(line) {
            is_explained = line.starts_with("Error while executing config command");
            said.push(plain(line));
        } else if std::mem::take(&mut is_explained) {
            // Why, Kafka's tool says in the first line of the trace alone.
            said.push(without_classes(line).to_owned());
        }
    }
    said
}

/// What a Java exception says, without its class and those of the exceptions around it.
fn without_classes(line: &str) -> &str {
    let is_class = |name: &str| name.starts_with("java.") || name.starts_with("org.apache.kafka.");
    let mut said = line;
    while let Some((class, words)) = said.split_once(": ")
        && is_class(class)
    {
        said = words;
    }
    said
}

/// A line of standard error without what Java puts around it.
fn plain(line: &str) -> String {
    let line = match line.strip_prefix("Exception in thread \"main\" ") {
        Some(thrown) => thrown
            .split_once(": ")
            .map_or(thrown, |(_class, words)| words),
        None => line,
    };
    let line = line.strip_prefix("Command line error: ").unwrap_or(line);
    let line = line.strip_suffix(". Type --help for help.").unwrap_or(line);
    line.to_owned()
}

/// Whether the usage begins here: a table of Kafka's tools, or a line of Ottla's.
fn is_usage(line: &str) -> bool {
    line.starts_with("Option  ") || line.starts_with("For help: ottla ")
}

/// Whether a line of standard output is part of a stack trace of Java.
fn is_trace(line: &str) -> bool {
    const JAVA: &[&str] = &[
        "\tat ",
        "\t... ",
        "Caused by: ",
        "java.",
        "org.apache.kafka.",
    ];
    JAVA.iter().any(|start| line.starts_with(start))
}

/// Whether a line of standard error is the tool's own, and not of Java's logging.
fn is_for_users(line: &str) -> bool {
    const JAVA: &[&str] = &[
        "[",
        "The consumer rebalance protocol",
        "java.",
        "org.apache.kafka.",
        "\tat ",
    ];
    !line.is_empty() && !JAVA.iter().any(|start| line.starts_with(start))
}

/// Replaces what differs from run to run: ids, times, addresses, sizes on disk.
pub(super) fn text(text: &str, bootstrap: Option<&str>) -> String {
    let mut normal = String::new();
    let mut after_trace = false;
    for line in text.lines() {
        let skipped = is_trace(line) || after_trace && line.is_empty();
        after_trace = is_trace(line);
        if skipped {
            continue;
        }
        if OWN_SETTINGS
            .iter()
            .any(|setting| line.trim_start().starts_with(setting))
        {
            continue;
        }
        let mut line = line.to_owned();
        if let Some(address) = bootstrap {
            let (host, port) = address.rsplit_once(':').expect("an address has a port");
            line = line
                .replace(address, "BROKER")
                .replace(&format!("{host} {port}"), "HOST PORT");
        }
        for label in ["TopicId: ", "Cluster ID: ", "\"directoryId\":\""] {
            line = after_label(&line, label, 22, "ID");
        }
        for label in [
            "CreateTime:",
            "CreateTime: ",
            "imestamp: ",
            "\"size\":",
            "\"timestamp\":",
            " Epoch: ",
        ] {
            line = digits_after_label(&line, label);
        }
        line = figures(&line);
        if let Some((before, _folder)) = line.split_once("payloads from: ") {
            line = format!("{before}payloads from: FILE");
        }
        for (label, end) in [("\"log_dirs\":[\"/", "\"]"), ("from log dir /", " to ")] {
            let mut parts = line.split(label);
            let mut found = parts.next().unwrap_or("").to_owned();
            for part in parts {
                let rest = part.split_once(end).map_or("", |(_, rest)| rest);
                found.push_str(&format!("{label}DIR{end}{rest}"));
            }
            line = found;
        }
        if let Some((before, after)) = line.split_once("\"logDir\":\"") {
            let rest = after.split_once('"').map_or("", |(_, rest)| rest);
            line = format!("{before}\"logDir\":\"DIR\"{rest}");
        }
        for setting in ["min.insync.replicas=1,", "min.insync.replicas=1"] {
            line = line.replace(setting, "");
        }
        if let Some((before, configs)) = line.split_once("Configs: ") {
            // Of those in one bucket of its hash map, Kafka's tool keeps the broker's order.
            let mut configs: Vec<&str> = configs.split(',').collect();
            configs.sort_unstable();
            line = format!("{before}Configs: {}", configs.join(","));
        }
        line = sorted_credentials(line);
        normal.push_str(&line);
        normal.push('\n');
    }
    sorted_quotas(&normal)
}

/// Sorts a user's credentials, whose order is the broker's and says nothing.
fn sorted_credentials(line: String) -> String {
    let Some((before, known)) = line.split_once(" are SCRAM-") else {
        return line;
    };
    let known = format!("SCRAM-{known}");
    let mut known: Vec<&str> = known.split(", ").collect();
    known.sort_unstable();
    format!("{before} are {}", known.join(", "))
}

/// Sorts lines of quotas that follow each other: of those in one bucket of its hash map, Kafka's
/// tool keeps the broker's order.
fn sorted_quotas(text: &str) -> String {
    let is_quota = |line: &str| line.starts_with("Quota configs for ");
    let mut lines: Vec<&str> = text.lines().collect();
    for together in lines.chunk_by_mut(|a, b| is_quota(a) && is_quota(b)) {
        together.sort_unstable();
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// Replaces what was measured: in lines of figures all numbers but the first, else averages.
fn figures(line: &str) -> String {
    if line.contains(" records/sec ") {
        let (count, figures) = line.split_once(' ').unwrap_or((line, ""));
        let mut normal = format!("{count} ");
        for character in figures.chars() {
            match character {
                '0'..='9' if normal.ends_with('N') => {}
                '0'..='9' => normal.push('N'),
                other => normal.push(other),
            }
        }
        // The names of percentiles are no figures, but the same ones.
        return normal.replace("N.N", "N");
    }
    match line.split_once("\"avg_throughput\":") {
        Some((before, _figure)) => format!("{before}\"avg_throughput\":N}}"),
        None => line.to_owned(),
    }
}

fn after_label(line: &str, label: &str, length: usize, name: &str) -> String {
    let Some((before, after)) = line.split_once(label) else {
        return line.to_owned();
    };
    match after.split_at_checked(length) {
        Some((_, rest)) => format!("{before}{label}{name}{rest}"),
        None => line.to_owned(),
    }
}

fn digits_after_label(line: &str, label: &str) -> String {
    let mut parts = line.split(label);
    let mut normal = parts.next().unwrap_or("").to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|character: char| character.is_ascii_digit());
        let name = if rest.len() < part.len() { "N" } else { "" };
        normal.push_str(&format!("{label}{name}{rest}"));
    }
    normal
}
