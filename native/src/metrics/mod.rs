//! Metrics: what is counted where, and the page that tells it to Prometheus.
//!
//! The brain counts in plain numbers (`ottla_core::counters`), the parts around it in atomic ones
//! (`figures.rs`); nobody pays more than an addition. A scrape takes a look at all of them
//! (`survey.rs`) and writes the page (`page.rs`) with the names of `catalogue.rs`.

mod catalogue;
mod encoder;
mod figures;
mod histogram;
mod labels;
mod page;
mod process;
mod survey;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use ottla_core::config::BrokerConfig;

pub(crate) use catalogue::markdown;
pub(crate) use figures::{DiskFigures, EventFigures, NetFigures};
pub(crate) use histogram::{nanoseconds, seconds};

use crate::driver::Driver;
use crate::net::Net;
use page::Page;

/// How the page is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Format {
    /// Prometheus's own text format, 0.0.4.
    Classic,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

/// Whoever can tell how the broker does.
pub(crate) struct Metrics {
    driver: Arc<Driver>,
    /// Connections; not before the node serves.
    net: OnceLock<Arc<Net>>,
    started: Instant,
    /// Seconds since 1970.
    start_time: f64,
    directories: Vec<PathBuf>,
    tells_partitions: bool,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// The parts of a configuration that metrics are about.
#[derive(Debug)]
pub(crate) struct MetricsOptions {
    directories: Vec<PathBuf>,
    tells_partitions: bool,
}

impl MetricsOptions {
    /// Those of a broker.
    pub(crate) fn of(config: &BrokerConfig) -> Self {
        Self {
            directories: config.log_dirs.iter().map(PathBuf::from).collect(),
            tells_partitions: config.http.tells_partitions,
        }
    }
}

impl Metrics {
    /// Metrics of a process that began at `started`.
    pub(crate) fn new(driver: Arc<Driver>, started: Instant, options: MetricsOptions) -> Self {
        Self {
            driver,
            net: OnceLock::new(),
            start_time: process::unix_seconds() - started.elapsed().as_secs_f64(),
            started,
            directories: options.directories,
            tells_partitions: options.tells_partitions,
        }
    }

    /// Connections are accepted from now on. Once.
    pub(crate) fn watch(&self, net: Arc<Net>) {
        let is_first = self.net.set(net).is_ok();
        assert!(is_first, "connections are accepted by one");
    }

    /// Whether requests are answered. May wait for a turn to end: not for a runtime thread.
    ///
    /// # Errors
    /// Why they are not.
    pub(crate) fn readiness(&self) -> Result<(), &'static str> {
        self.driver
            .look(|node| node.readiness())
            .unwrap_or(Err("not there"))?;
        self.net
            .get()
            .map(drop)
            .ok_or("about to accept connections")
    }

    /// Whether the process can do its work, now or once it has booted.
    ///
    /// # Errors
    /// Why it cannot.
    pub(crate) fn health(&self) -> Result<(), &'static str> {
        if self.driver.disk().is_lost() {
            return Err("the data directory of the metadata log is lost");
        }
        Ok(())
    }

    /// Writes the page. Reads files and takes some milliseconds where there are thousands of
    /// partitions: not for a runtime thread.
    pub(crate) fn page(self: &Arc<Self>, format: Format) -> String {
        Page::new(Arc::clone(self)).write(format)
    }
}
