//! Ends connections that are idle for too long or keep the broker waiting, once a second; and
//! follows the configuration: when it changes, so do the listeners and the limits of connections.
//!
//! One look over all connections costs less than a timer for each: their tasks only note when bytes
//! last moved and whether the peer owes any.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use super::Net;
use super::admission::{Seen, follow};
use super::doors::Doors;
use crate::driver::Mailbox;

/// How often connections are looked at.
const PERIOD: Duration = Duration::from_secs(1);

/// After this time without a byte a connection gives its buffers back.
const QUIET_MS: u64 = 2_000;

/// A peer may owe the rest of a frame it began for this time, at any speed.
const FRAME_MS: u64 = 10_000;

/// A peer may owe room for output it asked for for this time, at any speed. Many clients read while
/// they are polled and not while their user works on what they got; most give a request up after
/// 30 seconds, librdkafka after 60.
const ROOM_MS: u64 = 60_000;

/// The least speed of a peer that owes more than that.
const OWING_BYTES_PER_MS: u64 = 1;

/// Keeps listeners and limits as configured, for as long as the runtime lives or the task is not
/// aborted; what is open is closed then.
pub(crate) async fn follow_configuration(net: Arc<Net>, mut doors: Doors) {
    let mut seen = Seen::default();
    loop {
        if let Some(wanted) = follow(&net, &mut seen).await {
            doors.follow(&net, &wanted).await;
        }
        net.driver.reconfigured().await;
    }
}

/// Looks at all connections for as long as the runtime lives.
pub(super) async fn serve(net: Arc<Net>) {
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let now_ms = net.driver.now_ms();
        net.each_connection(|mailbox| look(mailbox, now_ms, net.limits.idle_ms_max));
    }
}

fn look(mailbox: &Mailbox, now_ms: u64, idle_ms_max: u64) {
    let idle_ms = now_ms.saturating_sub(mailbox.moved_ms.load(Ordering::Relaxed));
    if let Some(reason) = verdict(mailbox, now_ms, idle_ms, idle_ms_max) {
        mailbox.put(|mail| mail.abort = Some(reason));
        mailbox.wake();
    } else if idle_ms >= QUIET_MS && !mailbox.is_quiet.swap(true, Ordering::Relaxed) {
        mailbox.put(|mail| mail.is_quiet = true);
        mailbox.wake();
    }
}

/// Why a connection has to end, if it has to.
fn verdict(mailbox: &Mailbox, now_ms: u64, idle_ms: u64, idle_ms_max: u64) -> Option<&'static str> {
    if idle_ms > idle_ms_max {
        return Some("idle for longer than connections.max.idle.ms");
    }
    let since = mailbox.owing_since_ms.load(Ordering::Relaxed);
    if since == 0 {
        return None;
    }
    let owing_ms = now_ms.saturating_sub(since);
    let moved_bytes = mailbox.owing_moved_bytes.load(Ordering::Relaxed);
    let is_room_owed = mailbox.is_room_owed.load(Ordering::Relaxed);
    let patience_ms = if is_room_owed { ROOM_MS } else { FRAME_MS };
    let earned_ms = patience_ms + moved_bytes / OWING_BYTES_PER_MS;
    (owing_ms > earned_ms).then_some("its peer sends or takes bytes too slowly")
}

#[cfg(test)]
mod tests {
    use ottla_core::ids::ConnectionId;

    use super::*;

    #[test]
    fn slow_and_idle_connections_end() {
        let mailbox = Mailbox::new(ConnectionId(1), 1_000);
        let check = |now_ms, expected: Option<&str>| {
            let idle_ms = now_ms - mailbox.moved_ms.load(Ordering::Relaxed);
            let verdict = verdict(&mailbox, now_ms, idle_ms, 600_000);
            assert_eq!(verdict.is_some(), expected.is_some(), "{verdict:?}");
            if let (Some(verdict), Some(expected)) = (verdict, expected) {
                assert!(verdict.contains(expected), "{verdict}");
            }
        };
        check(601_000, None);
        check(601_001, Some("idle"));
        mailbox.owing_since_ms.store(1_000, Ordering::Relaxed);
        check(11_000, None);
        check(11_001, Some("slowly"));
        mailbox.owing_moved_bytes.store(5_000, Ordering::Relaxed);
        check(16_000, None);
        check(16_001, Some("slowly"));
        mailbox.is_room_owed.store(true, Ordering::Relaxed);
        check(66_000, None);
        check(66_001, Some("slowly"));
    }
}
