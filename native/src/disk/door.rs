//! The side of the disk that is used while the order of effects is held.
//!
//! It queues operations and pins the slices of replies. It makes no system call and waits for
//! nothing but the short locks of queues.

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_core::ids::{DirectoryIndex, LogId, Offset};
use ottla_core::map::LookupMap;
use ottla_core::storage::{DirectoryFile, DiskOp};

use super::Work;
use super::directory::{Directory, DirectoryChange};
use super::execute::LogWork;
use super::log::Log;
use super::segment::FileRange;

/// A folder of a data directory.
type FolderName = (DirectoryIndex, Arc<str>);

/// The side of the disk that is used while the order of effects is held. Makes no system call.
#[derive(Debug)]
pub(crate) struct DiskDoor {
    directories: Vec<Arc<Directory>>,
    logs: LookupMap<LogId, Arc<Log>>,
    /// Every log of a directory; what a clean stop flushes.
    by_directory: Vec<Vec<LogId>>,
    /// Logs whose folders are to be renamed, by the name that becomes free.
    leaving: BTreeMap<FolderName, Arc<Log>>,
}

impl DiskDoor {
    /// Knows the directories and no log yet.
    pub(crate) fn new(directories: Vec<Arc<Directory>>) -> Self {
        Self {
            by_directory: vec![Vec::new(); directories.len()],
            directories,
            logs: LookupMap::default(),
            leaving: BTreeMap::new(),
        }
    }

    /// Queues the operations of one turn. `ready` receives the queues that nobody works on yet.
    pub(crate) fn enqueue(
        &mut self,
        operations: impl IntoIterator<Item = DiskOp>,
        ready: &mut Vec<Work>,
    ) {
        for operation in operations {
            let Some(id) = operation.log() else {
                self.enqueue_at_directory(operation, ready);
                continue;
            };
            if let DiskOp::CreateLog {
                directory, folder, ..
            }
            | DiskOp::OpenLog {
                directory, folder, ..
            } = &operation
            {
                self.bind(id, *directory, folder);
            }
            let is_last = matches!(operation, DiskOp::RemoveLog { .. });
            let log = self.logs.get(&id).expect("operations name logs that exist");
            if let DiskOp::MarkLogDeleted { folder, .. } | DiskOp::RenameLog { folder, .. } =
                &operation
            {
                let index = log.directory().index();
                let former = log.begin_renaming(folder);
                self.leaving.insert((index, former), Arc::clone(log));
            }
            if let DiskOp::ReplaceSegments {
                segment, sources, ..
            } = &operation
            {
                log.begin_replacement(*segment, sources);
            }
            if log.enqueue(operation) {
                ready.push(Work::Log(LogWork::new(Arc::clone(log))));
            }
            if is_last {
                let index = log.directory().index();
                self.by_directory[usize::from(index.0)].retain(|known| *known != id);
                self.leaving.retain(|_name, leaving| leaving.id() != id);
                self.logs.remove(&id);
            }
        }
    }

    fn bind(&mut self, id: LogId, index: DirectoryIndex, folder: &Arc<str>) {
        let slot = usize::from(index.0);
        let directory = Arc::clone(&self.directories[slot]);
        let log = Arc::new(Log::new(id, directory, Arc::clone(folder)));
        if let Some(leaving) = self.leaving.remove(&(index, Arc::clone(folder))) {
            leaving.hold_back(&log);
        }
        let former = self.logs.insert(id, log);
        assert!(former.is_none(), "a log's id is never reused");
        self.by_directory[slot].push(id);
    }

    fn enqueue_at_directory(&self, operation: DiskOp, ready: &mut Vec<Work>) {
        let (index, file, content, token) = if let DiskOp::SaveDirectoryFile {
            directory,
            file,
            bytes,
            token,
        } = operation
        {
            (directory, file, Some(bytes), token)
        } else if let DiskOp::RemoveDirectoryFile {
            directory,
            file,
            token,
        } = operation
        {
            (directory, file, None, token)
        } else {
            unreachable!("{operation:?} is a log's operation")
        };
        let slot = usize::from(index.0);
        let directory = &self.directories[slot];
        let is_clean_stop = file == DirectoryFile::CleanShutdown && content.is_some();
        let logs = is_clean_stop.then(|| self.by_directory[slot].iter());
        let flush_first = logs.into_iter().flatten();
        let flush_first = flush_first.filter_map(|id| self.logs.get(id).cloned());
        if directory.enqueue(DirectoryChange {
            file,
            content,
            token,
            flush_first: flush_first.collect(),
        }) {
            ready.push(Work::Directory(Arc::clone(directory)));
        }
    }

    /// Every log that is bound.
    pub(crate) fn logs(&self) -> impl Iterator<Item = &Arc<Log>> {
        let ids = self.by_directory.iter().flatten();
        ids.filter_map(|id| self.logs.get(id))
    }

    /// Pins a range of a segment for a reply, before any later operation of its log is queued.
    ///
    /// `None` where the log is gone, which the core should not have named.
    pub(crate) fn pin(
        &self,
        log: LogId,
        segment: Offset,
        position: u32,
        length: u32,
    ) -> Option<FileRange> {
        let log = self.logs.get(&log)?;
        let segment = log.segment(segment);
        Some(FileRange::new(Arc::clone(log), segment, position, length))
    }
}
