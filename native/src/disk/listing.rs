//! What a data directory holds, for the core to boot from.
//!
//! A start looks at every folder, and with 10,000 of them what it costs is this: so each is opened
//! once, and its files are named relative to it, which spares the system the walk along the whole
//! path for each file. What the names mean is the core's business.

use std::fs::File;
use std::io::{self, Read as _};
use std::mem;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::thread;

use bytes::Bytes;
use ottla_core::storage::{DirectoryFile, DirectoryListing, FolderListing, LogFile};
use rustix::fs::{AtFlags, Dir, DirEntry, FileType, Mode, OFlags, Stat};
use rustix::io::{Errno, retry_on_intr};

use super::calls::UNTIMED;

/// Largest of a directory's own files that is read at boot: a checkpoint of a million partitions
/// with names of 60 characters.
const DIRECTORY_FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Largest `partition.metadata` that is read at boot; Kafka's has 50 bytes.
const PARTITION_METADATA_BYTES_MAX: u64 = 4 * 1024;

/// Threads that list a directory's folders at boot. More than a disk's queue is deep gain nothing,
/// and where everything is in memory the processors are the bound.
const LISTING_THREADS_MAX: usize = 8;

/// Folders that are worth a thread: listing one takes some 20 microseconds where it is in memory,
/// starting a thread 50.
const LISTING_SHARE_MIN: usize = 32;

/// Lists a data directory; the room on its disk is not asked for.
pub(crate) fn list(path: &Path) -> io::Result<DirectoryListing> {
    let directory = Directory(File::open(path)?.into());
    let mut listing = DirectoryListing::default();
    let mut folders = Vec::new();
    for entry in directory.entries(".")? {
        // A name that is not text is none of Kafka's.
        let Ok(name) = entry.file_name().to_str() else {
            continue;
        };
        let kind = directory.type_of(name, &entry)?;
        if kind == FileType::Directory && name != "." && name != ".." {
            folders.push(name.to_owned());
        } else if kind == FileType::RegularFile
            && let Some(file) = DirectoryFile::parse(name)
        {
            let bytes = directory.read(name, DIRECTORY_FILE_BYTES_MAX)?;
            listing.files.push((file, bytes));
        }
    }
    listing.files.sort_by_key(|(file, _)| *file);
    folders.sort();
    listing.folders = list_folders(&directory, folders)?;
    Ok(listing)
}

/// Lists folders, by several threads where there are many: what is not in memory is waited for
/// side by side.
fn list_folders(directory: &Directory, mut names: Vec<String>) -> io::Result<Vec<FolderListing>> {
    let share = names.len().div_ceil(LISTING_THREADS_MAX);
    if share < LISTING_SHARE_MIN {
        return list_share(directory, names);
    }
    thread::scope(|scope| {
        let mut threads = Vec::new();
        while !names.is_empty() {
            let rest = names.split_off(share.min(names.len()));
            let part = mem::replace(&mut names, rest);
            threads.push(scope.spawn(move || list_share(directory, part)));
        }
        let mut folders = Vec::new();
        for thread in threads {
            let listed = thread.join();
            folders.append(&mut listed.expect("listing does not panic")?);
        }
        Ok(folders)
    })
}

fn list_share(directory: &Directory, names: Vec<String>) -> io::Result<Vec<FolderListing>> {
    let mut folders = Vec::with_capacity(names.len());
    for name in names {
        // Unreadable folders of others (lost+found) are not ours; an unreadable log is.
        match list_folder(directory, name) {
            Ok(folder) => folders.push(folder),
            Err((name, error)) if name.contains('-') => return Err(error),
            Err(_not_ours) => {}
        }
    }
    Ok(folders)
}

fn list_folder(directory: &Directory, name: String) -> Result<FolderListing, (String, io::Error)> {
    let mut listing = FolderListing {
        name,
        ..FolderListing::default()
    };
    match fill(directory, &mut listing) {
        Ok(()) => Ok(listing),
        Err(error) => Err((listing.name, error)),
    }
}

fn fill(directory: &Directory, listing: &mut FolderListing) -> io::Result<()> {
    let mut path = String::new();
    for entry in directory.entries(&listing.name)? {
        let Ok(name) = entry.file_name().to_str() else {
            listing.has_others = true;
            continue;
        };
        path.clear();
        path.extend([&listing.name, "/", name]);
        if directory.type_of(&path, &entry)? != FileType::RegularFile {
            listing.has_others |= name != "." && name != "..";
            continue;
        }
        let size_bytes = if name == LogFile::PartitionMetadata.name() {
            let bytes = directory.read(&path, PARTITION_METADATA_BYTES_MAX)?;
            listing.partition_metadata = bytes;
            listing.partition_metadata.len() as u64
        } else {
            directory.size_of(&path)?
        };
        listing.files.push((name.to_owned(), size_bytes));
    }
    listing.files.sort();
    Ok(())
}

/// A data directory; files and folders in it are named by their paths from here.
struct Directory(OwnedFd);

impl Directory {
    /// Everything in a folder, `.` and `..` included.
    fn entries(&self, path: &str) -> io::Result<Vec<DirEntry>> {
        let folder = self.open(path, OFlags::DIRECTORY)?;
        let entries = Dir::new(folder).and_then(Iterator::collect::<Result<_, Errno>>);
        entries.map_err(|error| about(path, error.into()))
    }

    fn open(&self, path: &str, flags: OFlags) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | flags;
        let open =
            |flags| retry_on_intr(|| rustix::fs::openat(&self.0, path, flags, Mode::empty()));
        let opened = match open(flags | UNTIMED) {
            // To the file's owner alone.
            Err(Errno::PERM) => open(flags),
            other => other,
        };
        opened.map_err(|error| about(path, error.into()))
    }

    /// What an entry is, without following a link. Most file systems tell with its name.
    fn type_of(&self, path: &str, entry: &DirEntry) -> io::Result<FileType> {
        let kind = entry.file_type();
        if kind != FileType::Unknown {
            return Ok(kind);
        }
        Ok(FileType::from_raw_mode(self.look(path)?.st_mode))
    }

    fn size_of(&self, path: &str) -> io::Result<u64> {
        u64::try_from(self.look(path)?.st_size).map_err(io::Error::other)
    }

    fn look(&self, path: &str) -> io::Result<Stat> {
        let found = rustix::fs::statat(&self.0, path, AtFlags::SYMLINK_NOFOLLOW);
        found.map_err(|error| about(path, error.into()))
    }

    /// Reads a file of at most `bytes_max`; a longer one is an error, for it is not what it is
    /// named.
    fn read(&self, path: &str, bytes_max: u64) -> io::Result<Bytes> {
        let file = File::from(self.open(path, OFlags::empty())?);
        // Room for a `partition.metadata` at once.
        let mut content = Vec::with_capacity(64);
        let outcome = file.take(bytes_max + 1).read_to_end(&mut content);
        outcome.map_err(|error| about(path, error))?;
        if content.len() as u64 > bytes_max {
            return Err(about(path, io::Error::other("is far too long")));
        }
        Ok(content.into())
    }
}

/// An error with the file it is about.
fn about(path: &str, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{path}: {error}"))
}
