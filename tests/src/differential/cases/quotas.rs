//! DescribeClientQuotas, AlterClientQuotas.

use kafka_wire::alter_client_quotas_request::{EntityData, EntryData, OpData};
use kafka_wire::describe_client_quotas_request::ComponentData;
use kafka_wire::{AlterClientQuotasRequest, DescribeClientQuotasRequest};

use super::super::session::{Session, Stopped};
use super::{Case, message, text};

pub(super) const CASES: &[Case] = &[
    Case {
        key: 48,
        name: "DescribeClientQuotas/some",
        first: 0,
        run: describe,
    },
    Case {
        key: 48,
        name: "DescribeClientQuotas/invalid",
        first: 0,
        run: describe_invalid,
    },
    Case {
        key: 49,
        name: "AlterClientQuotas/answer",
        first: 0,
        run: alter,
    },
    Case {
        key: 49,
        name: "AlterClientQuotas/entities",
        first: 0,
        run: alter_entities,
    },
    Case {
        key: 49,
        name: "AlterClientQuotas/limits",
        first: 0,
        run: alter_limits,
    },
];

/// Types and names of an entity; no name is the default.
type Entity<'a> = &'a [(&'a str, Option<&'a str>)];

/// Limits; none removes one.
type Limits<'a> = &'a [(&'a str, Option<f64>)];

fn entry(session: &Session, entity: Entity<'_>, limits: Limits<'_>) -> EntryData {
    let name = |kind: &str, name: &str| match kind {
        "ip" => text(name),
        _ if name.is_empty() => text(name),
        _ => session.name(name),
    };
    let entity = entity.iter().map(|(kind, short)| {
        message!(EntityData {
            entity_type: text(kind),
            entity_name: short.map(|short| name(kind, short)),
        })
    });
    let ops = limits.iter().map(|(key, limit)| {
        message!(OpData {
            key: text(key),
            value: limit.unwrap_or(0.0),
            remove: limit.is_none(),
        })
    });
    message!(EntryData {
        entity: entity.collect(),
        ops: ops.collect(),
    })
}

fn change(
    session: &mut Session,
    label: &str,
    entries: &[(Entity<'_>, Limits<'_>)],
    validate_only: bool,
) -> Result<(), Stopped> {
    let entries = entries.iter();
    let entries = entries.map(|(entity, limits)| entry(session, entity, limits));
    let request = message!(AlterClientQuotasRequest {
        entries: entries.collect(),
        validate_only: validate_only,
    });
    session.ask(label, &request)
}

fn ask(
    session: &mut Session,
    label: &str,
    components: &[(&str, i8, Option<&str>)],
    strict: bool,
) -> Result<(), Stopped> {
    let components = components.iter().map(|(kind, matching, short)| {
        message!(ComponentData {
            entity_type: text(kind),
            match_type: *matching,
            match_: short.map(|short| if *kind == "ip" {
                text(short)
            } else {
                session.name(short)
            }),
        })
    });
    let request = message!(DescribeClientQuotasRequest {
        components: components.collect(),
        strict: strict,
    });
    session.ask(label, &request)
}

const USER: Entity<'_> = &[("user", Some("u"))];
const USER_CLIENT: Entity<'_> = &[("user", Some("u")), ("client-id", Some("c"))];
const USER_ANY_CLIENT: Entity<'_> = &[("user", Some("u")), ("client-id", None)];
const CLIENT: Entity<'_> = &[("client-id", Some("c"))];
const ADDRESS: Entity<'_> = &[("ip", Some("10.1.2.3"))];

fn describe(session: &mut Session) -> Result<(), Stopped> {
    let produce = |rate| [("producer_byte_rate", rate)];
    let connect = |rate| [("connection_creation_rate", rate)];
    let both = [
        ("consumer_byte_rate", Some(3000.0)),
        ("request_percentage", Some(12.5)),
    ];
    let entries: &[(Entity<'_>, Limits<'_>)] = &[
        (USER, &produce(Some(1000.0))),
        (USER_CLIENT, &both),
        (USER_ANY_CLIENT, &produce(Some(4000.0))),
        (CLIENT, &[("controller_mutation_rate", Some(0.25))]),
        (ADDRESS, &connect(Some(7.0))),
    ];
    change(session, "set", entries, false)?;
    session.sync()?;
    for strict in [false, true] {
        let label = |text: &str| format!("{text}{}", if strict { ", strictly" } else { "" });
        let mut ask = |text: &str, components: &[(&str, i8, Option<&str>)]| {
            ask(session, &label(text), components, strict)
        };
        ask("all", &[])?;
        ask("a user", &[("user", 0, Some("u"))])?;
        ask("another user", &[("user", 0, Some("w"))])?;
        ask("any user", &[("user", 2, None)])?;
        ask("the default user", &[("user", 1, None)])?;
        ask("a client", &[("client-id", 0, Some("c"))])?;
        ask("the default client", &[("client-id", 1, None)])?;
        ask(
            "both",
            &[("user", 0, Some("u")), ("client-id", 0, Some("c"))],
        )?;
        ask("any of both", &[("user", 2, None), ("client-id", 2, None)])?;
        ask("an address", &[("ip", 0, Some("10.1.2.3"))])?;
        ask("any address", &[("ip", 2, None)])?;
    }
    let entries: &[(Entity<'_>, Limits<'_>)] = &[
        (USER, &produce(None)),
        (
            USER_CLIENT,
            &[("consumer_byte_rate", None), ("request_percentage", None)],
        ),
        (USER_ANY_CLIENT, &produce(None)),
        (CLIENT, &[("controller_mutation_rate", None)]),
        (ADDRESS, &connect(None)),
    ];
    change(session, "remove", entries, false)?;
    session.sync()?;
    ask(session, "all, removed", &[], false)
}

fn describe_invalid(session: &mut Session) -> Result<(), Stopped> {
    ask(session, "no type", &[("", 2, None)], false)?;
    ask(session, "an unknown type", &[("group", 2, None)], false)?;
    ask(
        session,
        "a type twice",
        &[("user", 2, None), ("user", 1, None)],
        false,
    )?;
    ask(session, "exactly nothing", &[("user", 0, None)], false)?;
    ask(
        session,
        "a default with a name",
        &[("user", 1, Some("u"))],
        false,
    )?;
    ask(session, "any with a name", &[("user", 2, Some("u"))], false)?;
    ask(session, "an unknown match", &[("user", 3, None)], false)?;
    ask(session, "a negative match", &[("user", -1, None)], false)?;
    ask(
        session,
        "an address and a user",
        &[("ip", 2, None), ("user", 2, None)],
        false,
    )
}

fn alter(session: &mut Session) -> Result<(), Stopped> {
    let limit = |rate| [("producer_byte_rate", rate)];
    change(session, "none", &[], false)?;
    change(session, "nothing", &[(USER, &[])], false)?;
    change(session, "validated", &[(USER, &limit(Some(5000.0)))], true)?;
    session.sync()?;
    ask(session, "nothing was set", &[("user", 0, Some("u"))], false)?;
    change(session, "set", &[(USER, &limit(Some(5000.0)))], false)?;
    change(session, "set again", &[(USER, &limit(Some(5000.0)))], false)?;
    change(session, "another", &[(USER, &limit(Some(6000.0)))], false)?;
    session.sync()?;
    ask(session, "it was set", &[("user", 0, Some("u"))], false)?;
    change(
        session,
        "remove what is not there",
        &[(USER, &[("consumer_byte_rate", None)])],
        false,
    )?;
    change(
        session,
        "remove what does not exist",
        &[(USER, &[("nothing", None)])],
        false,
    )?;
    let mixed: &[(Entity<'_>, Limits<'_>)] =
        &[(USER, &limit(Some(-1.0))), (CLIENT, &limit(Some(7000.0)))];
    change(session, "a bad and a good one", mixed, false)?;
    let twice: &[(Entity<'_>, Limits<'_>)] =
        &[(USER, &limit(Some(1.0))), (USER, &limit(Some(2.0)))];
    change(session, "an entity twice", twice, true)?;
    session.sync()?;
    ask(session, "what is there", &[], false)?;
    let gone: &[(Entity<'_>, Limits<'_>)] = &[(USER, &limit(None)), (CLIENT, &limit(None))];
    change(session, "remove", gone, false)?;
    session.sync()?;
    ask(session, "nothing is there", &[], false)
}

fn alter_entities(session: &mut Session) -> Result<(), Stopped> {
    let limit: Limits<'_> = &[("producer_byte_rate", Some(1.0))];
    let rate: Limits<'_> = &[("connection_creation_rate", Some(1.0))];
    let cases: &[(&str, Entity<'_>, Limits<'_>)] = &[
        ("nobody", &[], limit),
        ("an unknown type", &[("group", Some("g"))], limit),
        ("no type", &[("", Some("g"))], limit),
        ("a user without a name", &[("user", Some(""))], limit),
        ("a client without a name", &[("client-id", Some(""))], limit),
        ("the default user", &[("user", None)], limit),
        (
            "default of both",
            &[("user", None), ("client-id", None)],
            limit,
        ),
        ("an address", ADDRESS, rate),
        ("the default address", &[("ip", None)], rate),
        ("an address of six", &[("ip", Some("::1"))], rate),
        ("no address", &[("ip", Some("no host at all"))], rate),
        (
            "an address and a user",
            &[("ip", None), ("user", None)],
            rate,
        ),
        (
            "an address and a client",
            &[("ip", None), ("client-id", Some("c"))],
            rate,
        ),
        ("an address that produces", ADDRESS, limit),
        ("a user that connects", USER, rate),
    ];
    for (label, entity, limits) in cases {
        change(session, label, &[(entity, limits)], true)?;
    }
    Ok(())
}

fn alter_limits(session: &mut Session) -> Result<(), Stopped> {
    let keys = [
        "producer_byte_rate",
        "consumer_byte_rate",
        "request_percentage",
        "controller_mutation_rate",
        "connection_creation_rate",
        "leader.replication.throttled.rate",
        "",
    ];
    let numbers = [
        0.0,
        -1.0,
        0.5,
        1.5,
        1.000_000_1,
        200.0,
        3e9,
        1e13,
        1e19,
        f64::INFINITY,
    ];
    for key in keys {
        let entity = if key.starts_with("conn") {
            ADDRESS
        } else {
            CLIENT
        };
        for number in numbers {
            let label = format!("'{key}' {number}");
            change(session, &label, &[(entity, &[(key, Some(number))])], true)?;
        }
    }
    let twice: Limits<'_> = &[
        ("producer_byte_rate", Some(1.0)),
        ("producer_byte_rate", None),
    ];
    change(session, "a limit twice", &[(CLIENT, twice)], true)?;
    let two: Limits<'_> = &[("producer_byte_rate", Some(1.0)), ("nothing", Some(2.0))];
    change(session, "a good and a bad limit", &[(CLIENT, two)], true)
}
