//! What the metadata allows whom.
//!
//! Of all entities that fit a client the most specific that has a limit of the kind wins; clients
//! that it fits alike share it where it names only the one or the other (K120). Kafka class to
//! compare: `ClientQuotaManager.DefaultQuotaCallback`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::rate::Rate;
use crate::controller::client_quotas::{CLIENT_ID, IP, USER};
use crate::metadata::Image;
use crate::metadata::image::QuotaEntity;

/// What is limited.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// Bytes of records read, `consumer_byte_rate`.
    Consume,
    /// Partitions created and deleted, `controller_mutation_rate`.
    Mutate,
    /// Bytes of requests that produce, `producer_byte_rate`.
    Produce,
    /// Time of the broker, `request_percentage`.
    Request,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Consume, Self::Mutate, Self::Produce, Self::Request];

    fn key(self) -> &'static str {
        match self {
            Self::Consume => "consumer_byte_rate",
            Self::Mutate => "controller_mutation_rate",
            Self::Produce => "producer_byte_rate",
            Self::Request => "request_percentage",
        }
    }
}

/// Part of whom a limit is for.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Part {
    /// It does not matter.
    Any,
    /// Whoever has none of its own.
    Default,
    /// This one.
    Named(Arc<str>),
}

/// Who shares a limit: a user, a client id, or a client id of a user.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Sharers {
    /// What is limited.
    pub kind: Kind,
    /// The user, where the limit is for users.
    pub user: Option<Arc<str>>,
    /// The client id, where the limit is for client ids.
    pub client_id: Option<Arc<str>>,
}

/// All limits there are.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Limits {
    clients: BTreeMap<(Kind, Part, Part), Rate>,
    /// Connections a second from an address; no name is the default.
    addresses: BTreeMap<Option<Arc<str>>, Rate>,
}

impl Limits {
    /// The limits that the metadata has.
    #[must_use]
    pub fn of(image: &Image) -> Self {
        let mut limits = Self::default();
        for (entity, values) in image.quotas() {
            if let Some(address) = entity.get(IP) {
                if let Some(rate) = values.get("connection_creation_rate") {
                    limits.addresses.insert(address.clone(), Rate::of(*rate));
                }
                continue;
            }
            let (user, client) = (part(entity, USER), part(entity, CLIENT_ID));
            for kind in Kind::ALL {
                if let Some(rate) = values.get(kind.key()) {
                    let key = (kind, user.clone(), client.clone());
                    limits.clients.insert(key, Rate::of(*rate));
                }
            }
        }
        limits
    }

    /// Whether nobody is limited.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty() && self.addresses.is_empty()
    }

    /// Whether no address is limited.
    #[must_use]
    pub fn has_no_addresses(&self) -> bool {
        self.addresses.is_empty()
    }

    /// The limit of a client, and with whom it is shared.
    #[must_use]
    pub fn of_client(
        &self,
        kind: Kind,
        user: &Arc<str>,
        client_id: &Arc<str>,
    ) -> Option<(Sharers, Rate)> {
        let named = |name: &Arc<str>| Part::Named(Arc::clone(name));
        for user_part in [named(user), Part::Default, Part::Any] {
            for client_part in [named(client_id), Part::Default, Part::Any] {
                let key = (kind, user_part.clone(), client_part);
                if let Some(&rate) = self.clients.get(&key) {
                    let sharers = Sharers {
                        kind,
                        user: (key.1 != Part::Any).then(|| Arc::clone(user)),
                        client_id: (key.2 != Part::Any).then(|| Arc::clone(client_id)),
                    };
                    return Some((sharers, rate));
                }
            }
        }
        None
    }

    /// How many connections a second may come from an address.
    #[must_use]
    pub fn of_address(&self, address: &Arc<str>) -> Option<Rate> {
        let own = self.addresses.get(&Some(Arc::clone(address)));
        own.or_else(|| self.addresses.get(&None)).copied()
    }
}

fn part(entity: &QuotaEntity, kind: &str) -> Part {
    match entity.get(kind) {
        None => Part::Any,
        Some(None) => Part::Default,
        Some(Some(name)) => Part::Named(Arc::clone(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::Delta;
    use crate::metadata::codec::Double;
    use crate::metadata::records::{ClientQuotaRecord, QuotaEntityData};

    /// Entities from the most specific to the least; `None` is the default, `-` any.
    const PRECEDENCE: [(&str, &str); 8] = [
        ("u", "c"),
        ("u", ""),
        ("u", "-"),
        ("", "c"),
        ("", ""),
        ("", "-"),
        ("-", "c"),
        ("-", ""),
    ];

    fn set(image: &mut Image, (user, client): (&str, &str), limit: f64) {
        let part = |kind: &str, name: &str| QuotaEntityData {
            entity_type: Arc::from(kind),
            entity_name: Some(Arc::from(name)).filter(|name: &Arc<str>| !name.is_empty()),
        };
        let entity = [part("user", user), part("client-id", client)];
        let named = |data: &QuotaEntityData| data.entity_name.as_deref() != Some("-");
        let record = ClientQuotaRecord {
            entity: entity.into_iter().filter(named).collect(),
            key: Arc::from("producer_byte_rate"),
            value: Double(limit.to_bits()),
            remove: false,
        };
        let applied = image.apply(&record.into(), &mut Delta::default());
        applied.expect("a quota contradicts nothing");
    }

    #[test]
    fn the_most_specific_wins_and_says_who_shares_it() {
        let (user, client) = (Arc::from("u"), Arc::from("c"));
        let mut image = Image::default();
        let found = Limits::of(&image).of_client(Kind::Produce, &user, &client);
        assert_eq!(found, None);
        for (at, entity) in PRECEDENCE.iter().enumerate().rev() {
            let limit = u64::try_from(at).expect("below eight") + 1;
            set(
                &mut image,
                *entity,
                1.0 * [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0][at],
            );
            let limits = Limits::of(&image);
            let (sharers, rate) = limits
                .of_client(Kind::Produce, &user, &client)
                .expect("there is one");
            assert_eq!(rate, Rate::per_second(limit), "{entity:?}");
            assert_eq!(sharers.user.is_some(), entity.0 != "-", "{entity:?}");
            assert_eq!(sharers.client_id.is_some(), entity.1 != "-", "{entity:?}");
            assert_eq!(limits.of_client(Kind::Consume, &user, &client), None);
        }
        // Another client of another user has the defaults.
        let other = Arc::from("o");
        let limits = Limits::of(&image);
        let (_, rate) = limits
            .of_client(Kind::Produce, &other, &other)
            .expect("the defaults");
        assert_eq!(rate, Rate::per_second(5));
    }
}
