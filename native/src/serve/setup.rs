//! From a configuration to the parts of a broker: limits, directories, addresses.
//!
//! Nothing runs here; what cannot be had is refused with what to do about it.

use std::net::ToSocketAddrs as _;
use std::sync::Arc;

use ottla_core::config::listeners::{Listener as Address, SecurityProtocol};
use ottla_core::config::rules::broken_rules_with_values;
use ottla_core::config::topic::FlushPolicy;
use ottla_core::config::{BrokerConfig, ConfigError, Settings};
use ottla_core::ids::ListenerId;
use ottla_core::storage::DirectoryListing;

use super::Refusal;
use super::options::Options;
use crate::disk::{self, Disk, DiskDoor, DiskOptions, OperatingSystem, SystemCalls};
use crate::driver::Clock;
use crate::net::{Admission, Listener, NetLimits, SocketOptions};

/// Threads for slow disk work at the most. Reads of cold data and flushes wait on the device, not
/// on a processor, so there are more of them than processors.
const DISK_WORKERS_MAX: usize = 8;

/// Both sides of the disk, and what its directories hold.
pub(crate) type OpenDisk = (Disk, DiskDoor, Vec<DirectoryListing>);

fn joined(errors: &[impl ToString]) -> String {
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    errors.join("\n       ")
}

/// Reads the configuration file, if there is one, and the overrides.
pub(crate) fn settings(options: &Options) -> Result<Settings, Refusal> {
    let text = match &options.properties {
        Some(path) => std::fs::read_to_string(path).map_err(|error| {
            format!("cannot read the configuration {path}: {error}; name another file")
        })?,
        None => String::new(),
    };
    Settings::load(&text, &options.overrides).map_err(|errors| joined(&errors))
}

/// The node's own configuration.
pub(crate) fn config(settings: &Settings) -> Result<BrokerConfig, Refusal> {
    let mut config = BrokerConfig::of(settings).map_err(|errors| joined(&errors))?;
    let broken: Vec<ConfigError> = broken_rules_with_values(settings)
        .into_iter()
        .map(ConfigError)
        .collect();
    if !broken.is_empty() {
        return Err(joined(&broken));
    }
    let own = [&mut config.metadata_log_dir];
    for path in config.log_dirs.iter_mut().chain(own) {
        // Clients are told where the data is, and they run in other folders.
        let absolute = std::path::absolute(&*path).map_err(|error| format!("{path}: {error}"))?;
        *path = absolute.display().to_string();
    }
    Ok(config)
}

/// Opens and locks the data directories.
pub(crate) fn open_disk(config: &BrokerConfig) -> Result<OpenDisk, Refusal> {
    let options = DiskOptions {
        directories: config.log_dirs.iter().map(Into::into).collect(),
        // The other half is for connections.
        open_files_max: raise_open_files() / 2,
        workers_max: DISK_WORKERS_MAX,
    };
    let calls: Arc<dyn SystemCalls> = Arc::new(OperatingSystem);
    disk::open(&options, &calls).map_err(|error| error.to_string())
}

/// Version, addresses and directories, for the line that says that the broker serves.
pub(crate) fn start_line(listeners: &[Address], log_dirs: &str) -> String {
    let listeners: Vec<String> = listeners.iter().map(ToString::to_string).collect();
    format!(
        "ottla {} listens on {}; data in {log_dirs}",
        env!("CARGO_PKG_VERSION"),
        listeners.join(", "),
    )
}

/// Raises the number of files the process may hold open as far as it may; answers it.
fn raise_open_files() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    const LEAST: u64 = 256;
    let limit = getrlimit(Resource::Nofile);
    let wanted = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let reached = match setrlimit(Resource::Nofile, wanted) {
        Ok(()) => limit.maximum,
        Err(_refused) => limit.current,
    };
    usize::try_from(reached.unwrap_or(u64::MAX).max(LEAST)).unwrap_or(usize::MAX)
}

