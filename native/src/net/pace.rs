//! How many connections may come in a second, to one listener and to all of them
//! (`max.connection.creation.rate`, KIP-612).
//!
//! A connection beyond the rate waits, and with it those behind it at its listener; none is
//! refused. Kafka class to compare: `ConnectionQuotas`.

use std::time::Duration;

use ottla_core::config::{BrokerConfig, Settings};
use ottla_core::ids::ListenerId;
use ottla_core::quota::rate::Rate;
use ottla_core::quota::window::{Window, Windows};

/// Rates, and what came lately.
#[derive(Debug)]
pub(super) struct Pace {
    windows: Windows,
    all: Gate,
    /// By the listener's id.
    listeners: Vec<Gate>,
}

#[derive(Debug, Default)]
struct Gate {
    /// `None` for no bound.
    rate: Option<Rate>,
    window: Window,
}

impl Gate {
    fn wait_ms(&mut self, now_ms: u64, windows: Windows) -> u64 {
        let Some(rate) = self.rate else {
            return 0;
        };
        self.window.record(now_ms, 1, windows);
        self.window.wait_ms(now_ms, rate, 1, windows)
    }
}

/// What `max.connection.creation.rate` says; Kafka's default is no bound.
fn rate_of(number: i64) -> Option<Rate> {
    let number = u64::try_from(number).unwrap_or(0);
    (number < i32::MAX.unsigned_abs().into()).then(|| Rate::per_second(number))
}

impl Pace {
    /// No bound.
    pub(super) fn new() -> Self {
        Self {
            windows: Windows {
                count: 11,
                length_ms: 1_000,
            },
            all: Gate::default(),
            listeners: Vec::new(),
        }
    }

    /// From now on the rates are as configured, of listeners with these names, by id.
    pub(super) fn configure(
        &mut self,
        settings: &Settings,
        config: &BrokerConfig,
        names: &[String],
    ) {
        self.windows = config.quotas.clients;
        self.all.rate = rate_of(settings.integer("max.connection.creation.rate"));
        self.listeners.resize_with(names.len(), Gate::default);
        for (gate, name) in self.listeners.iter_mut().zip(names) {
            let key = format!(
                "listener.name.{}.max.connection.creation.rate",
                name.to_ascii_lowercase()
            );
            // The bound of all is no bound of each.
            gate.rate = settings.own_number_of_listener(&key).and_then(rate_of);
        }
    }

    /// A connection came: how long it is to wait.
    pub(super) fn on_accepted(&mut self, now_ms: u64, listener: ListenerId) -> Duration {
        let windows = self.windows;
        let own = self.listeners.get_mut(usize::from(listener.0));
        let own_ms = own.map_or(0, |gate| gate.wait_ms(now_ms, windows));
        Duration::from_millis(self.all.wait_ms(now_ms, windows).max(own_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_waits_for_its_listener_and_for_all() {
        let text = "max.connection.creation.rate=4\n\
                    listener.name.b.max.connection.creation.rate=1\n\
                    quota.window.num=2\n";
        let settings = Settings::load(text, &[]).expect("good settings");
        let config = BrokerConfig::of(&settings).expect("they go together");
        let names = ["A", "B", "C"].map(str::to_owned);
        let mut pace = Pace::new();
        let come = |pace: &mut Pace, now_ms, id| {
            let wait = pace.on_accepted(now_ms, ListenerId(id));
            u64::try_from(wait.as_millis()).expect("short")
        };
        assert_eq!(come(&mut pace, 0, 1), 0, "nothing is bounded before");
        pace.configure(&settings, &config, &names);
        assert_eq!(come(&mut pace, 10_000, 0), 0);
        assert_eq!(come(&mut pace, 10_000, 1), 0);
        // Two in the one second that is looked back at: one more than B may.
        assert_eq!(come(&mut pace, 10_000, 1), 1_000);
        assert_eq!(come(&mut pace, 10_000, 2), 0);
        // Five came to the broker, which may have four.
        assert_eq!(come(&mut pace, 10_000, 0), 250);
        assert_eq!(come(&mut pace, 20_000, 1), 0);
    }
}
