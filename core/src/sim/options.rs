//! What one seed decides about a world: sizes, rates and which faults there are.
//!
//! Every option is a whole number, has a name, and can be set by it, so that a run can be printed
//! before it begins and repeated with one thing changed. One in ten worlds is calm and one in five
//! has a single kind of fault; in the others every fault is there or not by the toss of a coin
//! (swarm testing), because many faults at once hide each other.

use std::fmt;

use super::disk::DiskOptions;
use super::network::{Chunking, NetworkOptions};
use crate::rng::Rng;

macro_rules! options {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// The options of a world; see the module. Times are of the world.
        #[derive(Clone, Debug, Default, Eq, PartialEq)]
        pub struct Options {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Options {
            /// Sets an option by name; `false` where there is none of that name.
            pub fn set(&mut self, name: &str, value: u64) -> bool {
                match name {
                    $(stringify!($name) => self.$name = value,)*
                    _unknown => return false,
                }
                true
            }
        }

        impl fmt::Display for Options {
            /// One `name = value` a line, as TOML.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                $(writeln!(f, "{} = {}", stringify!($name), self.$name)?;)*
                Ok(())
            }
        }
    };
}

options! {
    /// How long faults last, in milliseconds.
    safety_ms,
    /// Clients that produce.
    producers,
    /// Clients that consume.
    consumers,
    /// Topics that stay.
    topics,
    /// Topics that stay and are compacted.
    compacted_topics,
    /// Keys of their records.
    compacted_keys,
    /// Partitions of each.
    partitions,
    /// Most records of a batch.
    batch_records_max,
    /// Most bytes of a record's value.
    value_bytes_max,
    /// Longest pause between two batches of a producer, in milliseconds.
    pause_ms_max,
    /// 0 `ack`, 1 `interval`, 2 `os`.
    flush_policy,
    /// `segment.bytes`.
    segment_bytes,
    /// `index.interval.bytes`.
    index_interval_bytes,
    /// `retention.bytes` of the topics; 0 for no limit.
    retention_bytes,
    /// `log.cleaner.dedupe.buffer.size`.
    key_map_bytes,
    /// `log.cleaner.delete.retention.ms`.
    delete_retention_ms,
    /// `log.cleaner.io.max.bytes.per.second`; 0 for no limit.
    cleaner_bytes_per_second,
    /// Budget of the memory tail, in bytes.
    tail_bytes,
    /// Longest wait before inputs get their turn, in nanoseconds; decides how many share one.
    turn_delay_ns_max,
    /// Whether an administrator changes things under way.
    admin,
    /// Mean time between admin operations, in milliseconds.
    admin_every_ms,
    /// Mean time between deaths of a process, in milliseconds; 0 for never (P1).
    crash_every_ms,
    /// Mean time between power cuts, in milliseconds; 0 for never (P2).
    power_cut_every_ms,
    /// Mean time between orderly restarts, in milliseconds; 0 for never (P7).
    restart_every_ms,
    /// In a hundred crashes, how many are followed by one during recovery (P4).
    crash_again_percent,
    /// Whether a power cut may tear pages (D2).
    torn_pages,
    /// Whether a power cut may lose names (D4).
    lost_names,
    /// Whether a power cut may lose anything at all that was not synced, or keeps all (D1, D3).
    lost_bytes,
    /// Whether a sync of a log takes its indexes along.
    sync_takes_indexes,
    /// Mean time between a disk getting full, in milliseconds; 0 for never (D9).
    disk_full_every_ms,
    /// Mean time between syncs that fail, in milliseconds; 0 for never (D8).
    sync_error_every_ms,
    /// In a hundred orderly stops, how many are interrupted by a death (P7).
    stop_interrupt_percent,
    /// Whether idempotent producers get an id; else they ask for one that no producer may have, and
    /// write nothing.
    idempotence,
    /// What befalls one batch at rest in the end: 0 nothing, 1 a bit flips (D6), 2 another batch is
    /// written over it (D7), 3 it cannot be read (D5).
    damage_at_rest,
    /// One disk call in this many is a hundred times as slow; 0 for none (D10).
    disk_slow_one_in,
    /// How much longer a read that is not for a client may take, in milliseconds (D10).
    disk_read_ms_max,
    /// Shortest latency of a connection, in microseconds (N1).
    latency_us_min,
    /// Longest latency of a connection, in microseconds (N1).
    latency_us_max,
    /// Whether bytes arrive in pieces cut anywhere.
    chunking,
    /// Mean time between resets of a connection, in milliseconds; 0 for never (N2).
    reset_every_ms,
    /// In a hundred resets, how many let the old bytes arrive much later (N3).
    zombie_percent,
    /// Mean time between stalls of a connection, in milliseconds; 0 for never (N5).
    clog_every_ms,
    /// Groups of consumers; a third of the seeds draws some.
    groups,
    /// Members of each.
    group_members,
    /// `session.timeout.ms` of them.
    session_timeout_ms,
    /// `max.poll.interval.ms` of them.
    max_poll_ms,
    /// Longest time to process what a poll brought, in milliseconds.
    process_ms_max,
    /// `group.initial.rebalance.delay.ms`.
    rebalance_delay_ms,
    /// `offsets.topic.num.partitions`.
    offsets_partitions,
    /// Whether offsets expire as soon as they may.
    offsets_expire,
    /// `offsets.topic.segment.bytes`; 0 for the least that Kafka allows, which no world fills.
    offsets_segment_bytes,
    /// How many of the topics, of either kind, are stamped with the time of the append.
    stamped_topics,
    /// How many of the topics, of either kind, store a codec of their own.
    recoded_topics,
    /// How far the times of records may be off the broker's clock in the topics that are not,
    /// beside what that is off itself, in milliseconds; 0 where it does not matter.
    timestamp_bound_ms,
    /// Mean time between deaths of a member, in milliseconds; 0 for never.
    member_crash_every_ms,
    /// Mean time between departures of a member, in milliseconds; 0 for never.
    member_leave_every_ms,
    /// Mean time between requests of an administrator of groups, in milliseconds; 0 for none.
    group_admin_every_ms,
    /// Mean time between polls of a member that come too late, in milliseconds; 0 for never.
    member_stall_every_ms,
    /// Whether an administrator limits clients.
    quotas,
    /// Mean time between two of its changes, in milliseconds.
    quota_every_ms,
    /// `quota.window.num`; each lasts a second.
    quota_windows,
    /// What clients may read and write, about, in bytes a second.
    quota_bytes,
    /// How much of a second their requests may take, about, in millionths of a percent.
    quota_percent_millionths,
    /// How far a node's wall clock is off, in milliseconds (C1).
    wall_skew_ms,
    /// How fast a node's monotonic clock runs, in parts per million above half of the truth; 0 for
    /// exactly (C3).
    drift_ppm,
}