/// What the system is told of listening sockets.
pub(crate) fn socket_options(settings: &Settings, config: &BrokerConfig) -> SocketOptions {
    // Kafka's defaults are small and would end the system's own tuning: only what was asked for.
    let socket = &config.socket;
    let mut options = SocketOptions::default();
    if settings.is_set("socket.listen.backlog.size") {
        options.backlog = socket.listen_backlog;
    }
    if settings.is_set("socket.receive.buffer.bytes") {
        options.receive_buffer_bytes = socket.receive_buffer_bytes;
    }
    if settings.is_set("socket.send.buffer.bytes") {
        options.send_buffer_bytes = socket.send_buffer_bytes;
    }
    options
}

/// Binds every listener of the configuration.
pub(crate) async fn bind(
    config: &BrokerConfig,
    options: SocketOptions,
) -> Result<Vec<Listener>, Refusal> {
    let mut bound = Vec::new();
    for (id, address) in (0u8..).zip(&config.listeners.bound) {
        if address.protocol != SecurityProtocol::Plaintext {
            return Err(format!(
                "listener {address}: {} is not served yet; use PLAINTEXT",
                address.protocol.name()
            ));
        }
        let listener = Listener::bind(ListenerId(id), &address.host, address.port, options).await;
        bound.push(listener.map_err(|error| error.to_string())?);
    }
    Ok(bound)
}

/// Where clients of each listener reach this node: the advertised addresses, with the ports that
/// were chosen and the machine's name where a listener stands for all of its addresses.
pub(crate) fn reachable(config: &BrokerConfig, bound: &[Listener]) -> Vec<Address> {
    let listeners = &config.listeners;
    let pairs = listeners.bound.iter().zip(bound);
    let pairs = pairs.map(|(configured, bound)| {
        let advertised = listeners.advertised_by_name(&configured.name);
        let mut address = advertised.unwrap_or(configured).clone();
        if address.port == 0 {
            address.port = bound.address().port();
        }
        if address.host.is_empty() {
            address.host = machine_name();
        }
        address
    });
    pairs.collect()
}

/// The machine's own name if it can be looked up here, as clients will have to.
fn machine_name() -> String {
    let name = rustix::system::uname();
    let name = name.nodename().to_string_lossy().into_owned();
    if (name.as_str(), 0).to_socket_addrs().is_ok() {
        name
    } else {
        "localhost".to_owned()
    }
}

/// Limits as configured; finite where Kafka's defaults are not.
pub(crate) fn net_limits(settings: &Settings, config: &BrokerConfig) -> NetLimits {
    let socket = &config.socket;
    let mut limits = NetLimits {
        admission: Admission::of(settings, config),
        ..NetLimits::default()
    };
    if let Some(bytes) = socket.queued_max_request_bytes {
        limits.in_flight_bytes_max = bytes;
    }
    limits.idle_ms_max = socket.connections_max_idle.map_or(u64::MAX, |idle| {
        u64::try_from(idle.as_millis()).unwrap_or(u64::MAX)
    });
    limits.connection.frame_bytes_max = socket.request_max_bytes;
    limits
}

/// A policy, and what it means where that is less than a person may expect.
pub(crate) fn policy_line(policy: FlushPolicy) -> &'static str {
    match policy {
        FlushPolicy::Ack => "ack",
        FlushPolicy::Interval => {
            "interval (acknowledged writes of the last interval are lost in a power cut)"
        }
        FlushPolicy::Os => {
            "os (acknowledged writes the system has not flushed are lost in a power cut)"
        }
    }
}

/// Entropy for ids: never the same twice, not secret.
pub(crate) fn seed(clock: &Clock) -> u64 {
    use std::hash::{BuildHasher, RandomState};
    // The standard library's own entropy, which it takes from the system once for each process.
    RandomState::new().hash_one((std::process::id(), clock.now().wall.0))
}
