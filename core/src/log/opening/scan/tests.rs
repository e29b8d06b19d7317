//! Scans of files that are sound, cut short, or damaged.

use super::*;
use crate::log::batch::build::{Wanted, batch};

/// Five batches of ten records, 81 bytes each.
fn file() -> Vec<u8> {
    let mut bytes = Vec::new();
    for number in 0..5 {
        bytes.extend_from_slice(&batch(Wanted {
            base_offset: number * 10,
            count: 10,
            ..Wanted::default()
        }));
    }
    bytes
}

fn scan(bytes: &[u8], recovery_point: i64, piece: usize) -> (Vec<i64>, Scanner, ScanStep) {
    let size = u32::try_from(bytes.len()).unwrap();
    let mut scanner = Scanner::new(
        size,
        (0, Offset(0)),
        Offset(1000),
        Offset(recovery_point),
        Offset(0),
    );
    let mut step = scanner.begin();
    let mut seen = Vec::new();
    while let ScanStep::Read { position, length } = step {
        let position = position as usize;
        let wanted = if length == size {
            piece
        } else {
            length as usize
        };
        let end = (position + wanted.max(90)).min(bytes.len());
        step = scanner.feed(&bytes[position..end], |_position, info| {
            seen.push(info.base_offset.0);
        });
    }
    (seen, scanner, step)
}

#[test]
fn a_sound_file_is_read_to_its_end_in_any_pieces() {
    for piece in [90, 100, 162, 1000] {
        let (seen, scanner, step) = scan(&file(), 0, piece);
        assert_eq!(seen, [0, 10, 20, 30, 40]);
        assert_eq!(step, ScanStep::End);
        assert_eq!(
            (scanner.valid_bytes(), scanner.end_offset()),
            (405, Offset(50))
        );
    }
}

#[test]
fn above_the_recovery_point_the_first_unsound_batch_is_the_end() {
    for (change, damage) in [(62, BatchDamage::Crc), (16, BatchDamage::Magic)] {
        let mut bytes = file();
        bytes[2 * 81 + change] ^= 0x40;
        let (seen, scanner, step) = scan(&bytes, 20, 1000);
        assert_eq!(seen, [0, 10]);
        let cut = ScanStep::Cut {
            position: 162,
            offset: Offset(20),
            damage,
        };
        assert_eq!(step, cut);
        assert!(scanner.into_bad().is_empty());
    }
    let (_seen, _scanner, step) = scan(&file()[..400], 0, 1000);
    let damage = BatchDamage::Short;
    let cut = |position, offset, damage| ScanStep::Cut {
        position,
        offset: Offset(offset),
        damage,
    };
    assert_eq!(step, cut(324, 40, damage));
    let padded = [file(), vec![0; 100]].concat();
    let (_seen, _scanner, step) = scan(&padded, 50, 1000);
    assert_eq!(step, cut(405, 50, BatchDamage::Zeros));
}

#[test]
fn batches_larger_than_a_read_are_summed_in_pieces() {
    let mut bytes = file();
    let end = bytes.len();
    bytes.extend_from_slice(&batch(Wanted {
        base_offset: 50,
        payload_bytes: 3 * JOB_READ_BYTES as usize,
        ..Wanted::default()
    }));
    bytes.extend_from_slice(&batch(Wanted {
        base_offset: 51,
        ..Wanted::default()
    }));
    let (seen, scanner, step) = scan(&bytes, 0, 1000);
    assert_eq!(seen[4..], [40, 50, 51]);
    assert_eq!((step, scanner.end_offset()), (ScanStep::End, Offset(52)));
    bytes[end + 2 * JOB_READ_BYTES as usize] ^= 1;
    let (seen, _scanner, step) = scan(&bytes, 0, 1000);
    assert_eq!(seen.len(), 5);
    assert!(matches!(
        step,
        ScanStep::Cut {
            offset: Offset(50),
            ..
        }
    ));
    let (seen, scanner, _step) = scan(&bytes, 52, 1000);
    assert_eq!(seen[4..], [40, 51]);
    assert_eq!(scanner.into_bad().len(), 1);
}

#[test]
fn sound_batches_behind_a_cut_are_found() {
    let mut bytes = file();
    bytes[162..200].fill(0);
    bytes[81 * 4 + 70] ^= 1;
    let (_seen, scanner, _step) = scan(&bytes, 0, 1000);
    let mut behind = scanner.behind();
    let mut seen = Vec::new();
    let step = behind.feed(&bytes[162..], |_position, info| {
        seen.push(info.base_offset.0);
    });
    assert_eq!((seen, step), (vec![30], ScanStep::End));
}

