//! DescribeConfigs, IncrementalAlterConfigs, AlterConfigs, ListConfigResources.

mod legacy;

use kafka_wire::describe_configs_request::DescribeConfigsResource;
use kafka_wire::incremental_alter_configs_request as incremental;
use kafka_wire::{
    DescribeConfigsRequest, IncrementalAlterConfigsRequest, ListConfigResourcesRequest,
};

use self::legacy::{alter_others, alter_topics};
use super::super::session::{Session, Stopped};
use super::{Case, message, text};

pub(super) const CASES: &[Case] = &[
    Case {
        key: 32,
        name: "DescribeConfigs/topics",
        first: 0,
        run: describe_topics,
    },
    Case {
        key: 32,
        name: "DescribeConfigs/others",
        first: 0,
        run: describe_others,
    },
    Case {
        key: 44,
        name: "IncrementalAlterConfigs/topics",
        first: 0,
        run: increment_topics,
    },
    Case {
        key: 44,
        name: "IncrementalAlterConfigs/invalid",
        first: 0,
        run: increment_invalid,
    },
    Case {
        key: 44,
        name: "IncrementalAlterConfigs/others",
        first: 0,
        run: increment_others,
    },
    Case {
        key: 44,
        name: "IncrementalAlterConfigs/stored",
        first: 0,
        run: increment_stored,
    },
    Case {
        key: 33,
        name: "AlterConfigs/topics",
        first: 0,
        run: alter_topics,
    },
    Case {
        key: 33,
        name: "AlterConfigs/others",
        first: 0,
        run: alter_others,
    },
    Case {
        key: 74,
        name: "ListConfigResources/answer",
        first: 0,
        run: list,
    },
];

/// Kinds of resource by their numbers.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const LOGGER: i8 = 8;
const METRICS: i8 = 16;
const GROUP: i8 = 32;

/// Operations by their numbers.
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

fn describe(kind: i8, name: &str, keys: Option<&[&str]>) -> DescribeConfigsRequest {
    message!(DescribeConfigsRequest {
        resources: vec![message!(DescribeConfigsResource {
            resource_type: kind,
            resource_name: text(name),
            configuration_keys: keys.map(|keys| keys.iter().map(|key| text(key)).collect()),
        })],
    })
}

fn explained(mut request: DescribeConfigsRequest) -> DescribeConfigsRequest {
    request.include_synonyms = true;
    request.include_documentation = true;
    request
}

fn describe_topics(session: &mut Session) -> Result<(), Stopped> {
    let configs = [("cleanup.policy", "compact"), ("retention.ms", "5000")];
    let (a, _) = session.topic("a", 1, &configs)?;
    let keys = ["cleanup.policy", "retention.ms", "segment.bytes", "nope"];
    session.ask("some", &describe(TOPIC, &a, Some(&keys)))?;
    let request = explained(describe(TOPIC, &a, Some(&keys)));
    session.ask("some, explained", &request)?;
    session.ask("all", &describe(TOPIC, &a, None))?;
    session.ask("an empty list", &describe(TOPIC, &a, Some(&[])))?;
    let nowhere = session.name("nowhere");
    session.ask("unknown", &describe(TOPIC, &nowhere, None))?;
    session.ask("illegal", &describe(TOPIC, "bad name", None))?;
    session.ask("empty name", &describe(TOPIC, "", None))?;
    let mut twice = describe(TOPIC, &a, Some(&["cleanup.policy"]));
    let again = describe(TOPIC, &a, Some(&["retention.ms"]));
    twice.resources.extend(again.resources);
    session.ask("twice", &twice)?;
    session.ask("none", &DescribeConfigsRequest::default())
}

