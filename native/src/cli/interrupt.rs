//! Signals that ask a tool to end: it ends in order, and says what it did.
//!
//! For tools that run until they are told to stop. A second signal ends the process at once.

use tokio::signal::unix::{SignalKind, signal};

use crate::cli::failure::Failure;

/// The wish that the tool ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Interrupt;

/// Exit status after a second signal: that of a program ended by ctrl-C.
const STATUS_INTERRUPTED: i32 = 130;

/// Calls `tell` at the first SIGINT or SIGTERM, on a thread of its own.
pub(crate) fn on_signal(tell: impl FnOnce(Interrupt) + Send + 'static) -> Result<(), Failure> {
    let refused =
        |error: std::io::Error| Failure::refused(format!("Cannot listen for signals: {error}."));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .map_err(refused)?;
    let listening = runtime.enter();
    let mut interrupts = signal(SignalKind::interrupt()).map_err(refused)?;
    let mut terminations = signal(SignalKind::terminate()).map_err(refused)?;
    drop(listening);
    std::thread::spawn(move || {
        runtime.block_on(async move {
            let mut tell = Some(tell);
            loop {
                tokio::select! {
                    _ = interrupts.recv() => {}
                    _ = terminations.recv() => {}
                }
                match tell.take() {
                    Some(tell) => tell(Interrupt),
                    None => std::process::exit(STATUS_INTERRUPTED),
                }
            }
        });
    });
    Ok(())
}
