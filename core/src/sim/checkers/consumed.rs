//! L11: what lies in a log at the end was processed by a group at least once.

use super::Violation;
use super::compaction::read_batches;
use super::log_image::LogImage;
use crate::ids::Offset;
use crate::sim::workload::group::Ranges;

/// Judges that every record of a log below `end` is among those that a group processed.
#[must_use]
pub fn check(image: &LogImage, end: Offset, group: &str, processed: &Ranges) -> Option<Violation> {
    let start = image.start_offset.unwrap_or(Offset::ZERO);
    for (_base, bytes) in image.segments() {
        for batch in read_batches(bytes) {
            let wanted = start..end;
            let missed = batch.records.iter().find(|(offset, _)| {
                wanted.contains(&Offset(*offset)) && !processed.contains(Offset(*offset))
            });
            if let Some((offset, _)) = missed {
                let what = format!("{group} never processed {offset} of {}", image.folder);
                return Some(Violation::new("L11", what));
            }
        }
    }
    None
}
