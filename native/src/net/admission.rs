//! How many connections may be open, in all and from one address; looked at again when the broker
//! is reconfigured.
//!
//! Kafka's defaults are not finite; ours are, except for this machine's own addresses.

use std::collections::HashMap;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::Arc;

use ottla_core::config::{BrokerConfig, Settings};
use tokio::task::spawn_blocking;

use super::Net;
use super::doors::Wanted;

/// Connections at a time where `max.connections` is not set.
const CONNECTIONS_MAX: usize = 20_000;

/// Connections at a time from one other machine where `max.connections.per.ip` is not set.
const PER_ADDRESS_MAX: usize = 2_000;

/// How many connections may be open.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Admission {
    /// In all (`max.connections`).
    pub(crate) connections_max: usize,
    /// From one address (`max.connections.per.ip`).
    pub(crate) per_address_max: usize,
    /// From one address of this machine: as from others where that is set.
    pub(crate) per_loopback_max: usize,
    /// Other numbers for some addresses (`max.connections.per.ip.overrides`).
    pub(crate) overrides: HashMap<IpAddr, usize>,
    /// To one listener (`listener.name.<listener>.max.connections`), by its name.
    pub(crate) per_listener_max: HashMap<String, usize>,
}

impl Default for Admission {
    fn default() -> Self {
        Self {
            connections_max: CONNECTIONS_MAX,
            per_address_max: PER_ADDRESS_MAX,
            per_loopback_max: usize::MAX,
            overrides: HashMap::new(),
            per_listener_max: HashMap::new(),
        }
    }
}

impl Admission {
    /// As configured. Looks names up, so it may take a while.
    pub(crate) fn of(settings: &Settings, config: &BrokerConfig) -> Self {
        let mut admission = Self::default();
        let socket = &config.socket;
        if settings.is_set("max.connections") {
            admission.connections_max = socket.max_connections as usize;
        }
        if settings.is_set("max.connections.per.ip") {
            admission.per_address_max = socket.max_connections_per_ip as usize;
            admission.per_loopback_max = admission.per_address_max;
        }
        for (host, count) in &socket.max_connections_per_ip_overrides {
            let host = host.trim_matches(['[', ']']);
            for address in (host, 0).to_socket_addrs().into_iter().flatten() {
                let address = address.ip().to_canonical();
                admission.overrides.insert(address, *count as usize);
            }
        }
        for listener in &config.listeners.bound {
            let lower = listener.name.to_ascii_lowercase();
            let key = format!("listener.name.{lower}.max.connections");
            if let Some(most) = settings.own_number_of_listener(&key) {
                let most = usize::try_from(most).unwrap_or(0);
                admission
                    .per_listener_max
                    .insert(listener.name.clone(), most);
            }
        }
        admission
    }

    /// Most connections at a time to the listener with this name.
    pub(crate) fn most_to(&self, listener: &str) -> usize {
        let own = self.per_listener_max.get(listener).copied();
        own.unwrap_or(usize::MAX)
    }

    /// Most connections at a time from this address.
    pub(crate) fn most_from(&self, address: IpAddr) -> usize {
        match self.overrides.get(&address) {
            Some(count_max) => *count_max,
            None if address.is_loopback() => self.per_loopback_max,
            None => self.per_address_max,
        }
    }
}

/// What the broker is configured as now, seen from the sockets.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen(Option<Arc<BrokerConfig>>);

/// Takes over what the configuration says now, if it is another than the one seen last; answers
/// the listeners that it wants then.
pub(super) async fn follow(net: &Arc<Net>, seen: &mut Seen) -> Option<Wanted> {
    let own = Arc::clone(net);
    let before = seen.clone();
    let looking = spawn_blocking(move || {
        let look = |node: &ottla_core::node::Node| {
            let broker = node.broker()?;
            let wanted = Wanted::of(node)?;
            let settings = Arc::clone(&broker.settings);
            Some((settings, Arc::clone(&broker.config), wanted))
        };
        let (settings, config, wanted) = own.driver.look(look).flatten()?;
        let known = before.0.as_ref();
        if known.is_some_and(|known| Arc::ptr_eq(known, &config)) {
            return None;
        }
        own.configure(&settings, &config, &wanted);
        Some((Seen(Some(config)), wanted))
    });
    let (now, wanted) = looking
        .await
        .expect("a look at a configuration does not panic")?;
    *seen = now;
    Some(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Admission {
        let settings = Settings::load(text, &[]).expect("good settings");
        let config = BrokerConfig::of(&settings).expect("they go together");
        Admission::of(&settings, &config)
    }

    #[test]
    fn what_is_configured_is_for_every_address() {
        let here = IpAddr::from([127, 0, 0, 1]);
        let there = IpAddr::from([10, 0, 0, 1]);
        assert_eq!(of(""), Admission::default());
        assert_eq!(of("").most_from(here), usize::MAX);
        let few = of("max.connections.per.ip=3\nmax.connections=7");
        assert_eq!((few.most_from(here), few.most_from(there)), (3, 3));
        assert_eq!(few.connections_max, 7);
        let own = "max.connections.per.ip=3\n\
                   max.connections.per.ip.overrides=127.0.0.1:5,[::1]:6,10.0.0.1:0";
        let own = of(own);
        let sixth = IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]);
        let most = [here, sixth, there].map(|address| own.most_from(address));
        assert_eq!(most, [5, 6, 0]);
        let own = of("listener.name.plaintext.max.connections=9");
        assert_eq!(
            (own.most_to("PLAINTEXT"), own.most_to("OTHER")),
            (9, usize::MAX)
        );
    }
}