#[test]
fn below_the_recovery_point_damage_is_stepped_over() {
    for at in [62, 16, 8, 3, 24] {
        let mut bytes = file();
        bytes[2 * 81 + at] ^= 0x55;
        let (seen, scanner, step) = scan(&bytes, 50, 1000);
        assert_eq!(seen, [0, 10, 30, 40], "byte {at}");
        assert_eq!(step, ScanStep::End);
        assert_eq!(scanner.end_offset(), Offset(50));
        let bad = BadRange {
            start_offset: Offset(20),
            end_offset: Offset(30),
        };
        assert_eq!(scanner.into_bad(), [bad]);
    }
}

#[test]
fn a_damaged_header_in_its_place_is_not_believed() {
    // One byte less than there are, or more; one record less, or more.
    for (at, bit) in [(11, 1), (11, 4), (26, 1), (26, 2)] {
        for (number, recovery_point) in [(2, 50), (2, 30), (4, 50)] {
            let mut bytes = file();
            bytes[number * 81 + at] ^= bit;
            for piece in [90, 100, 162, 1000] {
                let (seen, scanner, step) = scan(&bytes, recovery_point, piece);
                let (place, sound) = (i64::try_from(number).unwrap() * 10, [0, 10, 20, 30, 40]);
                let left: Vec<i64> = sound.into_iter().filter(|base| *base != place).collect();
                assert_eq!((seen, step), (left, ScanStep::End), "byte {at} of {number}");
                if number == 2 {
                    assert_eq!(scanner.end_offset(), Offset(50));
                    let bad = BadRange {
                        start_offset: Offset(20),
                        end_offset: Offset(30),
                    };
                    assert_eq!(scanner.into_bad(), [bad]);
                }
            }
        }
    }
}

#[test]
fn a_lost_end_below_the_recovery_point_is_not_cut() {
    let mut bytes = file();
    bytes[4 * 81..].fill(0);
    let (seen, scanner, step) = scan(&bytes, 50, 1000);
    assert_eq!((seen.len(), step), (4, ScanStep::End));
    assert_eq!(
        (scanner.valid_bytes(), scanner.end_offset()),
        (324, Offset(40))
    );
}

#[test]
fn a_gap_is_an_end_where_none_may_be() {
    let mut bytes = file();
    bytes.drain(81..162);
    let (seen, _scanner, step) = scan(&bytes, 0, 1000);
    assert_eq!(seen, [0]);
    assert!(matches!(step, ScanStep::Cut { position: 81, .. }));
    let (seen, _scanner, _step) = scan(&bytes, 50, 1000);
    assert_eq!(seen, [0, 20, 30, 40]);
}

#[test]
fn what_follows_a_damaged_durable_batch_is_found_where_durability_ends() {
    for at in [62, 16, 8, 3, 24] {
        let mut bytes = file();
        bytes[2 * 81 + at] ^= 0x55;
        let (seen, scanner, step) = scan(&bytes, 30, 1000);
        assert_eq!(seen, [0, 10, 30, 40], "byte {at}");
        assert_eq!((step, scanner.end_offset()), (ScanStep::End, Offset(50)));
    }
    // The batch at the recovery point is gone too: nothing joins on to what is left.
    let mut bytes = file();
    bytes[2 * 81 + 16] ^= 0x55;
    bytes.drain(3 * 81..4 * 81);
    let (seen, scanner, _step) = scan(&bytes, 30, 1000);
    assert_eq!((seen, scanner.end_offset()), (vec![0, 10], Offset(20)));
}

#[test]
fn a_batch_of_another_log_is_stepped_over() {
    // As large as what it lies on, or smaller; below the recovery point, or across it.
    let others = [
        (20, 35),
        (20, 45),
        (7, 35),
        (7, 45),
        (20, 50),
        (7, 50),
        (20, 90),
    ];
    for (payload_bytes, base_offset) in others {
        let mut bytes = file();
        let other = batch(Wanted {
            base_offset,
            count: 10,
            payload_bytes,
            ..Wanted::default()
        });
        bytes[81..81 + other.len()].copy_from_slice(&other);
        for piece in [90, 100, 162, 1000] {
            let (seen, scanner, step) = scan(&bytes, 50, piece);
            assert_eq!(seen, [0, 20, 30, 40], "{payload_bytes} {base_offset}");
            assert_eq!((step, scanner.end_offset()), (ScanStep::End, Offset(50)));
            let bad = BadRange {
                start_offset: Offset(10),
                end_offset: Offset(20),
            };
            assert_eq!(scanner.into_bad(), [bad]);
        }
    }
}
