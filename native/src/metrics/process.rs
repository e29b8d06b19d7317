//! What the system knows of this process, read from `/proc` when somebody looks.
//!
//! Where there is no `/proc` nothing is told. Names and meanings are those of every Prometheus
//! client library (`process_*`).

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

/// What is known of a process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ProcessFigures {
    /// Time of all its threads on a processor, in seconds.
    pub(super) cpu_seconds: f64,
    /// Bytes of memory that are backed by real memory.
    pub(super) resident_bytes: u64,
    /// Bytes of address space.
    pub(super) virtual_bytes: u64,
    /// Threads.
    pub(super) threads: u64,
    /// Open files, sockets among them.
    pub(super) open_files: u64,
    /// How many it may open.
    pub(super) open_files_max: u64,
}

/// Looks at this process.
pub(super) fn look() -> Option<ProcessFigures> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let mut figures = parse_stat(
        &stat,
        rustix::param::clock_ticks_per_second(),
        rustix::param::page_size() as u64,
    )?;
    // The listing holds one file open itself.
    figures.open_files = (fs::read_dir("/proc/self/fd").ok()?.count() as u64).saturating_sub(1);
    figures.open_files_max = limit.current.unwrap_or(u64::MAX);
    Some(figures)
}

/// Reads `/proc/self/stat` (proc(5)): fields are counted from after the name, which may hold
/// blanks and brackets.
fn parse_stat(stat: &str, ticks_per_second: u64, page_bytes: u64) -> Option<ProcessFigures> {
    let (_name, fields) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    // Field 3, the state, is the first here.
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    Some(ProcessFigures {
        cpu_seconds: (field(14)? + field(15)?) as f64 / ticks_per_second as f64,
        threads: field(20)?,
        virtual_bytes: field(23)?,
        resident_bytes: field(24)? * page_bytes,
        open_files: 0,
        open_files_max: 0,
    })
}

/// Now, in seconds since 1970.
pub(super) fn unix_seconds() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_kernel_is_read() {
        let line = "42 (otto) la) S 1 42 42 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 5 0 \
                    123456 7000000 300 18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 1 0 0";
        let expected = ProcessFigures {
            cpu_seconds: 2.0,
            resident_bytes: 300 * 4096,
            virtual_bytes: 7_000_000,
            threads: 5,
            open_files: 0,
            open_files_max: 0,
        };
        assert_eq!(parse_stat(line, 100, 4096), Some(expected));
        assert_eq!(parse_stat("nonsense", 100, 4096), None);
    }
}
