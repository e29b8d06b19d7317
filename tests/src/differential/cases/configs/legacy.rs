//! AlterConfigs, which names all that is to be set.

use kafka_wire::{AlterConfigsRequest, alter_configs_request as legacy};
use kafka_wire_core::StrBytes;

use super::super::super::session::{Session, Stopped};
use super::super::{message, text};
use super::{BROKER, GROUP, LOGGER, METRICS, TOPIC, state};

fn alter(
    session: &mut Session,
    label: &str,
    (kind, name): (i8, &str),
    configs: &[(&str, Option<&str>)],
    validate_only: bool,
) -> Result<(), Stopped> {
    let config = |(name, value): &(&str, Option<&str>)| {
        message!(legacy::AlterableConfig {
            name: text(name),
            value: value.map(text),
        })
    };
    let request = message!(AlterConfigsRequest {
        resources: vec![message!(legacy::AlterConfigsResource {
            resource_type: kind,
            resource_name: text(name),
            configs: configs.iter().map(config).collect(),
        })],
        validate_only: validate_only,
    });
    session.ask(label, &request)
}

pub(super) fn alter_topics(session: &mut Session) -> Result<(), Stopped> {
    let (a, _) = session.topic("a", 1, &[("segment.bytes", "2000000")])?;
    let keys = ["cleanup.policy", "retention.ms", "segment.bytes"];
    let topic = (TOPIC, a.as_str());
    let set = [
        ("retention.ms", Some("1000")),
        ("cleanup.policy", Some("compact")),
    ];
    alter(session, "set", topic, &set, false)?;
    state(session, "the others are gone", &a, &keys)?;
    let checked = [("retention.bytes", Some("1000"))];
    alter(session, "validate", topic, &checked, true)?;
    alter(session, "null", topic, &[("retention.ms", None)], false)?;
    alter(session, "unknown key", topic, &[("nope", Some("1"))], false)?;
    alter(
        session,
        "bad value",
        topic,
        &[("retention.ms", Some("x"))],
        false,
    )?;
    let twice = [("retention.ms", Some("1")), ("retention.ms", Some("2"))];
    alter(session, "key twice", topic, &twice, false)?;
    state(session, "nothing changed", &a, &keys)?;
    alter(session, "nothing", topic, &[], false)?;
    state(session, "all are gone", &a, &keys)?;
    let nowhere: StrBytes = session.name("nowhere");
    alter(session, "unknown", (TOPIC, &nowhere), &[], false)?;
    alter(session, "illegal", (TOPIC, "bad name"), &[], false)?;
    alter(session, "nameless", (TOPIC, ""), &[], false)?;
    session.ask("none", &AlterConfigsRequest::default())
}

pub(super) fn alter_others(session: &mut Session) -> Result<(), Stopped> {
    let me = session.node.to_string();
    let name = session.name("n");
    let threads = [("log.cleaner.threads", Some("2"))];
    alter(session, "broker", (BROKER, &me), &threads, true)?;
    let node = [("node.id", Some("2"))];
    alter(session, "read only", (BROKER, &me), &node, true)?;
    alter(session, "another broker", (BROKER, "77"), &threads, true)?;
    alter(
        session,
        "logger",
        (LOGGER, &me),
        &[("x", Some("INFO"))],
        true,
    )?;
    let interval = [("interval.ms", Some("46000"))];
    alter(session, "metrics", (METRICS, &name), &interval, true)?;
    let timeout = [("consumer.session.timeout.ms", Some("46000"))];
    alter(session, "group", (GROUP, &name), &timeout, true)?;
    alter(session, "kind 0", (0, "x"), &threads, true)?;
    alter(session, "kind 3", (3, "x"), &threads, true)
}
