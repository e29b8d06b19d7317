//! Who a node is.

use crate::config::listeners::{Listener, Listeners};
use crate::ids::{BrokerEpoch, DirectoryId, ListenerId, NodeId};

/// A node's identity for this incarnation.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// Its id.
    pub node: NodeId,
    /// The cluster's id.
    pub cluster_id: String,
    /// The ids of its data directories, in the order of `log.dirs`.
    pub directories: Vec<DirectoryId>,
    /// This incarnation of the node.
    pub incarnation: DirectoryId,
    /// The metadata offset of its registration.
    pub broker_epoch: BrokerEpoch,
    /// Where clients of each listener reach it; ports as they are bound. One that is configured no
    /// more keeps its place and so its id: there may be clients that came to it.
    pub listeners: Vec<Listener>,
}

impl Identity {
    /// What clients that came to a listener are told (K18).
    #[must_use]
    pub fn listener(&self, id: ListenerId) -> Option<&Listener> {
        self.listeners.get(usize::from(id.0))
    }

    /// The id of the listener with this name.
    #[must_use]
    pub fn listener_id(&self, name: &str) -> Option<ListenerId> {
        let mut listeners = self.listeners.iter();
        let place = listeners.position(|listener| listener.name == name)?;
        u8::try_from(place).ok().map(ListenerId)
    }

    /// Gives an id to each listener that has none yet, as far as there are ids.
    pub fn note_listeners(&mut self, configured: &Listeners) {
        for listener in &configured.bound {
            let is_known = self.listener_id(&listener.name).is_some();
            if !is_known && self.listeners.len() <= usize::from(u8::MAX) {
                let advertised = configured.advertised_by_name(&listener.name);
                self.listeners.push(advertised.unwrap_or(listener).clone());
            }
        }
    }

    /// What was configured at run time, before this start, is reached where it says, and not where
    /// the configuration of the `start` did.
    pub fn settle_listeners(&mut self, start: &Listeners, now: &Listeners) {
        self.note_listeners(now);
        let machine = self.listeners.first().map(|first| first.host.clone());
        let find = |listeners: &[Listener], name: &str| {
            let mut listeners = listeners.iter();
            listeners.find(|listener| listener.name == name).cloned()
        };
        for listener in &mut self.listeners {
            let known = |of: &Listeners| {
                let advertised = find(&of.advertised, &listener.name);
                advertised.or_else(|| find(&of.bound, &listener.name))
            };
            if let Some(address) = known(now)
                && known(start).as_ref() != Some(&address)
            {
                *listener = address;
                if listener.host.is_empty()
                    && let Some(machine) = &machine
                {
                    listener.host.clone_from(machine);
                }
            }
        }
    }

    /// The listeners that are configured, for whoever registers.
    #[must_use]
    pub fn registered(&self, configured: &Listeners) -> Vec<Listener> {
        let is_bound = |name: &str| {
            configured
                .bound
                .iter()
                .any(|listener| listener.name == name)
        };
        let listeners = self.listeners.iter();
        let listeners = listeners.filter(|listener| is_bound(&listener.name));
        listeners.cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;

    fn listeners(text: &str) -> Listeners {
        let text = format!(
            "listeners={text}\nlistener.security.protocol.map=A:PLAINTEXT,\
                            B:PLAINTEXT,C:PLAINTEXT"
        );
        let settings = Settings::load(&text, &[]).expect("values of the right types");
        Listeners::of(&settings).expect("they go together")
    }

    #[test]
    fn a_listener_keeps_its_id_whatever_comes_and_goes() {
        let start = listeners("A://h:1,B://h:2");
        let mut identity = Identity {
            node: NodeId(1),
            cluster_id: String::new(),
            directories: Vec::new(),
            incarnation: DirectoryId::METADATA,
            broker_epoch: BrokerEpoch(0),
            listeners: start.bound.clone(),
        };
        let told = |identity: &Identity, now: &Listeners| {
            let told = identity.registered(now);
            told.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        // What the metadata says counts more than the file that the broker was started with.
        let now = listeners("A://h:7,C://:3");
        identity.settle_listeners(&start, &now);
        assert_eq!(told(&identity, &now), ["A://h:7", "C://h:3"]);
        let ids = |identity: &Identity| ["A", "B", "C"].map(|name| identity.listener_id(name));
        let all = [0, 1, 2].map(|id| Some(ListenerId(id)));
        assert_eq!(ids(&identity), all);
        let without = listeners("A://h:7");
        identity.note_listeners(&without);
        assert_eq!(told(&identity, &without), ["A://h:7"]);
        identity.note_listeners(&start);
        assert_eq!(ids(&identity), all);
        assert_eq!(identity.listener(ListenerId(2)).map(|of| of.port), Some(3));
    }
}
