//! An administrator of quotas: limits users and client ids, and lifts the limits again.
//!
//! In the end it lifts all of them, so that a world comes to rest. Who is limited by what, and
//! whether the broker sees to it, is judged at the broker's door.

use kafka_wire::AlterClientQuotasRequest;
use kafka_wire::alter_client_quotas_request::{EntityData, EntryData, OpData};
use kafka_wire_core::StrBytes;

use super::Stage;
use crate::client::message::{Call, ClientRequest};
use crate::client::network::{Answer, CallId};
use crate::quota::ANONYMOUS;
use crate::time::Instant;

/// Client ids that clients have, in turn.
pub const CLIENT_IDS: [&str; 3] = ["client-0", "client-1", "client-2"];

const USER: &str = "user";
const CLIENT: &str = "client-id";

/// Whom limits are for: all kinds of entities that may fit a client.
const ENTITIES: [&[(&str, Option<&str>)]; 7] = [
    &[(CLIENT, Some(CLIENT_IDS[0]))],
    &[(CLIENT, None)],
    &[(USER, Some(ANONYMOUS))],
    &[(USER, None)],
    &[(USER, Some(ANONYMOUS)), (CLIENT, Some(CLIENT_IDS[1]))],
    &[(USER, Some(ANONYMOUS)), (CLIENT, None)],
    &[(USER, None), (CLIENT, Some(CLIENT_IDS[2]))],
];

/// What is limited.
const KEYS: [&str; 3] = [
    "consumer_byte_rate",
    "producer_byte_rate",
    "request_percentage",
];

/// How it behaves.
#[derive(Clone, Debug)]
pub struct LimiterOptions {
    /// Mean time between two changes, in milliseconds.
    pub every_ms: u64,
    /// Bytes a second that clients may read or write, about.
    pub bytes_per_second: u64,
    /// How much of a second their requests may take, about, in millionths of a percent.
    pub percent_millionths: u64,
}

/// The actor; see the module.
#[derive(Clone, Debug)]
pub struct Limiter {
    options: LimiterOptions,
    call: Option<CallId>,
    at: Instant,
    winding_down: bool,
    /// The last change is under way, which lifts every limit.
    is_lifting: bool,
    is_lifted: bool,
    /// Changes that were made.
    pub successes: u64,
}

impl Limiter {
    /// One that has not begun.
    #[must_use]
    pub fn new(options: LimiterOptions) -> Self {
        Self {
            options,
            call: None,
            at: Instant(0),
            winding_down: false,
            is_lifting: false,
            is_lifted: false,
            successes: 0,
        }
    }

    /// Lifts every limit, and is done.
    pub fn wind_down(&mut self) {
        self.winding_down = true;
        self.at = Instant(0);
    }

    /// Whether nobody is limited any more.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.is_lifted
    }

    /// See [`super::Actor::step`].
    pub fn step(&mut self, stage: &mut Stage<'_>) -> Option<Instant> {
        if self.is_lifted || self.call.is_some() {
            return None;
        }
        if stage.now < self.at {
            return Some(self.at);
        }
        self.is_lifting = self.winding_down;
        let request = match self.winding_down {
            true => made!(AlterClientQuotasRequest {
                entries: ENTITIES
                    .map(|entity| entry(entity, KEYS.map(lifted).to_vec()))
                    .to_vec(),
            }),
            false => self.change(stage),
        };
        self.call = Some(stage.call(ClientRequest::AlterClientQuotas(request)));
        self.at = match self.winding_down {
            true => stage.in_ms(100),
            false => stage.within_ms(self.options.every_ms * 2),
        };
        None
    }

    /// See [`super::Actor::on_answer`].
    pub fn on_answer(&mut self, answer: Answer) {
        if self.call.take_if(|call| *call == answer.call).is_none() {
            return;
        }
        let answered = answer.result.ok();
        let response = answered.and_then(AlterClientQuotasRequest::from_response);
        let is_made = response.is_some_and(|response| {
            let mut entries = response.entries.iter();
            entries.all(|entry| entry.error_code == 0)
        });
        self.successes += u64::from(is_made);
        self.is_lifted = is_made && self.is_lifting;
    }

    fn change(&self, stage: &mut Stage<'_>) -> AlterClientQuotasRequest {
        let entity = ENTITIES[stage.rng.below(ENTITIES.len() as u64) as usize];
        let key = KEYS[stage.rng.below(KEYS.len() as u64) as usize];
        let op = match stage.rng.chance(1, 3) {
            true => lifted(key),
            false => self.limit(stage, key),
        };
        made!(AlterClientQuotasRequest {
            entries: vec![entry(entity, vec![op])],
        })
    }

    /// A limit within a factor of two of what is usual here.
    fn limit(&self, stage: &mut Stage<'_>, key: &'static str) -> OpData {
        let is_percentage = key == "request_percentage";
        let usual = match is_percentage {
            true => self.options.percent_millionths,
            false => self.options.bytes_per_second,
        };
        let limit = stage.rng.between(usual / 2 + 1, usual * 2 + 2);
        let text = match is_percentage {
            true => format!("{}.{:06}", limit / 1_000_000, limit % 1_000_000),
            false => limit.to_string(),
        };
        made!(OpData {
            key: StrBytes::from(key),
            value: text.parse().expect("these are digits"),
        })
    }
}

fn lifted(key: &'static str) -> OpData {
    made!(OpData {
        key: StrBytes::from(key),
        remove: true,
    })
}

fn entry(entity: &[(&'static str, Option<&'static str>)], ops: Vec<OpData>) -> EntryData {
    let parts = entity.iter().map(|(kind, name)| {
        made!(EntityData {
            entity_type: StrBytes::from(*kind),
            entity_name: name.map(StrBytes::from),
        })
    });
    made!(EntryData {
        entity: parts.collect(),
        ops: ops,
    })
}