/// Classes of faults, for worlds with one.
const FAULTS: [&str; 6] = ["process", "power", "restart", "reset", "clog", "clock"];

impl Options {
    /// Draws the options of a world.
    #[must_use]
    pub fn draw(rng: &Rng) -> Self {
        let mut members = rng.child("options of groups", 0);
        let mut damage = rng.child("options of damage", 0);
        let mut whether = rng.child("whether there are groups", 0);
        let mut times = rng.child("options of times", 0);
        let mut quotas = rng.child("options of quotas", 0);
        let mut codecs = rng.child("options of codecs", 0);
        let mut rng = rng.child("options", 0);
        let mut options = Self::sizes(&mut rng);
        options.rates(&mut rng);
        options.groups(&mut members);
        options.groups = u64::from(whether.chance(1, 3)) * whether.between(1, 3);
        options.group_admin_every_ms = whether.below(2) * log_uniform(&mut whether, 5, 500);
        options.idempotence = members.below(2);
        options.damage_at_rest = damage.below(6).saturating_sub(2);
        options.disk_read_ms_max =
            u64::from(damage.chance(1, 6)) * log_uniform(&mut damage, 1, 200);
        options.offsets_segment_bytes = log_uniform(&mut times, 4 * 1024, 64 * 1024);
        options.stamped_topics = u64::from(times.chance(1, 3)) * times.between(1, 3);
        options.timestamp_bound_ms =
            u64::from(times.chance(1, 4)) * log_uniform(&mut times, 1_000, 600_000);
        options.quotas(&mut quotas);
        options.recoded_topics = u64::from(codecs.chance(1, 4)) * codecs.between(1, 3);
        match rng.below(10) {
            0 => options.keep_only(None),
            1 | 2 => {
                let fault = rng.below(FAULTS.len() as u64) as usize;
                options.keep_only(Some(FAULTS[fault]));
            }
            _most => {
                for fault in FAULTS {
                    if rng.chance(1, 2) {
                        options.drop_fault(fault);
                    }
                }
                options.trouble_of_disks(&mut members);
            }
        }
        options
    }

