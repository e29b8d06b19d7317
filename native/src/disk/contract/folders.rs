//! Folders of logs and what a directory lists of them.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ottla_core::ids::{Generation, LogId, Offset};
use ottla_core::storage::{DirectoryFile, DiskDone, DiskOp, LogFile, Token};

use super::rig::{BASE, Folder, LOG, Rig, append, batch, bytes_of, create_log, save};
use crate::disk::{self, DiskOptions, SystemCalls};

#[test]
fn a_deleted_log_makes_room_for_its_name() {
    let mut rig = Rig::with_log();
    rig.run([append(1, 0, 1, vec![batch(1, 100)])]);
    rig.until_appended(1);
    let slice = rig.door.pin(LOG, BASE, 0, 100).unwrap();
    rig.run([
        DiskOp::MarkLogDeleted {
            log: LOG,
            folder: "t-0.0123-delete".into(),
        },
        DiskOp::RemoveLog { log: LOG },
        create_log(LogId(2), "t-0"),
    ]);
    assert_eq!(rig.next(), DiskDone::Created { log: LogId(2) });
    assert!(rig.path("t-0").is_dir());
    assert!(!rig.path("t-0").join(LogFile::Log(BASE).name()).exists());
    assert_eq!(bytes_of(&slice).unwrap(), [1; 100]);
}

#[test]
fn a_renamed_log_goes_on_and_makes_room_for_its_names() {
    let mut rig = Rig::with_log();
    let rename = |folder: &str, number| DiskOp::RenameLog {
        log: LOG,
        folder: folder.into(),
        token: Token(number),
    };
    rig.run([append(1, 0, 1, vec![batch(1, 100)])]);
    rig.until_appended(1);
    let slice = rig.door.pin(LOG, BASE, 0, 100).unwrap();
    rig.run([
        rename("t-0.0123-future", 7),
        create_log(LogId(2), "t-0"),
        append(1, 100, 2, vec![batch(2, 100)]),
        rename("t-1", 8),
        create_log(LogId(3), "t-0.0123-future"),
    ]);
    let mut answers: Vec<DiskDone> = (0..5).map(|_at| rig.next()).collect();
    let own = [
        DiskDone::Saved { token: Token(7) },
        DiskDone::Appended {
            log: LOG,
            generation: Generation(1),
            end_offset: Offset(2),
        },
        DiskDone::Saved { token: Token(8) },
    ];
    answers.retain(|answer| !matches!(answer, DiskDone::Created { .. }));
    assert_eq!(answers, own, "in the order of the operations");
    let log = LogFile::Log(BASE).name();
    assert_eq!(fs::read(rig.path("t-1").join(&log)).unwrap().len(), 200);
    for made in ["t-0", "t-0.0123-future"] {
        assert!(rig.path(made).is_dir(), "{made}");
        assert!(!rig.path(made).join(&log).exists(), "{made} is new");
    }
    assert_eq!(bytes_of(&slice).unwrap(), [1; 100]);
    rig.run([rename("t-1.45-delete", 9), DiskOp::RemoveLog { log: LOG }]);
    assert_eq!(rig.next(), DiskDone::Saved { token: Token(9) });
    rig.run([create_log(LogId(4), "t-1")]);
    assert_eq!(rig.next(), DiskDone::Created { log: LogId(4) });
}

#[test]
fn a_directory_serves_one_broker_and_lists_what_it_holds() {
    let mut rig = Rig::with_log();
    rig.run([append(1, 0, 1, vec![batch(1, 100)])]);
    rig.until_appended(1);
    rig.run([save(DirectoryFile::MetaProperties, b"version=1\n", 1)]);
    assert_eq!(rig.next(), DiskDone::Saved { token: Token(1) });
    let options = DiskOptions {
        directories: vec![rig.folder.0.clone()],
        open_files_max: 1,
        workers_max: 1,
    };
    let calls: Arc<dyn SystemCalls> = Arc::new(disk::OperatingSystem);
    let refusal = disk::open(&options, &calls).expect_err("it is in use");
    assert!(
        refusal.to_string().contains("in use by another broker"),
        "{refusal}"
    );
    let Rig {
        disk, door, folder, ..
    } = rig;
    disk.close(&door);
    drop((disk, door));
    let listing = wait_for_listing(&options, &calls);
    let content = listing.file(DirectoryFile::MetaProperties);
    assert_eq!(content.unwrap(), &b"version=1\n"[..]);
    assert_eq!(listing.folders.len(), 1);
    let log = &listing.folders[0];
    assert_eq!(log.name, "t-0");
    assert_eq!(log.partition_metadata, &b"version: 0\n"[..]);
    let files: Vec<_> = log
        .files
        .iter()
        .map(|(name, size)| (&**name, *size))
        .collect();
    assert_eq!(
        files,
        [
            ("00000000000000000000.log", 100),
            ("partition.metadata", 11)
        ]
    );
    assert!(Path::new(&folder.0).is_dir());
}

/// The lock is let go with the last thread of the first disk.
fn wait_for_listing(
    options: &DiskOptions,
    calls: &Arc<dyn SystemCalls>,
) -> ottla_core::storage::DirectoryListing {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match disk::open(options, calls) {
            Ok((disk, door, mut listings)) => {
                disk.close(&door);
                return listings.remove(0);
            }
            Err(still_held) => {
                assert!(Instant::now() < deadline, "{still_held}");
                std::thread::yield_now();
            }
        }
    }
}

#[test]
fn very_many_folders_are_listed_in_order_and_each_once() {
    let folder = Folder::new();
    let names: Vec<String> = (0..700).map(|number| format!("t-{number:04}")).collect();
    // Made in another order than that of their names.
    for name in names.iter().rev() {
        let path = folder.0.join(name);
        fs::create_dir(&path).unwrap();
        fs::write(path.join(LogFile::PartitionMetadata.name()), name).unwrap();
    }
    let options = DiskOptions {
        directories: vec![folder.0.clone()],
        open_files_max: 1,
        workers_max: 1,
    };
    let calls: Arc<dyn SystemCalls> = Arc::new(disk::OperatingSystem);
    let listing = wait_for_listing(&options, &calls);
    let listed = listing.folders.iter().map(|folder| &folder.name);
    assert!(listed.eq(&names));
    for folder in &listing.folders {
        assert_eq!(folder.partition_metadata, folder.name.as_bytes());
        assert_eq!(folder.files.len(), 1);
    }
    // One that cannot be read, among the last of them, is an error as it is among few.
    let unreadable = folder
        .0
        .join("t-0699")
        .join(LogFile::PartitionMetadata.name());
    fs::remove_file(&unreadable).unwrap();
    File::create(&unreadable).unwrap().set_len(1 << 20).unwrap();
    let refusal = disk::open(&options, &calls).expect_err("a log of ours");
    assert!(refusal.to_string().contains("is far too long"), "{refusal}");
}
