//! What the judge of retention takes for an older segment.

use bytes::Bytes;

use super::*;
use crate::ids::{DirectoryIndex, Generation};

const LOG: LogId = LogId(1);

fn checker_of(operations: &[DiskOp]) -> DurabilityChecker {
    let mut checker = DurabilityChecker::default();
    checker.on_op(
        0,
        &DiskOp::CreateLog {
            log: LOG,
            directory: DirectoryIndex(0),
            folder: "topic-0".into(),
            partition_metadata: Bytes::new(),
        },
    );
    for operation in operations {
        checker.on_op(0, operation);
    }
    checker
}

fn create(segment: i64, generation: u32) -> DiskOp {
    DiskOp::CreateSegment {
        log: LOG,
        generation: Generation(generation),
        segment: Offset(segment),
    }
}

fn delete(segment: i64) -> DiskOp {
    DiskOp::MarkSegmentDeleted {
        log: LOG,
        generation: Generation(1),
        segment: Offset(segment),
    }
}

#[test]
fn segments_are_deleted_oldest_first() {
    let operations = [create(0, 0), create(5, 0), delete(5)];
    let found = checker_of(&operations).take_violations();
    assert_eq!(found.len(), 1, "{found:?}");
    let operations = [create(0, 0), create(5, 0), delete(0), delete(5)];
    assert!(checker_of(&operations).take_violations().is_empty());
}

#[test]
fn a_segment_that_did_not_fit_was_never_there() {
    let rewind = DiskOp::Truncate {
        log: LOG,
        generation: Generation(1),
        segment: Offset(0),
        position: 0,
        end_offset: Offset(0),
    };
    let operations = [create(0, 0), create(5, 0), rewind, create(7, 1)];
    let deleted = [delete(0), delete(7)];
    let found = checker_of(&[&operations[..], &deleted].concat()).take_violations();
    assert!(found.is_empty(), "{found:?}");
}