    fn sizes(rng: &mut Rng) -> Self {
        Self {
            safety_ms: log_uniform(rng, 500, 8_000),
            producers: rng.between(1, 4),
            consumers: rng.between(1, 3),
            topics: rng.between(1, 3),
            compacted_topics: rng.below(3),
            compacted_keys: log_uniform(rng, 1, 300),
            partitions: rng.between(1, 4),
            batch_records_max: log_uniform(rng, 1, 100),
            value_bytes_max: log_uniform(rng, 1, 2_000),
            pause_ms_max: log_uniform(rng, 1, 100),
            flush_policy: if rng.chance(2, 3) {
                0
            } else {
                rng.between(1, 3)
            },
            segment_bytes: log_uniform(rng, 4 * 1024, 256 * 1024),
            index_interval_bytes: log_uniform(rng, 1, 8 * 1024),
            retention_bytes: if rng.chance(1, 4) {
                log_uniform(rng, 16 * 1024, 256 * 1024)
            } else {
                0
            },
            key_map_bytes: log_uniform(rng, 4_000, 100_000),
            delete_retention_ms: log_uniform(rng, 1, 2_000),
            cleaner_bytes_per_second: if rng.chance(1, 4) {
                log_uniform(rng, 100_000, 10_000_000)
            } else {
                0
            },
            tail_bytes: log_uniform(rng, 1, 1024 * 1024),
            turn_delay_ns_max: log_uniform(rng, 1, 5_000_000),
            ..Self::default()
        }
    }

    fn rates(&mut self, rng: &mut Rng) {
        self.admin = rng.below(2);
        self.admin_every_ms = log_uniform(rng, 50, 2_000);
        self.crash_every_ms = log_uniform(rng, 200, 8_000);
        self.power_cut_every_ms = log_uniform(rng, 200, 8_000);
        self.restart_every_ms = log_uniform(rng, 500, 8_000);
        self.crash_again_percent = rng.below(60);
        self.torn_pages = rng.below(2);
        self.lost_names = rng.below(2);
        self.lost_bytes = u64::from(rng.chance(9, 10));
        self.sync_takes_indexes = rng.below(2);
        self.disk_slow_one_in = if rng.chance(1, 3) {
            log_uniform(rng, 20, 2_000)
        } else {
            0
        };
        self.latency_us_min = log_uniform(rng, 5, 1_000);
        self.latency_us_max = self.latency_us_min + log_uniform(rng, 5, 20_000);
        self.chunking = rng.below(2);
        self.reset_every_ms = log_uniform(rng, 50, 5_000);
        self.zombie_percent = rng.below(50);
        self.clog_every_ms = log_uniform(rng, 50, 5_000);
        self.wall_skew_ms = log_uniform(rng, 1, 600_000);
        self.drift_ppm = 500_000 + rng.below(100_000) - 50_000;
    }

    /// Disks that fill or fail, and stops that are interrupted: less often than other faults, which
    /// they hide.
    fn trouble_of_disks(&mut self, rng: &mut Rng) {
        let (full_ms, error_ms) = (log_uniform(rng, 200, 8_000), log_uniform(rng, 500, 8_000));
        self.disk_full_every_ms = u64::from(rng.chance(1, 4)) * full_ms;
        self.sync_error_every_ms = u64::from(rng.chance(1, 4)) * error_ms;
        self.stop_interrupt_percent = rng.below(2) * rng.below(60);
    }

    /// What clients may do, where they are limited.
    fn quotas(&mut self, rng: &mut Rng) {
        self.quotas = u64::from(rng.chance(1, 5));
        self.quota_every_ms = log_uniform(rng, 20, 1_000);
        self.quota_windows = rng.between(2, 5);
        self.quota_bytes = log_uniform(rng, 4_000, 1_000_000);
        self.quota_percent_millionths = log_uniform(rng, 10_000, 1_000_000);
    }

    /// What groups are like, where there are any. What befalls members is there or not, each by
    /// itself.
    fn groups(&mut self, rng: &mut Rng) {
        self.group_members = rng.between(1, 5);
        // A slow connection takes ten times as long, and twice that there and back: who cannot
        // answer within a session is no member, however often it asks.
        let slow_ms = self.latency_us_max * 60 / 1_000;
        self.session_timeout_ms = log_uniform(rng, 100, 2_000) + slow_ms;
        // A rebalance waits this long for members, who hear of it by a heartbeat.
        self.max_poll_ms = self.session_timeout_ms + log_uniform(rng, 150, 2_000);
        self.process_ms_max = log_uniform(rng, 5, 100);
        self.rebalance_delay_ms = rng.below(2) * log_uniform(rng, 1, 300);
        self.offsets_partitions = rng.between(1, 4);
        self.offsets_expire = u64::from(rng.chance(1, 4));
        self.member_crash_every_ms = rng.below(2) * log_uniform(rng, 200, 4_000);
        self.member_leave_every_ms = rng.below(2) * log_uniform(rng, 200, 4_000);
        self.member_stall_every_ms = rng.below(2) * log_uniform(rng, 200, 4_000);
    }

