//! What limits clients may have, as far as the answers to an administrator tell.
//!
//! While a change is under way, and after one whose answer nobody heard, there is more than one
//! possibility. Source: KIP-55 and KIP-546 (which entity wins), not the broker's code.

use std::collections::{BTreeMap, BTreeSet};

use kafka_wire::AlterClientQuotasRequest;

use crate::ids::{ConnectionId, RequestSequence};

/// What is limited.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Limited {
    /// Bytes read.
    Consume,
    /// Bytes written.
    Produce,
    /// Time of the broker.
    Request,
}

impl Limited {
    fn of(key: &str) -> Option<Self> {
        match key {
            "consumer_byte_rate" => Some(Self::Consume),
            "producer_byte_rate" => Some(Self::Produce),
            "request_percentage" => Some(Self::Request),
            _unknown => None,
        }
    }
}

/// Part of an entity: it does not matter, whoever has none of its own, or this one.
type Part = Option<Option<String>>;

/// Whom a limit is for, by user and client id, and what it limits.
type Key = (Limited, Part, Part);

/// A limit, in millionths of its unit per second; `None` where there is none.
type Rate = Option<u128>;

/// Who shares a limit: whether it is for the user, and the client id that it is for.
pub(super) type Sharers = (Limited, bool, Option<String>);

/// All limits there may be.
#[derive(Clone, Debug, Default)]
pub(super) struct PossibleLimits {
    rates: BTreeMap<Key, BTreeSet<Rate>>,
    pending: BTreeMap<(ConnectionId, RequestSequence), Vec<(Key, Rate)>>,
    /// Changes that were acknowledged in this turn.
    acknowledged: Vec<(Key, Rate)>,
}

impl PossibleLimits {
    /// A change is asked for: from now on it may be there.
    pub(super) fn on_asked(
        &mut self,
        key: (ConnectionId, RequestSequence),
        request: &AlterClientQuotasRequest,
    ) {
        let mut changes = Vec::new();
        for entry in &request.entries {
            let part = |kind: &str| -> Part {
                let found = entry
                    .entity
                    .iter()
                    .find(|part| *part.entity_type == *kind)?;
                Some(found.entity_name.as_ref().map(ToString::to_string))
            };
            for op in &entry.ops {
                if let Some(limited) = Limited::of(&op.key) {
                    let rate = (!op.remove).then(|| millionths(op.value));
                    changes.push(((limited, part("user"), part("client-id")), rate));
                }
            }
        }
        for (of, rate) in &changes {
            let rates = self.rates.entry(of.clone()).or_insert([None].into());
            rates.insert(*rate);
        }
        self.pending.insert(key, changes);
    }

    /// A change was answered. What failed in time may have been made nevertheless.
    pub(super) fn on_answered(&mut self, key: (ConnectionId, RequestSequence), is_made: bool) {
        let changes = self.pending.remove(&key).unwrap_or_default();
        if is_made {
            self.acknowledged.extend(changes);
        }
    }

    /// The turn is over: what was acknowledged in it is how it is.
    pub(super) fn end_turn(&mut self) {
        for (of, rate) in std::mem::take(&mut self.acknowledged) {
            let others = self.pending.values().flatten();
            let others = others.filter(|(at, _)| *at == of).map(|(_, rate)| *rate);
            let mut rates: BTreeSet<Rate> = others.collect();
            rates.insert(rate);
            self.rates.insert(of, rates);
        }
    }

    /// A connection is gone: its answers will not be heard.
    pub(super) fn on_disconnected(&mut self, connection: ConnectionId) {
        self.pending.retain(|(at, _), _| *at != connection);
    }

    /// The process died.
    pub(super) fn on_crash(&mut self) {
        self.pending.clear();
        self.acknowledged.clear();
    }

    /// Whether nobody ever asked for a limit.
    pub(super) fn is_untouched(&self) -> bool {
        self.rates.is_empty()
    }

    /// Whether it may be that nobody is limited.
    pub(super) fn may_be_none(&self) -> bool {
        self.rates.values().all(|rates| rates.contains(&None))
    }