fn describe_others(session: &mut Session) -> Result<(), Stopped> {
    let me = session.node.to_string();
    let keys = [
        "log.retention.ms",
        "num.partitions",
        "socket.request.max.bytes",
        "ssl.keystore.password",
        "log.cleaner.threads",
    ];
    let request = explained(describe(BROKER, &me, Some(&keys)));
    session.ask("broker", &request)?;
    session.ask("another broker", &describe(BROKER, "77", None))?;
    session.ask("no number", &describe(BROKER, "abc", None))?;
    let keys = ["log.retention.ms"];
    session.ask("all brokers", &describe(BROKER, "", Some(&keys)))?;
    session.ask("logger", &describe(LOGGER, &me, Some(&["x"])))?;
    session.ask("logger of another", &describe(LOGGER, "77", None))?;
    session.ask("logger of none", &describe(LOGGER, "", None))?;
    session.ask("metrics", &describe(METRICS, "m", None))?;
    session.ask("nameless metrics", &describe(METRICS, "", None))?;
    session.ask("group", &describe(GROUP, "g", None))?;
    session.ask("nameless group", &describe(GROUP, "", None))?;
    for kind in [0, 3, 99] {
        session.ask(&format!("kind {kind}"), &describe(kind, "x", None))?;
    }
    Ok(())
}

type Change<'a> = (&'a str, i8, Option<&'a str>);

fn resource(kind: i8, name: &str, changes: &[Change<'_>]) -> incremental::AlterConfigsResource {
    let config = |(name, operation, value): &Change<'_>| {
        message!(incremental::AlterableConfig {
            name: text(name),
            config_operation: *operation,
            value: value.map(text),
        })
    };
    message!(incremental::AlterConfigsResource {
        resource_type: kind,
        resource_name: text(name),
        configs: changes.iter().map(config).collect(),
    })
}

fn increment(
    session: &mut Session,
    label: &str,
    resources: Vec<incremental::AlterConfigsResource>,
    validate_only: bool,
) -> Result<(), Stopped> {
    let request = message!(IncrementalAlterConfigsRequest {
        resources: resources,
        validate_only: validate_only,
    });
    session.ask(label, &request)
}

/// What became of a topic's configurations.
fn state(session: &mut Session, label: &str, name: &str, keys: &[&str]) -> Result<(), Stopped> {
    session.sync()?;
    session.ask_at(label, 4, &describe(TOPIC, name, Some(keys)), &[])
}

fn increment_topics(session: &mut Session) -> Result<(), Stopped> {
    let (a, _) = session.topic("a", 1, &[])?;
    let policy = ["cleanup.policy"];
    let set = [
        ("retention.ms", SET, Some("1000")),
        ("cleanup.policy", SET, Some("compact")),
    ];
    increment(session, "set", vec![resource(TOPIC, &a, &set)], false)?;
    state(session, "is set", &a, &["cleanup.policy", "retention.ms"])?;
    for (label, operation, value) in [
        ("append", APPEND, "delete"),
        ("append again", APPEND, "delete"),
        ("subtract", SUBTRACT, "compact"),
        ("subtract the last", SUBTRACT, "delete"),
        ("append nothing", APPEND, ""),
        ("append two", APPEND, "compact,delete"),
        ("subtract what is not there", SUBTRACT, "nothing"),
    ] {
        let change = [("cleanup.policy", operation, Some(value))];
        increment(session, label, vec![resource(TOPIC, &a, &change)], false)?;
        state(session, &format!("after {label}"), &a, &policy)?;
    }
    let change = [("retention.ms", DELETE, None)];
    increment(session, "delete", vec![resource(TOPIC, &a, &change)], false)?;
    state(session, "is deleted", &a, &["retention.ms"])?;
    let change = [("retention.bytes", DELETE, None), ("nope", DELETE, None)];
    let absent = vec![resource(TOPIC, &a, &change)];
    increment(session, "delete what is not there", absent, false)?;
    let change = [("retention.ms", SET, Some("7"))];
    let checked = vec![resource(TOPIC, &a, &change)];
    increment(session, "validate", checked, true)?;
    let nowhere = session.name("nowhere");
    let two = vec![
        resource(TOPIC, &a, &[("retention.bytes", SET, Some("7"))]),
        resource(TOPIC, &nowhere, &[("retention.bytes", SET, Some("7"))]),
    ];
    increment(session, "one of two", two, false)?;
    state(
        session,
        "is half done",
        &a,
        &["retention.bytes", "retention.ms"],
    )?;
    increment(session, "nothing", vec![resource(TOPIC, &a, &[])], false)?;
    increment(session, "none", Vec::new(), false)
}

