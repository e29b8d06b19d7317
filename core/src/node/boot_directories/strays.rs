//! Folders that are no partition's: those marked as deleted are removed, others are put aside.
//!
//! A folder whose `partition.metadata` is missing or damaged may hold what somebody copied there,
//! or what a power cut left of a new log. Whose records they are nobody knows, so they are served
//! to nobody, and kept. Kafka 4.3.1 treats it as a stray too where the file is missing, and does
//! not start where it is damaged.

use super::{Directories, FUTURE, partition_of};
use crate::event::Severity;
use crate::ids::{DirectoryIndex, LogId};
use crate::log::partition_metadata;
use crate::node::broker::{Broker, event};
use crate::node::door::Outbox;
use crate::node::folders;
use crate::quorum::METADATA_FOLDER;
use crate::storage::{DiskOp, FolderListing, LogFile, Token};

/// What becomes of a folder that is no partition's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fate {
    /// It stays where it is: it is nobody's log, or holds nothing.
    Left,
    /// It is put aside, for a person to look at; why.
    PutAside(&'static str),
    /// Somebody decided that it goes.
    Removed,
}

impl Fate {
    fn of(folder: &FolderListing) -> Self {
        let name = folder.name.as_str();
        if name == METADATA_FOLDER || name.ends_with("-stray") {
            return Self::Left;
        }
        if name.ends_with("-delete") {
            return Self::Removed;
        }
        if partition_metadata::parse(&folder.partition_metadata).is_some() {
            return Self::PutAside(
                "belongs to no partition of this node; remove it, or take it where it belongs",
            );
        }
        if name.ends_with(FUTURE) {
            // A copy that was hardly begun: before it counts, its metadata is durable.
            return Self::Removed;
        }
        if partition_of(name).is_some() && holds_something(folder) {
            return Self::PutAside(
                "has no readable partition.metadata, so nobody knows whose records it holds, and \
                 a partition of this name begins without them; take from it what is of use, or \
                 remove it",
            );
        }
        Self::Left
    }
}

/// Whether there is more in a folder than an interrupted creation leaves: files of a log, empty.
fn holds_something(folder: &FolderListing) -> bool {
    let mut files = folder.files.iter();
    folder.has_others || files.any(|(name, size)| *size > 0 || LogFile::parse(name).is_none())
}

impl Directories {
    /// What is left in the listings is no partition's: folders marked as deleted are removed,
    /// others are put aside under a name that no partition has.
    ///
    /// A new log may have the name of one afterwards: it is made once the folder's new name is
    /// durable, so no crash loses what is in it.
    pub(in crate::node) fn dispose_of_strays(&mut self, broker: &mut Broker, out: &mut Outbox) {
        for (folders, index) in self.folders.iter().zip(0u8..) {
            let directory = DirectoryIndex(index);
            for folder in folders.values() {
                match Fate::of(folder) {
                    Fate::Left => {}
                    Fate::PutAside(why) => {
                        let aside =
                            name_aside(&folder.name, broker, |name| folders.contains_key(name));
                        out.events.push(event(
                            Severity::Warning,
                            &folder.name,
                            format!("{why}; it is kept as {aside}"),
                        ));
                        let log = open(broker, directory, &folder.name, out);
                        out.disk.push(DiskOp::RenameLog {
                            log,
                            folder: aside.into(),
                            token: Token::of_log(log, 0),
                        });
                    }
                    Fate::Removed => remove_folder(broker, directory, &folder.name, out),
                }
            }
        }
        self.listings.clear();
        self.folders.clear();
    }
}

/// A name for a folder that is put aside, which no other has.
fn name_aside(folder: &str, broker: &mut Broker, is_taken: impl Fn(&str) -> bool) -> String {
    if let Some(name) = folder.strip_suffix(FUTURE) {
        // It is as long as a name may be, and no other folder has it.
        return format!("{name}-stray");
    }
    loop {
        let name = folders::stray(folder, &broker.random_digits());
        if !is_taken(&name) {
            return name;
        }
    }
}

/// Removes a folder that counts no more.
pub(in crate::node) fn remove_folder(
    broker: &mut Broker,
    directory: DirectoryIndex,
    folder: &str,
    out: &mut Outbox,
) {
    let log = open(broker, directory, folder, out);
    // One that is to be removed has a name that says so.
    if let Some(name) = folder.strip_suffix(FUTURE) {
        out.disk.push(DiskOp::MarkLogDeleted {
            log,
            folder: format!("{name}-delete").into(),
        });
    }
    out.disk.push(DiskOp::RemoveLog { log });
}

fn open(broker: &mut Broker, directory: DirectoryIndex, folder: &str, out: &mut Outbox) -> LogId {
    let log = broker.take_log_id();
    out.disk.push(DiskOp::OpenLog {
        log,
        directory,
        folder: folder.into(),
    });
    log
}

#[cfg(test)]
mod tests {
    use super::*;

    const OF_A_TOPIC: &[u8] = b"version: 0\ntopic_id: WlpaWlpaWlpaWlpaWlpaWg";
    const LOG: &str = "00000000000000000000.log";

    fn fate(name: &str, metadata: &'static [u8], files: &[(&str, u64)]) -> Fate {
        let files = files.iter().map(|(name, size)| ((*name).to_owned(), *size));
        Fate::of(&FolderListing {
            name: name.to_owned(),
            files: files.collect(),
            partition_metadata: metadata.into(),
            ..FolderListing::default()
        })
    }

    fn is_put_aside(name: &str, metadata: &'static [u8], files: &[(&str, u64)]) -> bool {
        matches!(fate(name, metadata, files), Fate::PutAside(_))
    }

    #[test]
    fn what_may_hold_records_is_put_aside() {
        for metadata in [b"".as_slice(), b"garbage", b"version: 0\ntopic_id: short"] {
            assert!(is_put_aside("t-0", metadata, &[(LOG, 100)]), "{metadata:?}");
            assert!(is_put_aside("t-0", metadata, &[(LOG, 0), ("mine", 0)]));
        }
        assert!(is_put_aside("t-0", OF_A_TOPIC, &[]));
        assert!(is_put_aside("t-0.1f-future", OF_A_TOPIC, &[]));
        let folder = FolderListing {
            name: "t-0".to_owned(),
            has_others: true,
            ..FolderListing::default()
        };
        assert!(matches!(Fate::of(&folder), Fate::PutAside(_)));
    }

    #[test]
    fn what_holds_nothing_or_is_nobodys_stays() {
        assert_eq!(fate("t-0", b"", &[]), Fate::Left);
        assert_eq!(
            fate("t-0", b"", &[(LOG, 0), ("partition.metadata", 0)]),
            Fate::Left
        );
        for name in ["lost+found", "my-notes", "t-0.1f-stray", METADATA_FOLDER] {
            assert_eq!(fate(name, b"", &[("a", 100)]), Fate::Left, "{name}");
        }
    }

    #[test]
    fn what_is_marked_or_hardly_begun_goes() {
        for metadata in [b"".as_slice(), OF_A_TOPIC] {
            assert_eq!(
                fate("t-0.1f-delete", metadata, &[(LOG, 100)]),
                Fate::Removed
            );
        }
        for metadata in [b"".as_slice(), b"version: 0\ntop"] {
            assert_eq!(
                fate("t-0.1f-future", metadata, &[(LOG, 100)]),
                Fate::Removed
            );
        }
    }
}
