//! Deaths at every point of a move.

use std::collections::BTreeMap;

use super::moving::{Moving, other};
use crate::sim::disk::PowerLoss;
use crate::sim::disk::loss::{ByteLoss, NameLoss};

/// Crashes after one call of the disk after the other, of which `calls` are tried, checks what is
/// there then, and lets the move end.
fn crash_after(calls: impl Iterator<Item = u64>, loss: Option<PowerLoss>) {
    let mut ends = BTreeMap::new();
    for crash_at in calls {
        let mut moving = Moving::new();
        let from = moving.partition().identity().directory;
        let (to, path) = other(from);
        assert_eq!(moving.move_to(path), 0);
        let mut steps = 0;
        while steps < crash_at && moving.is_moving() {
            if steps % 9 == 0 {
                moving.produce(100);
            }
            assert!(moving.step());
            steps += 1;
        }
        let is_over = steps < crash_at;
        moving = moving.crash(loss);
        let at_boot = moving.partition().identity().directory;
        moving.run();
        assert!(
            !moving.is_moving(),
            "crash at {crash_at}: {:?}",
            moving.bench.broker().moves
        );
        moving.check();
        *ends
            .entry((at_boot, moving.partition().identity().directory))
            .or_insert(0) += 1;
        moving.bench.pass(61);
        moving.run();
        let place = moving.partition().identity().directory;
        assert_eq!(moving.assigned(), place, "crash at {crash_at}");
        assert_eq!(
            moving.folders(),
            [(place, "topic-0".to_owned())],
            "crash at {crash_at}"
        );
        moving.next = moving.partition().log().log_end_offset().0 as i32;
        moving.produce(50);
        moving.run();
        moving.check();
        if is_over {
            assert_eq!(place, to);
            assert!(crash_at > 60, "{crash_at}");
            break;
        }
    }
    assert!(ends.len() >= 2, "before the switch, and after: {ends:?}");
}

#[test]
fn a_process_that_dies_at_any_point_loses_nothing() {
    crash_after(0.., None);
}

#[test]
fn a_power_cut_at_any_point_loses_nothing() {
    let cuts = [
        (ByteLoss::LoseAll, NameLoss::LoseAll),
        (ByteLoss::KeepAll, NameLoss::LoseAll),
        (ByteLoss::Suffix, NameLoss::Subset),
    ];
    for ((bytes, names), first) in cuts.into_iter().zip(0..) {
        let loss = PowerLoss {
            bytes: Some(bytes),
            names: Some(names),
            tear: None,
        };
        // Together they are at every call; each by itself is at every third.
        crash_after((first..).step_by(cuts.len()), Some(loss));
    }
}
