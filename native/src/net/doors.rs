//! The listeners that are open: bound and closed as the configuration says, while the broker runs
//! (KIP-226).
//!
//! A listener that is there stays where it is until the next start, whatever its address is now; as
//! in Apache Kafka 4.3.1, whose `SocketServer.addListeners` and `removeListeners` compare. One that
//! cannot be bound is told, and tried again when the configuration changes next.

use std::sync::Arc;

use ottla_core::config::listeners::{Listener as Address, Listeners};
use ottla_core::ids::ListenerId;
use ottla_core::node::Node;
use tokio::task::JoinHandle;

use super::{Listener, Net, SocketOptions};

/// The listeners that are open.
#[derive(Debug)]
pub(crate) struct Doors {
    options: SocketOptions,
    open: Vec<Door>,
}

/// One of them.
#[derive(Debug)]
struct Door {
    id: ListenerId,
    /// What was configured when this was looked at last, and where it really listens.
    configured: Address,
    address: Address,
    accepting: JoinHandle<()>,
}

/// What is configured, and the ids that the node gave.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    listeners: Listeners,
    /// Names by id.
    pub(super) names: Vec<String>,
}

impl Wanted {
    /// As the node has it now; `None` while it has not booted.
    pub(crate) fn of(node: &Node) -> Option<Self> {
        let broker = node.broker()?;
        let names = broker.identity.listeners.iter();
        Some(Self {
            listeners: broker.config.listeners.clone(),
            names: names.map(|listener| listener.name.clone()).collect(),
        })
    }

    fn is_configured(&self, name: &str) -> bool {
        let mut bound = self.listeners.bound.iter();
        bound.any(|listener| listener.name == name)
    }

    fn id(&self, name: &str) -> Option<ListenerId> {
        let place = self.names.iter().position(|known| known == name)?;
        u8::try_from(place).ok().map(ListenerId)
    }
}

impl Doors {
    /// None is open.
    pub(crate) fn new(options: SocketOptions) -> Self {
        Self {
            options,
            open: Vec::new(),
        }
    }

    /// Opens those that were bound before the node booted, where the metadata does not say
    /// otherwise; then what it says.
    pub(crate) async fn open(
        &mut self,
        net: &Arc<Net>,
        bound: Vec<(Address, Listener)>,
        wanted: &Wanted,
    ) {
        net.know_listeners(&wanted.names);
        for (address, listener) in bound {
            if wanted.listeners.bound.contains(&address)
                && let Some(id) = wanted.id(&address.name)
            {
                self.accept(net, id, address, listener);
            }
        }
        self.follow(net, wanted).await;
    }

    /// Closes what is configured no more, with its connections, and binds what is new.
    pub(crate) async fn follow(&mut self, net: &Arc<Net>, wanted: &Wanted) {
        net.know_listeners(&wanted.names);
        let is_gone = |door: &mut Door| !wanted.is_configured(&door.address.name);
        let gone: Vec<Door> = self.open.extract_if(.., is_gone).collect();
        for mut door in gone {
            // The socket is closed when the task has ended, so that its port may be bound again.
            door.accepting.abort();
            let _aborted = (&mut door.accepting).await;
            net.close_listener(door.id);
            tracing::info!("listens no more on {}", door.address);
        }
        for address in &wanted.listeners.bound {
            let is_it = |door: &&mut Door| door.address.name == address.name;
            match self.open.iter_mut().find(is_it) {
                Some(door) => door.note(address),
                None => self.bind(net, address, wanted).await,
            }
        }
    }

    async fn bind(&mut self, net: &Arc<Net>, address: &Address, wanted: &Wanted) {
        let Some(id) = wanted.id(&address.name) else {
            tracing::error!("cannot listen on {address}: no id is left; start the broker again");
            return;
        };
        let bound = Listener::bind(id, &address.host, address.port, self.options).await;
        match bound {
            Ok(listener) => {
                self.accept(net, id, address.clone(), listener);
                let door = self.open.last().expect("it was opened just now");
                tracing::info!("listens on {}", door.address);
            }
            Err(error) => tracing::error!("{error}"),
        }
    }

    fn accept(&mut self, net: &Arc<Net>, id: ListenerId, configured: Address, listener: Listener) {
        net.open_listener(id);
        let mut address = configured.clone();
        address.port = listener.address().port();
        self.open.push(Door {
            id,
            configured,
            address,
            accepting: listener.serve(Arc::clone(net)),
        });
    }
}

impl Door {
    /// It is there, and configured like this now.
    fn note(&mut self, configured: &Address) {
        if self.configured != *configured {
            let listener = &self.address;
            tracing::warn!("{listener} stays; {configured} takes its place at the next start");
            self.configured = configured.clone();
        }
    }
}

impl Drop for Door {
    /// Accepts no more connections; those that are open stay.
    fn drop(&mut self) {
        self.accepting.abort();
    }
}