    /// What limits a client may have, with who shares each: the most specific entity wins (K120).
    /// `None` is no limit.
    pub(super) fn of_client(
        &self,
        limited: Limited,
        (user, client_id): (&str, &str),
    ) -> BTreeSet<Option<(Sharers, u128)>> {
        let mut found = BTreeSet::new();
        let parts = |name: &str| [Some(Some(name.to_owned())), Some(None), None];
        for user_part in parts(user) {
            for client_part in parts(client_id) {
                let is_of_client = client_part.is_some();
                let key = (limited, user_part.clone(), client_part);
                let Some(rates) = self.rates.get(&key) else {
                    continue;
                };
                let of_client = is_of_client.then(|| client_id.to_owned());
                let sharers = (limited, user_part.is_some(), of_client);
                let rated = rates.iter().flatten();
                found.extend(rated.map(|rate| Some((sharers.clone(), *rate))));
                if !rates.contains(&None) {
                    return found;
                }
            }
        }
        found.insert(None);
        found
    }
}

/// A number of the protocol, in millionths, by its digits.
fn millionths(number: f64) -> u128 {
    let digits = format!("{number:.6}").replace('.', "");
    digits.parse().unwrap_or(0)
}

#[cfg(test)]
pub(super) mod tests {
    use kafka_wire::alter_client_quotas_request::{EntityData, EntryData, OpData};
    use kafka_wire_core::StrBytes;

    use super::*;

    /// A request that sets a limit, or removes it.
    pub(in crate::sim::checkers::quotas) fn change(
        entity: &[(&'static str, Option<&'static str>)],
        key: &'static str,
        rate: Option<f64>,
    ) -> AlterClientQuotasRequest {
        let mut entry = EntryData::default();
        for (kind, name) in entity {
            let mut part = EntityData::default();
            part.entity_type = StrBytes::from(*kind);
            part.entity_name = name.map(StrBytes::from);
            entry.entity.push(part);
        }
        let mut op = OpData::default();
        op.key = StrBytes::from(key);
        op.value = rate.unwrap_or(0.0);
        op.remove = rate.is_none();
        entry.ops.push(op);
        let mut request = AlterClientQuotasRequest::default();
        request.entries.push(entry);
        request
    }

    #[test]
    fn what_is_asked_for_may_be_and_what_is_acknowledged_is() {
        let mut limits = PossibleLimits::default();
        let asked = |number| (ConnectionId(1), RequestSequence(number));
        let rates = |limits: &PossibleLimits| -> Vec<Rate> {
            let found = limits.of_client(Limited::Produce, ("u", "c"));
            found.into_iter().map(|one| Some(one?.1)).collect()
        };
        assert_eq!(rates(&limits), [None]);
        let default = [("client-id", None)];
        limits.on_asked(asked(1), &change(&default, "producer_byte_rate", Some(5.0)));
        assert_eq!(rates(&limits), [None, Some(5_000_000)]);
        limits.on_answered(asked(1), true);
        assert_eq!(
            rates(&limits),
            [None, Some(5_000_000)],
            "until the turn ends"
        );
        limits.end_turn();
        assert_eq!(rates(&limits), [Some(5_000_000)]);
        assert!(!limits.may_be_none());
        let own = [("client-id", Some("c"))];
        limits.on_asked(asked(2), &change(&own, "producer_byte_rate", Some(0.5)));
        limits.on_disconnected(ConnectionId(1));
        assert_eq!(rates(&limits), [Some(500_000), Some(5_000_000)]);
        limits.on_asked(asked(3), &change(&own, "producer_byte_rate", None));
        limits.on_answered(asked(3), true);
        limits.end_turn();
        assert_eq!(rates(&limits), [Some(5_000_000)]);
        limits.on_asked(asked(4), &change(&default, "producer_byte_rate", None));
        assert!(limits.may_be_none());
    }

    #[test]
    fn the_most_specific_wins() {
        let mut limits = PossibleLimits::default();
        let entities: [&[_]; 3] = [
            &[("client-id", Some("c"))],
            &[("user", None)],
            &[("user", Some("u")), ("client-id", None)],
        ];
        for (at, entity) in entities.into_iter().enumerate() {
            let key = (ConnectionId(1), RequestSequence(at as u64));
            let rate = [1.0, 2.0, 3.0][at];
            limits.on_asked(key, &change(entity, "consumer_byte_rate", Some(rate)));
            limits.on_answered(key, true);
            limits.end_turn();
            let found = limits.of_client(Limited::Consume, ("u", "c"));
            let wanted = (at as u128 + 1) * 1_000_000;
            assert!(found.iter().flatten().all(|(_, rate)| *rate == wanted));
        }
        let other = limits.of_client(Limited::Consume, ("v", "c"));
        let (sharers, _) = other.first().cloned().flatten().expect("the default");
        assert_eq!(sharers, (Limited::Consume, true, None));
    }
}
