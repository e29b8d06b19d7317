//! `ottla serve`: from a command line to a broker that serves, and to its orderly end.
//!
//! 1. Arguments and `server.properties` become a configuration.
//! 2. Data directories are opened and locked, addresses bound.
//! 3. The node boots; when it serves, connections are accepted and one line says so.
//! 4. SIGTERM, SIGHUP or ctrl-C stops it in order; a second one ends it at once.
//!
//! What is wrong is said with what to do about it, and ends with exit status 1.

mod brain;
mod options;
mod setup;

use std::ffi::OsString;
use std::io::Write as _;
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use ottla_core::config::listeners::Listener as Address;
use ottla_core::config::{BrokerConfig, Settings};
use ottla_core::node::door::{Input, Outbox};
use ottla_core::node::{BootOptions, Node};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::driver::{Clock, Driver, Phase};
use crate::http::HttpListener;
use crate::metrics::{Metrics, MetricsOptions};
use crate::net::{Doors, Net, Wanted, follow_configuration};
use crate::{logging, memory};
use brain::NodeBrain;
use options::{Options, Parsed};
use setup::OpenDisk;

/// A stop in order may take this long; then the process ends as it is, and the next start recovers.
const STOP_MAX: Duration = Duration::from_secs(10);

/// Signals this close together are one: `timeout` and terminals send a program one of its own and
/// one as a member of its group.
const ONE_SIGNAL: Duration = Duration::from_millis(100);

/// Exit status after a second signal: that of a program ended by ctrl-C.
const EXIT_SECOND_SIGNAL: i32 = 130;

/// Why the broker does not serve: what happened, to what, and what to do.
type Refusal = String;

