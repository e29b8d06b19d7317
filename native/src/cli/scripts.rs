//! Kafka's scripts that have no tool here, each with what to do instead.
//!
//! Names are those of the scripts in the `bin` directory of Apache Kafka 4.3.1, without `kafka-`
//! and `.sh`.

/// A script's name, and the sentence for whoever calls it.
pub(crate) const ABSENT: &[(&str, &str)] = &[
    (
        "acls",
        "There are no access control lists yet: everyone who can connect may do everything.",
    ),
    ("connect-distributed", CONNECT),
    ("connect-mirror-maker", CONNECT),
    ("connect-plugin-path", CONNECT),
    ("connect-standalone", CONNECT),
    ("console-share-consumer", SHARE_GROUPS),
    (
        "delegation-tokens",
        "There is no authentication yet, and so no delegation tokens.",
    ),
    ("jmx", "This is no Java program: there is no JMX to ask."),
    (
        "metadata-shell",
        "The metadata log has no shell here; ottla dump-log --cluster-metadata-decoder --files \
         DIR/__cluster_metadata-0/*.log shows its records.",
    ),
    (
        "run-class",
        "This is no Java program: there are no classes to run.",
    ),
    (
        "server-stop",
        "Send the broker SIGTERM (kill PID, or ctrl-C): it then stops in order.",
    ),
    ("share-consumer-perf-test", SHARE_GROUPS),
    ("share-groups", SHARE_GROUPS),
    (
        "streams-application-reset",
        "Applications of Kafka Streams have no tool here yet: use Kafka's own against this broker.",
    ),
    (
        "streams-groups",
        "The broker has no streams groups yet (KIP-1071): applications use consumer groups.",
    ),
    ("transactions", "There are no transactions yet."),
    ("verifiable-share-consumer", SHARE_GROUPS),
    (
        "zookeeper-shell",
        "There is no ZooKeeper any more: metadata are in the broker's own log.",
    ),
];

const CONNECT: &str = "Kafka Connect is a Java program of its own: run Kafka's, with this broker \
     as its bootstrap.servers.";

const SHARE_GROUPS: &str = "There are no share groups yet (KIP-932).";

/// The sentence for a script without a tool.
pub(crate) fn absent(name: &str) -> Option<&'static str> {
    let found = ABSENT.iter().find(|(known, _)| *known == name);
    found.map(|(_, sentence)| *sentence)
}

/// The name among `known` that somebody who typed `name` may have meant.
pub(crate) fn meant<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let near = known.filter_map(|known| {
        let distance = distance(name, known);
        // One slip in three letters may be a slip; a beginning of three letters is a wish.
        let is_near = distance * 3 <= known.len().max(3);
        let begins = name.len() >= 3 && known.starts_with(name);
        (is_near || begins).then_some((distance, known))
    });
    near.min().map(|(_, known)| known)
}

/// Letters to insert, remove, replace or swap with their neighbour to make one name the other.
fn distance(from: &str, to: &str) -> usize {
    let (from, to) = (from.as_bytes(), to.as_bytes());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for (i, letter) in from.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, wanted) in to.iter().enumerate() {
            let replaced = last[j] + usize::from(letter != wanted);
            let mut least = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            let swapped = i > 0 && j > 0 && from[i - 1] == *wanted && to[j - 1] == *letter;
            if swapped {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The scripts in `bin` of Apache Kafka 4.3.1, without `kafka-` and `.sh`.
    const SCRIPTS: &[&str] = &[
        "acls",
        "broker-api-versions",
        "client-metrics",
        "cluster",
        "configs",
        "connect-distributed",
        "connect-mirror-maker",
        "connect-plugin-path",
        "connect-standalone",
        "console-consumer",
        "console-producer",
        "console-share-consumer",
        "consumer-groups",
        "consumer-perf-test",
        "delegation-tokens",
        "delete-records",
        "dump-log",
        "e2e-latency",
        "features",
        "get-offsets",
        "groups",
        "jmx",
        "leader-election",
        "log-dirs",
        "metadata-quorum",
        "metadata-shell",
        "producer-perf-test",
        "reassign-partitions",
        "replica-verification",
        "run-class",
        "server-start",
        "server-stop",
        "share-consumer-perf-test",
        "share-groups",
        "storage",
        "streams-application-reset",
        "streams-groups",
        "topics",
        "transactions",
        "verifiable-consumer",
        "verifiable-producer",
        "verifiable-share-consumer",
    ];

    #[test]
    fn every_script_is_a_tool_or_explained() {
        let tool = |name: &str| crate::cli::TOOLS.iter().any(|tool| tool.name == name);
        for script in SCRIPTS {
            let known = tool(script) || *script == "server-start" || absent(script).is_some();
            assert!(known, "{script} is neither a tool nor explained");
        }
        for (name, _) in ABSENT {
            assert!(!tool(name), "{name} is there");
        }
    }

    #[test]
    fn slips_are_seen_through() {
        let check = |typed: &str, meant_name: Option<&str>| {
            let names = crate::cli::TOOLS.iter().map(|tool| tool.name);
            assert_eq!(meant(typed, names), meant_name, "{typed}");
        };
        check("topic", Some("topics"));
        check("tpoics", Some("topics"));
        check("config", Some("configs"));
        check("console-consumr", Some("console-consumer"));
        check("verifiable-prod", Some("verifiable-producer"));
        check("nosuch", None);
        check("", None);
    }
}
