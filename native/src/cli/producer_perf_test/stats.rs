//! Latencies and rates, counted and written as Kafka's performance tests write them.

use std::time::Duration;

use ottla_core::time::Instant;
use serde_json::{Value, json};

/// How often the state is told when nothing else is said, in milliseconds.
pub(super) const WINDOW_MS: i64 = 5_000;

/// Latencies kept at most: of more records, each so many-th is kept.
const LATENCIES_MAX: u64 = 500_000;

const MEGABYTE: f64 = 1024.0 * 1024.0;

/// Counts of a stretch of time.
#[derive(Clone, Copy, Debug)]
struct Counts {
    started: Instant,
    records: u64,
    bytes: u64,
    latency_ms: u64,
    latency_max_ms: u64,
}

impl Counts {
    fn new(started: Instant) -> Self {
        Self {
            started,
            records: 0,
            bytes: 0,
            latency_ms: 0,
            latency_max_ms: 0,
        }
    }

    fn record(&mut self, latency_ms: u64, bytes: u64) {
        self.records += 1;
        self.bytes += bytes;
        self.latency_ms += latency_ms;
        self.latency_max_ms = self.latency_max_ms.max(latency_ms);
    }

    /// Records a second, megabytes a second, mean latency in milliseconds.
    fn rates(&self, now: Instant) -> (f64, f64, f64) {
        let seconds = now.since(self.started).as_secs_f64();
        let a_second = |count: u64| match seconds > 0.0 {
            true => real(count) / seconds,
            false => 0.0,
        };
        let mean = match self.records {
            0 => 0.0,
            records => real(self.latency_ms) / real(records),
        };
        (
            a_second(self.records),
            a_second(self.bytes) / MEGABYTE,
            mean,
        )
    }
}

/// A count as a figure for people: 53 bits are plenty.
fn real(count: u64) -> f64 {
    count as f64
}

/// What one run has measured.
#[derive(Debug)]
pub(super) struct Stats {
    all: Counts,
    current: Counts,
    interval: Duration,
    /// One latency of so many records is kept.
    sampling: u64,
    latencies_ms: Vec<u64>,
}

impl Stats {
    /// Nothing yet, of `records` to come.
    pub(super) fn new(records: u64, interval: Duration, now: Instant) -> Self {
        Self {
            all: Counts::new(now),
            current: Counts::new(now),
            interval,
            sampling: (records / records.clamp(1, LATENCIES_MAX)).max(1),
            latencies_ms: Vec::new(),
        }
    }

    /// Counts one acknowledged record.
    pub(super) fn record(&mut self, latency: Duration, size_bytes: usize) {
        let latency_ms = u64::try_from(latency.as_millis()).unwrap_or(u64::MAX);
        let bytes = u64::try_from(size_bytes).unwrap_or(u64::MAX);
        if self.all.records.is_multiple_of(self.sampling) {
            self.latencies_ms.push(latency_ms);
        }
        self.all.record(latency_ms, bytes);
        self.current.record(latency_ms, bytes);
    }

    /// Records counted.
    pub(super) fn records(&self) -> u64 {
        self.all.records
    }

    /// The line about the time since the last one, where it is due.
    pub(super) fn window(&mut self, now: Instant) -> Option<String> {
        if now.since(self.current.started) < self.interval || self.current.records == 0 {
            return None;
        }
        let window = std::mem::replace(&mut self.current, Counts::new(now));
        let (records, megabytes, mean) = window.rates(now);
        Some(format!(
            "{} records sent, {records:.1} records/sec ({megabytes:.2} MB/sec), {mean:.1} ms avg \
             latency, {:.1} ms max latency.",
            window.records,
            real(window.latency_max_ms)
        ))
    }

    /// The summary; `words` say what was counted.
    pub(super) fn total(&mut self, now: Instant, words: &str) -> String {
        let (records, megabytes, mean) = self.all.rates(now);
        let [half, p95, p99, p999] = self.percentiles();
        format!(
            "{} {words}, {records:.6} records/sec ({megabytes:.2} MB/sec), {mean:.2} ms avg \
             latency, {:.2} ms max latency, {half} ms 50th, {p95} ms 95th, {p99} ms 99th, {p999} \
             ms 99.9th.",
            self.all.records,
            real(self.all.latency_max_ms)
        )
    }

    /// The summary as data.
    pub(super) fn json(&mut self, now: Instant) -> Value {
        let (records, megabytes, mean) = self.all.rates(now);
        let [half, p95, p99, p999] = self.percentiles();
        json!({
            "records": self.all.records,
            "bytes": self.all.bytes,
            "recordsPerSecond": records,
            "megabytesPerSecond": megabytes,
            "latencyMs": {
                "mean": mean, "max": self.all.latency_max_ms,
                "p50": half, "p95": p95, "p99": p99, "p99.9": p999,
            },
        })
    }

    /// Figures under the names of Kafka's producer metrics.
    pub(super) fn metrics(&self, now: Instant, failed: u64) -> Vec<(&'static str, f64)> {
        let (records, _megabytes, mean) = self.all.rates(now);
        let size = match self.all.records {
            0 => 0.0,
            count => real(self.all.bytes) / real(count),
        };
        vec![
            ("record-error-total", real(failed)),
            ("record-latency-avg", mean),
            ("record-latency-max", real(self.all.latency_max_ms)),
            ("record-send-rate", records),
            ("record-send-total", real(self.all.records)),
            ("record-size-avg", size),
        ]
    }

    /// Latencies that half, 95, 99 and 99.9 per cent of the records did not pass.
    fn percentiles(&mut self) -> [u64; 4] {
        self.latencies_ms.sort_unstable();
        let count = self.latencies_ms.len();
        [500, 950, 990, 999].map(|per_mille| {
            let index = count * per_mille / 1_000;
            self.latencies_ms.get(index).copied().unwrap_or(0)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_kafkas() {
        let start = Instant(0);
        let mut stats = Stats::new(100, Duration::from_secs(5), start);
        for latency in 1..=100 {
            stats.record(Duration::from_millis(latency), 1024 * 1024);
        }
        let now = start.after(Duration::from_secs(10));
        assert_eq!(
            stats.window(now).as_deref(),
            Some(
                "100 records sent, 10.0 records/sec (10.00 MB/sec), 50.5 ms avg latency, 100.0 ms \
                 max latency."
            )
        );
        assert_eq!(stats.window(now), None);
        assert_eq!(
            stats.total(now, "records sent"),
            "100 records sent, 10.000000 records/sec (10.00 MB/sec), 50.50 ms avg latency, 100.00 \
             ms max latency, 51 ms 50th, 96 ms 95th, 100 ms 99th, 100 ms 99.9th."
        );
    }

    #[test]
    fn nothing_measured_is_no_division_by_zero() {
        let mut stats = Stats::new(1, Duration::from_secs(5), Instant(0));
        assert!(
            stats
                .total(Instant(0), "records sent")
                .contains(" 0 ms 50th")
        );
    }
}