/// Runs the broker with the arguments after `serve`.
pub(crate) fn main(args: Vec<OsString>) -> ExitCode {
    let options = match options::parse(args.clone()) {
        Ok(Parsed::Options(options)) => options,
        Ok(Parsed::Text(text)) => {
            // Whoever closed the pipe has read enough.
            let _closed = std::io::stdout().write_all(text.as_bytes());
            return ExitCode::SUCCESS;
        }
        Err(wrong) => {
            eprintln!("{wrong}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = if options.is_daemon {
        go_to_background(&args)
    } else {
        logging::start(options.log_format, options.log_level);
        serve(&options)
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(refusal) => {
            eprintln!("ottla: {refusal}");
            ExitCode::FAILURE
        }
    }
}

/// Starts the same command again without `-daemon`, away from this terminal.
fn go_to_background(args: &[OsString]) -> Result<(), Refusal> {
    use std::os::unix::process::CommandExt;
    let fail = |error| format!("cannot go to the background: {error}; leave -daemon out");
    let program = std::env::current_exe().map_err(fail)?;
    let args = args
        .iter()
        .filter(|arg| *arg != "-daemon" && *arg != "--daemon");
    let child = Command::new(program)
        .arg("serve")
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(fail)?;
    eprintln!("ottla: serving as process {}", child.id());
    Ok(())
}

fn serve(options: &Options) -> Result<(), Refusal> {
    let started = Instant::now();
    memory::limit_heaps();
    let settings = setup::settings(options)?;
    let config = setup::config(&settings)?;
    for name in settings.unknown_names() {
        tracing::warn!(name, "configuration is not known and has no effect");
    }
    let disk = setup::open_disk(&config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("worker")
        .build()
        .map_err(|error| format!("cannot start threads: {error}; raise the limit of processes"))?;
    runtime.block_on(run(started, options, settings, config, disk))
}

async fn run(
    started: Instant,
    options: &Options,
    settings: Settings,
    config: BrokerConfig,
    (disk, door, directories): OpenDisk,
) -> Result<(), Refusal> {
    let mut signals = Signals::listen()?;
    let socket_options = setup::socket_options(&settings, &config);
    let bound = setup::bind(&config, socket_options).await?;
    let http = HttpListener::bind(&config.http).await?;
    let listeners = setup::reachable(&config, &bound);
    let log_dirs = config.log_dirs.join(", ");
    let configured = config.listeners.bound.clone();
    let policy = config.log_defaults.flush_policy;
    let limits = setup::net_limits(&settings, &config);
    let metrics_options = MetricsOptions::of(&config);
    let clock = Clock::new();
    let mut boot = Outbox::default();
    let boot_options = BootOptions {
        settings,
        config,
        listeners,
        directories,
        seed: setup::seed(&clock),
    };
    let node =
        Node::boot(clock.now(), boot_options, &mut boot).map_err(|error| error.to_string())?;
    let cluster_id = Arc::new(OnceLock::new());
    let brain = Box::new(NodeBrain::new(node, Arc::clone(&cluster_id)));
    let driver = Driver::start(clock, brain, boot, (disk, door), options.turning);
    tokio::spawn(Arc::clone(&driver).serve_deadlines());
    tokio::spawn(Arc::clone(&driver).serve_spaces());
    let metrics = Metrics::new(Arc::clone(&driver), started, metrics_options);
    let metrics = Arc::new(metrics);
    if let Some(http) = http {
        http.serve(Arc::clone(&metrics));
    }
    tokio::select! {
        phase = driver.until(|phase| *phase != Phase::Booting) => {
            if let Phase::Failed(reason) = phase {
                return Err(reason);
            }
        }
        () = signals.next() => return Ok(()),
    }
    let net = Net::start(Arc::clone(&driver), limits);
    metrics.watch(Arc::clone(&net));
    let (wanted, listeners) = driver.look(listeners_of).flatten().expect("it serves");
    let mut doors = Doors::new(socket_options);
    let bound = configured.into_iter().zip(bound).collect();
    doors.open(&net, bound, &wanted).await;
    let line = setup::start_line(&listeners, &log_dirs);
    let following = tokio::spawn(follow_configuration(net, doors));
    let cluster_id = cluster_id.get().map_or("", String::as_str);
    let policy = setup::policy_line(policy);
    let millis = started.elapsed().as_millis();
    tracing::info!("{line}; cluster {cluster_id}; flush policy {policy}; ready after {millis} ms");
    tokio::select! {
        () = signals.next() => {}
        lost = driver.until(|phase| *phase != Phase::Serving) => {
            let Phase::Failed(reason) = lost else {
                unreachable!("nobody asked it to stop");
            };
            return Err(reason);
        }
    }
    following.abort();
    stop(&driver, signals).await
}

/// The listeners that a node wants, and where they are reached.
fn listeners_of(node: &Node) -> Option<(Wanted, Vec<Address>)> {
    let broker = node.broker()?;
    let listeners = broker.identity.registered(&broker.config.listeners);
    Some((Wanted::of(node)?, listeners))
}

/// The signals that ask for an end.
struct Signals {
    hangup: Signal,
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> Result<Self, Refusal> {
        let listen =
            |kind| signal(kind).map_err(|error| format!("cannot listen for signals: {error}"));
        Ok(Self {
            hangup: listen(SignalKind::hangup())?,
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.hangup.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    /// The next signal that comes later than `earliest`.
    async fn next_after(&mut self, earliest: Instant) {
        loop {
            self.next().await;
            if Instant::now() > earliest {
                return;
            }
        }
    }
}

/// Stops in order, unless that takes too long or a second signal comes.
async fn stop(driver: &Arc<Driver>, mut signals: Signals) -> Result<(), Refusal> {
    let started = Instant::now();
    tracing::info!("stopping; a second signal ends at once");
    driver.submit(None, |inbox| inbox.inputs.push(Input::Shutdown));
    tokio::select! {
        _stopped = driver.until(|phase| *phase == Phase::Stopped) => {
            driver.close();
            if driver.disk().is_lost() {
                let lost = "the data directory of the metadata log is lost; the others are closed";
                return Err(lost.to_owned());
            }
            tracing::info!("stopped in order after {} ms", started.elapsed().as_millis());
            Ok(())
        }
        () = signals.next_after(started + ONE_SIGNAL) => {
            tracing::warn!("ended at once; the next start recovers");
            std::process::exit(EXIT_SECOND_SIGNAL);
        }
        () = tokio::time::sleep(STOP_MAX) => Err(format!(
            "the logs were not closed within {} s; the next start recovers",
            STOP_MAX.as_secs()
        )),
    }
}