    /// Drops every fault, or every one but one.
    fn keep_only(&mut self, kept: Option<&str>) {
        for fault in FAULTS {
            if kept != Some(fault) {
                self.drop_fault(fault);
            }
        }
        if kept.is_none() {
            self.disk_slow_one_in = 0;
            (self.member_crash_every_ms, self.member_stall_every_ms) = (0, 0);
        }
    }

    fn drop_fault(&mut self, fault: &str) {
        match fault {
            "process" => self.crash_every_ms = 0,
            "power" => self.power_cut_every_ms = 0,
            "restart" => self.restart_every_ms = 0,
            "reset" => self.reset_every_ms = 0,
            "clog" => self.clog_every_ms = 0,
            "clock" => (self.wall_skew_ms, self.drift_ppm) = (0, 0),
            _other => unreachable!("no fault is called {fault}"),
        }
    }

    /// Drops every fault: for the part of a run that must succeed.
    pub fn calm(&mut self) {
        (self.disk_full_every_ms, self.sync_error_every_ms) = (0, 0);
        self.stop_interrupt_percent = 0;
        self.keep_only(None);
    }

    /// How the disks behave.
    #[must_use]
    pub fn disk(&self) -> DiskOptions {
        DiskOptions {
            slow_one_in: self.disk_slow_one_in,
            read_ns_max: self.disk_read_ms_max * 1_000_000,
            sync_takes_indexes: self.sync_takes_indexes == 1,
            may_fill: self.disk_full_every_ms > 0,
            ..DiskOptions::default()
        }
    }

    /// How the network behaves.
    #[must_use]
    pub fn network(&self) -> NetworkOptions {
        NetworkOptions {
            latency_ns: (self.latency_us_min * 1_000, self.latency_us_max * 1_000),
            jitter_ns: self.latency_us_min * 1_000,
            slow_one_in: 10,
            chunking: if self.chunking == 1 {
                Chunking::Anywhere
            } else {
                Chunking::Whole
            },
        }
    }

    /// Drift of the nodes' monotonic clocks, in parts per million.
    #[must_use]
    pub fn clock_drift_ppm(&self) -> i32 {
        match self.drift_ppm {
            0 => 0,
            shifted => i32::try_from(shifted).unwrap_or(500_000) - 500_000,
        }
    }
}

/// A number in `least..=most`, each power of two as likely as the next.
fn log_uniform(rng: &mut Rng, least: u64, most: u64) -> u64 {
    assert!(0 < least && least <= most, "a range of positive numbers");
    let bits = u64::from(rng_bits(rng, least.ilog2(), most.ilog2()));
    let start = (1 << bits).max(least);
    let end = (1u64 << (bits + 1)).min(most + 1);
    rng.between(start, end.max(start + 1))
}

fn rng_bits(rng: &mut Rng, least: u32, most: u32) -> u32 {
    u32::try_from(rng.between(u64::from(least), u64::from(most) + 1)).expect("below 64")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_print_and_read_back() {
        for seed in 0..200 {
            let options = Options::draw(&Rng::new(seed));
            let mut read = Options::default();
            for line in options.to_string().lines() {
                let (name, value) = line.split_once(" = ").expect("name = value");
                assert!(read.set(name, value.parse().expect("a number")));
            }
            assert_eq!(read, options);
            assert!(options.latency_us_min < options.latency_us_max);
        }
        assert!(!Options::default().set("no_such_option", 1));
    }

    #[test]
    fn some_worlds_are_calm_and_some_have_one_fault() {
        let mut by_count = [0; 7];
        for seed in 0..1000 {
            let o = Options::draw(&Rng::new(seed));
            let faults = [
                o.crash_every_ms,
                o.power_cut_every_ms,
                o.restart_every_ms,
                o.reset_every_ms,
                o.clog_every_ms,
                o.wall_skew_ms,
            ];
            by_count[faults.iter().filter(|&&rate| rate > 0).count()] += 1;
        }
        assert!(by_count[0] > 80, "{by_count:?}");
        assert!(by_count[1] > 180, "{by_count:?}");
        assert!(by_count[3] > 150, "{by_count:?}");
    }

    #[test]
    fn log_uniform_stays_in_its_range() {
        let mut rng = Rng::new(5);
        for _ in 0..1000 {
            assert!((5..=9).contains(&log_uniform(&mut rng, 5, 9)));
            assert_eq!(log_uniform(&mut rng, 1, 1), 1);
        }
    }
}
