//! How far long work is, on a line of standard error that is written over: for people only.
//!
//! Nothing is shown where standard error is no terminal, in the first second, or where the result
//! itself scrolls by on the same terminal.

use std::time::{Duration, Instant};

use crate::cli::console::Console;

/// Work that is done sooner needs no progress.
const QUIET: Duration = Duration::from_secs(1);

/// How often the line is written.
const EACH: Duration = Duration::from_millis(200);

/// Goes to the beginning of the line and clears it.
const AFRESH: &str = "\r\x1b[K";

/// A line that tells how far work is.
#[derive(Debug)]
pub(crate) struct Progress {
    wanted: bool,
    next: Instant,
    is_shown: bool,
}

impl Progress {
    /// For work that begins now; `wanted` is whether nothing else is written to the terminal.
    pub(crate) fn new(console: &Console<'_>, wanted: bool) -> Self {
        Self {
            wanted: wanted && console.err_is_terminal,
            next: Instant::now() + QUIET,
            is_shown: false,
        }
    }

    /// Shows `text`, if it is time.
    pub(crate) fn show(&mut self, console: &mut Console<'_>, text: impl FnOnce() -> String) {
        if !self.wanted {
            return;
        }
        let now = Instant::now();
        if now < self.next {
            return;
        }
        self.next = now + EACH;
        self.is_shown = true;
        // A terminal that is gone is no reason to fail.
        let _gone = write!(console.err, "{AFRESH}{}", text());
        let _gone = console.err.flush();
    }

    /// Clears the line.
    pub(crate) fn end(&mut self, console: &mut Console<'_>) {
        if std::mem::take(&mut self.is_shown) {
            let _gone = write!(console.err, "{AFRESH}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::console::testing::with_console;

    #[test]
    fn only_long_work_at_a_terminal_shows_its_progress() {
        let shown = |terminal: bool, wanted: bool, late: bool| {
            let (_, _, err) = with_console(|console| {
                console.err_is_terminal = terminal;
                let mut progress = Progress::new(console, wanted);
                if late {
                    progress.next = Instant::now();
                }
                progress.show(console, || "half".to_owned());
                progress.end(console);
                Ok(())
            });
            err
        };
        assert_eq!(shown(true, true, true), "\r\x1b[Khalf\r\x1b[K");
        assert_eq!(shown(true, true, false), "");
        assert_eq!(shown(false, true, true), "");
        assert_eq!(shown(true, false, true), "");
    }
}
