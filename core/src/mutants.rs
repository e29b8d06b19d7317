//! Seeded bugs, each a line somewhere in the core, to see whether the simulator finds them.
//!
//! With the feature `mutants` one of them may be chosen for a thread; without it `mutant!` is
//! `false` and nothing of this is compiled into the broker. A mutant is killed where a world that
//! holds without it breaks one of the named invariants with it. Numbers are those of the project's
//! list of mutants; which ones exist, and what kills them, is in `tests/MUTANTS.md`.

/// Whether this bug is there: `if mutant!(M21) { ... }`.
#[cfg(feature = "mutants")]
macro_rules! mutant {
    ($name:ident) => {
        crate::mutants::is_chosen(crate::mutants::Name::$name)
    };
}

/// Whether this bug is there: never, without the feature `mutants`.
#[cfg(not(feature = "mutants"))]
macro_rules! mutant {
    ($name:ident) => {
        false
    };
}

pub(crate) use mutant;

/// Whether this build can be made wrong. No broker that is released can: it would not compile.
pub const ARE_COMPILED_IN: bool = cfg!(feature = "mutants");

#[cfg(feature = "mutants")]
pub use chosen::{ALL, Mutant, Name, choose, is_chosen};

#[cfg(feature = "mutants")]
mod chosen {
    use std::cell::Cell;

    /// One bug.
    #[derive(Clone, Copy, Debug)]
    pub struct Mutant {
        /// What the code calls it.
        pub name: Name,
        /// What it does.
        pub what: &'static str,
        /// The checks that ought to find it; one of them must.
        pub killers: &'static [&'static str],
        /// The faults without which it does no harm.
        pub needs: &'static str,
        /// Options of a world that seeds do not draw, and that bring it to light.
        pub settings: &'static [(&'static str, u64)],
    }

    macro_rules! mutants {
        ($($name:ident $what:literal [$($killer:literal),*] $needs:literal
            $(($($option:literal = $value:literal),*))?;)*) => {
            /// The names of the bugs.
            #[derive(Clone, Copy, Debug, Eq, PartialEq)]
            pub enum Name {
                $(#[doc = $what] $name,)*
            }

            /// Every bug there is.
            pub const ALL: &[Mutant] = &[$(Mutant {
                name: Name::$name,
                what: $what,
                killers: &[$($killer),*],
                needs: $needs,
                settings: &[$($(($option, $value),)*)?],
            },)*];
        };
    }

    mutants! {
        M2 "the leader counts its own tail before it is synced" ["R50", "R41"] "power";
        M19 "fetches are answered up to the log's end, not the high watermark"
            ["R41", "R42", "R50"] "power";
        M21 "producers are not restored when a log is opened"
            ["R65", "R66"] "restart, reset" ("idempotence" = 1);
        M22 "four batches of a producer are remembered, not five"
            ["client", "R65", "R66"] "reset"
            ("idempotence" = 1, "producers" = 4, "topics" = 1, "compacted_topics" = 0,
            "partitions" = 1, "pause_ms_max" = 1, "batch_records_max" = 3,
            "value_bytes_max" = 50, "flush_policy" = 0, "admin" = 0, "disk_full_every_ms" = 0,
            "latency_us_min" = 2000, "latency_us_max" = 6000, "reset_every_ms" = 60);
        M23 "the sequence after 2147483647 is taken for a gap"
            ["client", "R66", "L3"] "none" ("idempotence" = 1);
        M29 "the marker of a clean stop outlives the next start" ["R58", "R50"] "crash";
        M30 "recovery cuts at the first damage, even where all was durable"
            ["R50", "R53"] "bit rot" ("damage_at_rest" = 1);
        M31 "the recovery point is what is written, not what is synced" ["R57"] "power";
        M32 "a file is replaced without a sync of its directory"
            ["R28", "R50", "R51", "R56", "R57", "L2"] "power";
        M33 "a failed sync is trusted"
            ["R50", "R41", "R64"] "disk error" ("sync_error_every_ms" = 700);
        M34 "an append that did not fit is taken for written"
            ["R50", "R61", "R54", "L3"] "disk full" ("disk_full_every_ms" = 700);
        M35 "indexes keep what was cut off the log" ["R55"] "power";
        M39 "compaction looks at what is not committed" ["R60", "R50"] "slow disk"
            ("topics" = 1, "compacted_topics" = 2, "partitions" = 1, "segment_bytes" = 4096,
            "disk_slow_one_in" = 3, "pause_ms_max" = 2, "producers" = 4,
            "compacted_keys" = 300, "value_bytes_max" = 100, "batch_records_max" = 20);
        M41 "a topic made again takes over the log of the former one"
            ["R41", "R47", "R50", "R87"] "crash, slow disk"
            ("admin" = 1, "admin_every_ms" = 3, "disk_slow_one_in" = 3, "safety_ms" = 8000,
            "crash_every_ms" = 400, "power_cut_every_ms" = 0, "restart_every_ms" = 0,
            "groups" = 0);
        M42 "a coordinator serves groups before their log is read"
            ["R80", "R82", "R84"] "crash, slow disk" ("groups" = 2, "disk_read_ms_max" = 300);
        M43 "a commit of a former generation is taken" ["R81"] "none"
            ("groups" = 2, "offsets_expire" = 0, "group_admin_every_ms" = 0);
        M45 "offsets expire while their group rebalances"
            ["R83", "R82"] "none" ("groups" = 2, "offsets_expire" = 1);
        M51 "compaction takes the offsets of one topic in a group for one key" ["R60", "R82"]
            "none" ("groups" = 2, "offsets_segment_bytes" = 4096, "offsets_expire" = 0);
        M52 "batches are stamped with the time of their producer" ["R62"] "none"
            ("stamped_topics" = 3);
        M53 "of the times of records, the first and the last alone are looked at" ["R62"] "none"
            ("timestamp_bound_ms" = 1000, "stamped_topics" = 0);
        M54 "what a client asked is remembered when it is gone" ["R92"] "reset" ("quotas" = 1);
        M55 "the tail is let go of at twice its budget" ["R92"] "none";
        M56 "who is told to wait is read on" ["R94"] "none" ("quotas" = 1);
        M57 "who is told to wait is read again after half the time" ["R94"] "none" ("quotas" = 1);
        M58 "of what a client did the last sample alone counts" ["R94"] "none" ("quotas" = 1);
        M59 "a reader gets what is too much for it" ["R94"] "none" ("quotas" = 1);
    }

    impl Mutant {
        /// The bug of this name, as `M21`.
        #[must_use]
        pub fn find(name: &str) -> Option<&'static Self> {
            ALL.iter().find(|mutant| mutant.name.to_string() == name)
        }
    }

    impl std::fmt::Display for Name {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "{self:?}")
        }
    }

    thread_local! {
        static CHOSEN: Cell<Option<Name>> = const { Cell::new(None) };
    }

    /// From now on this thread has this bug, or none.
    pub fn choose(mutant: Option<Name>) {
        CHOSEN.set(mutant);
    }

    /// Whether this thread has the bug.
    #[must_use]
    pub fn is_chosen(name: Name) -> bool {
        CHOSEN.get() == Some(name)
    }
}