fn increment_invalid(session: &mut Session) -> Result<(), Stopped> {
    let (a, _) = session.topic("a", 1, &[])?;
    let changes: [(&str, &[Change<'_>]); 10] = [
        ("append to no list", &[("retention.ms", APPEND, Some("5"))]),
        (
            "subtract from no list",
            &[("retention.ms", SUBTRACT, Some("5"))],
        ),
        ("set null", &[("retention.ms", SET, None)]),
        ("append null", &[("cleanup.policy", APPEND, None)]),
        ("operation 7", &[("retention.ms", 7, Some("1"))]),
        ("unknown key", &[("nope", SET, Some("1"))]),
        ("bad value", &[("retention.ms", SET, Some("x"))]),
        ("bad word", &[("cleanup.policy", APPEND, Some("x"))]),
        (
            "bad and good",
            &[
                ("retention.ms", SET, Some("x")),
                ("segment.bytes", SET, Some("2000000")),
            ],
        ),
        (
            "key twice",
            &[
                ("retention.ms", SET, Some("1")),
                ("retention.ms", SET, Some("2")),
            ],
        ),
    ];
    for (label, changes) in changes {
        increment(session, label, vec![resource(TOPIC, &a, changes)], false)?;
    }
    let change = [("retention.ms", SET, Some("1"))];
    let twice = vec![resource(TOPIC, &a, &change), resource(TOPIC, &a, &change)];
    increment(session, "resource twice", twice, false)?;
    let nowhere = session.name("nowhere");
    for (label, name) in [
        ("unknown", &*nowhere),
        ("illegal", "bad name"),
        ("nameless", ""),
    ] {
        increment(session, label, vec![resource(TOPIC, name, &change)], false)?;
        for (what, value) in [("bad", Some("x")), ("null", None)] {
            let bad = resource(TOPIC, name, &[("retention.ms", SET, value)]);
            increment(session, &format!("{label}, {what}"), vec![bad], false)?;
        }
    }
    state(
        session,
        "nothing changed",
        &a,
        &["retention.ms", "segment.bytes"],
    )
}

fn increment_others(session: &mut Session) -> Result<(), Stopped> {
    let me = session.node.to_string();
    let name = session.name("n");
    let (retention, interval) = ("log.retention.ms", "interval.ms");
    let timeout = "consumer.session.timeout.ms";
    let changes: [(&str, i8, &str, Change<'_>); 22] = [
        (
            "another broker",
            BROKER,
            "77",
            (retention, SET, Some("1000")),
        ),
        ("no number", BROKER, "abc", (retention, SET, Some("1000"))),
        ("read only", BROKER, &me, ("node.id", SET, Some("4"))),
        ("unknown", BROKER, &me, ("nope", SET, Some("4"))),
        ("bad value", BROKER, &me, (retention, SET, Some("x"))),
        (
            "broker",
            BROKER,
            &me,
            ("log.cleaner.threads", SET, Some("2")),
        ),
        (
            "all brokers",
            BROKER,
            "",
            (retention, SET, Some("99999999")),
        ),
        (
            "one for all",
            BROKER,
            "",
            ("listeners", SET, Some("PLAINTEXT://:1")),
        ),
        ("logger", LOGGER, &me, ("no.such.Logger", SET, Some("INFO"))),
        ("logger of another", LOGGER, "77", ("x", SET, Some("INFO"))),
        ("logger appended", LOGGER, &me, ("x", APPEND, Some("INFO"))),
        ("metrics", METRICS, &name, (interval, SET, Some("1000"))),
        (
            "metrics, bad value",
            METRICS,
            &name,
            (interval, SET, Some("1")),
        ),
        (
            "metrics, bad match",
            METRICS,
            &name,
            ("match", SET, Some("foo")),
        ),
        ("metrics, unknown", METRICS, &name, ("nope", SET, Some("1"))),
        (
            "metrics, nameless",
            METRICS,
            "",
            (interval, SET, Some("1000")),
        ),
        ("group", GROUP, &name, (timeout, SET, Some("46000"))),
        ("group, bad value", GROUP, &name, (timeout, SET, Some("1"))),
        ("group, unknown", GROUP, &name, ("nope", SET, Some("1"))),
        ("group, nameless", GROUP, "", (timeout, SET, Some("46000"))),
        ("kind 0", 0, "x", ("a", SET, Some("1"))),
        ("kind 99", 99, "x", ("a", SET, Some("1"))),
    ];
    for (label, kind, name, change) in changes {
        increment(session, label, vec![resource(kind, name, &[change])], true)?;
    }
    Ok(())
}

/// Groups and subscriptions of client metrics keep what is set, and are listed for it.
fn increment_stored(session: &mut Session) -> Result<(), Stopped> {
    let (metrics, group) = (session.name("m"), session.name("g"));
    let list = |session: &mut Session, label: &str| {
        session.sync()?;
        let request = message!(ListConfigResourcesRequest {
            resource_types: vec![METRICS, GROUP],
        });
        session.ask_at(&format!("{label}, listed"), 1, &request, &[])?;
        for (kind, name) in [(METRICS, &metrics), (GROUP, &group)] {
            let request = explained(describe(kind, name, None));
            session.ask_at(&format!("{label}, kind {kind}"), 4, &request, &[])?;
        }
        Ok::<(), Stopped>(())
    };
    let set_metrics = [
        ("interval.ms", SET, Some("1000")),
        ("metrics", SET, Some("org.apache.kafka.producer.,a")),
        ("match", SET, Some("client_id=a.*,client_source_port=1")),
    ];
    let set_group = [
        ("consumer.session.timeout.ms", SET, Some("50000")),
        ("consumer.heartbeat.interval.ms", SET, Some("6000")),
        ("share.auto.offset.reset", SET, Some("earliest")),
    ];
    let both = |metrics_changes: &[Change<'_>], group_changes: &[Change<'_>]| {
        vec![
            resource(METRICS, &metrics, metrics_changes),
            resource(GROUP, &group, group_changes),
        ]
    };
    increment(session, "set", both(&set_metrics, &set_group), false)?;
    list(session, "set")?;
    let metrics_change = [("metrics", APPEND, Some("b")), ("match", DELETE, None)];
    let group_change = [("consumer.heartbeat.interval.ms", DELETE, None)];
    increment(
        session,
        "change",
        both(&metrics_change, &group_change),
        false,
    )?;
    list(session, "changed")?;
    let delete = |changes: &[Change<'static>]| -> Vec<Change<'static>> {
        changes
            .iter()
            .map(|(name, ..)| (*name, DELETE, None))
            .collect()
    };
    let gone = both(&delete(&set_metrics), &delete(&set_group));
    increment(session, "delete", gone, false)?;
    list(session, "deleted")
}

fn list(session: &mut Session) -> Result<(), Stopped> {
    let kinds = |kinds: &[i8]| {
        message!(ListConfigResourcesRequest {
            resource_types: kinds.to_vec(),
        })
    };
    session.ask("brokers", &kinds(&[BROKER, LOGGER]))?;
    session.ask("groups", &kinds(&[GROUP]))?;
    session.ask("metrics", &kinds(&[METRICS]))?;
    session.ask("kind 3", &kinds(&[3]))?;
    session.ask("kind 0", &kinds(&[0, BROKER]))
}
