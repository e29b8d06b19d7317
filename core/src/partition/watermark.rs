//! How far a partition's writes are acknowledged, and who hears of it.

use super::Partition;
use crate::ids::Offset;
use crate::one_or_many::OneOrMany;
use crate::waiting::WaitId;

/// A part of a Produce request that waits for an offset of this partition.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Acknowledgement {
    /// The offset that must be reached.
    pub end_offset: Offset,
    /// Which part of which request.
    pub part: WaitingPart,
}

/// A part of a waiting request: the request, and the part's place in its list of what it waits for.
/// One request may wait for several offsets of one partition.
pub type WaitingPart = (WaitId, u32);

/// Whose wait a partition's progress ended, or may have ended.
#[derive(Clone, Debug, Default)]
pub struct Wakeups {
    /// Parts of Produce requests that are acknowledged.
    pub acknowledged: OneOrMany<WaitingPart>,
    /// Parts of Produce requests that failed with their log.
    pub failed: Vec<WaitingPart>,
    /// Fetches to look at again.
    pub fetches: Vec<WaitId>,
}

impl Wakeups {
    /// Whether nobody is concerned.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.acknowledged.is_empty() && self.failed.is_empty() && self.fetches.is_empty()
    }
}

impl Partition {
    /// The end of what this replica may call committed: with one replica in sync, the mark of its
    /// own log that the flush policy names (reliability: an acks=all write under `ack` is durable
    /// before it is acknowledged or read).
    pub(super) fn committed_end(&self) -> Offset {
        let reported = self.log.reported_end_offset();
        self.hold
            .map_or(reported, |hold| reported.min(hold.committed))
    }

    /// The end of what acks=1 may call written.
    pub(crate) fn written_end(&self) -> Offset {
        let written = self.log.written();
        self.hold.map_or(written, |hold| written.min(hold.written))
    }

    /// Whether everything below `end_offset` is written (acks=1) or committed (acks=all).
    #[must_use]
    pub fn is_acknowledged(&self, end_offset: Offset, all: bool) -> bool {
        let reached = if all {
            self.high_watermark
        } else {
            self.written_end()
        };
        end_offset <= reached
    }

    /// Waits for everything below an end offset to be written (acks=1) or committed (acks=all).
    pub fn await_acknowledgement(&mut self, wait: Acknowledgement, all: bool) {
        assert!(
            wait.end_offset <= self.log.log_end_offset(),
            "nobody waits for records that were not appended"
        );
        let queue = if all {
            &mut self.until_committed
        } else {
            &mut self.until_written
        };
        // A duplicate waits for its original, which may lie before the newest append.
        let at = queue.partition_point(|other| other.end_offset <= wait.end_offset);
        queue.insert(at, wait);
    }

    /// Follows the marks of the log after it changed; tells whose wait that ended.
    pub fn advance(&mut self, wakeups: &mut Wakeups) {
        let committed = self.committed_end();
        if committed > self.high_watermark {
            self.high_watermark = committed;
            wakeups.fetches.extend(self.fetches.iter().copied());
        }
        assert!(
            self.high_watermark <= self.log.log_end_offset(),
            "the high watermark never passes the log's end"
        );
        let written = self.written_end();
        pop_reached(&mut self.until_written, written, &mut wakeups.acknowledged);
        pop_reached(
            &mut self.until_committed,
            self.high_watermark,
            &mut wakeups.acknowledged,
        );
    }

    /// A read of the disk ended: fetches that wait for it are looked at again.
    pub fn wake_fetches(&mut self, wakeups: &mut Wakeups) {
        wakeups.fetches.extend(self.fetches.iter().copied());
    }

    /// The log is lost or deleted: everybody who waits for it is told.
    pub fn fail_all(&mut self, wakeups: &mut Wakeups) {
        for queue in [&mut self.until_written, &mut self.until_committed] {
            wakeups.failed.extend(queue.drain(..).map(|wait| wait.part));
        }
        self.wake_fetches(wakeups);
    }

    /// Everything at or after `end_offset` that was not acknowledged is gone: its requests fail.
    pub fn fail_from(&mut self, end_offset: Offset, wakeups: &mut Wakeups) {
        for queue in [&mut self.until_written, &mut self.until_committed] {
            let kept = queue.partition_point(|wait| wait.end_offset <= end_offset);
            wakeups
                .failed
                .extend(queue.drain(kept..).map(|wait| wait.part));
        }
    }
}

fn pop_reached(
    queue: &mut std::collections::VecDeque<Acknowledgement>,
    reached: Offset,
    acknowledged: &mut OneOrMany<WaitingPart>,
) {
    while let Some(wait) = queue.front() {
        if wait.end_offset > reached {
            return;
        }
        acknowledged.push(wait.part);
        queue.pop_front();
    }
}
