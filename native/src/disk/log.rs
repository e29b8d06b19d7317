//! One log's queue of operations, and the files they go to.
//!
//! Operations are queued while the order of effects is held, and carried out by whoever then holds
//! the queue: the worker that brought the request, or a disk worker. One at a time, first in first
//! out; there is no thread of the log's own. What an operation does is in `execute.rs`.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use ottla_core::ids::{Generation, LogId, Offset};
use ottla_core::storage::{DiskOp, LogFile};

use super::directory::Directory;
use super::handles::LazyFile;
use super::segment::{Segment, Stage};

/// Lists that a thread keeps, and the longest it keeps: some 50 KiB together.
const SPARES_MAX: usize = 8;
const SPARE_CAPACITY_MAX: usize = 64;

thread_local! {
    /// Lists of operations that are empty again.
    static SPARES: RefCell<Vec<VecDeque<DiskOp>>> = const { RefCell::new(Vec::new()) };
}

/// One log, bound to a folder.
#[derive(Debug)]
pub(crate) struct Log {
    id: LogId,
    directory: Arc<Directory>,
    folder: RwLock<Arc<str>>,
    queue: Mutex<Queue>,
    /// The segments that were touched, by base offset. A list, for it is short and most logs have
    /// one.
    segments: Mutex<Vec<Arc<Segment>>>,
    /// Segments that operations in the queue replace, oldest operation first.
    replaced: Mutex<VecDeque<Vec<Arc<Segment>>>>,
    /// Used by whoever holds the queue alone, so it is never waited for.
    writer: Mutex<Writer>,
}

/// Operations that wait.
#[derive(Debug, Default)]
struct Queue {
    operations: VecDeque<DiskOp>,
    /// Somebody carries operations out, and will look again.
    is_held: bool,
    /// The folder's name once everything in the queue is carried out.
    name_to_come: Option<Arc<str>>,
    /// How often the folder is still to be renamed.
    renames_left: u32,
    /// The logs that take over names of the folder, and whose queues this one holds until then.
    successors: Vec<Arc<Log>>,
}

/// What the next change of a log needs to know.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    pub(crate) generation: Generation,
    /// A change of this generation did not fit: its others are dropped.
    pub(crate) is_stopped: bool,
    pub(crate) active: Option<Active>,
    pub(crate) indexes: Vec<Index>,
    pub(crate) dirty: Dirty,
}

/// The segment that is appended to.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) segment: Arc<Segment>,
    pub(crate) length: u64,
    /// Up to here space is allocated; not below `length` where it is known.
    pub(crate) allocated_end: u64,
}

/// An index file that was appended to.
#[derive(Debug)]
pub(crate) struct Index {
    pub(crate) file: LogFile,
    pub(crate) handle: Arc<LazyFile>,
    /// `None` until the file was cut to where the entries begin.
    pub(crate) length: Option<u64>,
    pub(crate) is_dirty: bool,
}

/// What the next sync has to make durable.
#[derive(Debug, Default)]
pub(crate) struct Dirty {
    pub(crate) segments: Vec<Arc<Segment>>,
    pub(crate) indexes: Vec<(LogFile, Arc<LazyFile>)>,
    /// Files were made or removed in the folder.
    pub(crate) folder: bool,
    /// The folder itself was made or renamed.
    pub(crate) folder_name: bool,
}

impl Log {
    /// Binds an id to a folder; touches no file.
    pub(crate) fn new(id: LogId, directory: Arc<Directory>, folder: Arc<str>) -> Self {
        Self {
            id,
            directory,
            queue: Mutex::new(Queue {
                name_to_come: Some(Arc::clone(&folder)),
                ..Queue::default()
            }),
            folder: RwLock::new(folder),
            segments: Mutex::default(),
            replaced: Mutex::default(),
            writer: Mutex::default(),
        }
    }

    /// The core's name for the log.
    pub(crate) fn id(&self) -> LogId {
        self.id
    }

    /// The data directory it lies in.
    pub(crate) fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }

    /// Path of the folder as it is named now.
    pub(crate) fn folder_path(&self) -> PathBuf {
        self.directory.path().join(&**self.hold_folder())
    }

    /// Keeps the folder's name as it is.
    pub(crate) fn hold_folder(&self) -> RwLockReadGuard<'_, Arc<str>> {
        self.folder.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks the folder's name, to rename it.
    pub(crate) fn lock_folder(&self) -> RwLockWriteGuard<'_, Arc<str>> {
        self.folder.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The segment with this base offset; it is known from now on. Touches no file.
    pub(crate) fn segment(&self, base: Offset) -> Arc<Segment> {
        let mut segments = self.lock_segments();
        match segments.binary_search_by_key(&base, |segment| segment.base()) {
            Ok(index) => Arc::clone(&segments[index]),
            Err(index) => {
                let segment = Arc::new(Segment::new(base));
                segments.insert(index, Arc::clone(&segment));
                segment
            }
        }
    }

    /// Forgets a segment; answers it for its last rites.
    pub(crate) fn forget_segment(&self, base: Offset) -> Option<Arc<Segment>> {
        let mut segments = self.lock_segments();
        let index = segments.binary_search_by_key(&base, |segment| segment.base());
        index.ok().map(|index| segments.remove(index))
    }

    /// Forgets the segments from `start` on.
    pub(crate) fn forget_segments(&self, start: Offset) -> Vec<Arc<Segment>> {
        let mut segments = self.lock_segments();
        let index = segments.partition_point(|segment| segment.base() < start);
        segments.split_off(index)
    }

    /// Replaces segments by a new one in the eyes of later replies; the files follow when the
    /// operation is carried out.
    pub(crate) fn begin_replacement(&self, base: Offset, sources: &[Offset]) {
        let mut segments = self.lock_segments();
        let (old, mut kept) = segments
            .drain(..)
            .partition::<Vec<_>, _>(|segment| sources.contains(&segment.base()));
        let place = kept.partition_point(|segment| segment.base() < base);
        let stage = Stage::Cleaned;
        kept.insert(place, Arc::new(Segment::at_stage(base, stage)));
        *segments = kept;
        drop(segments);
        self.lock_replaced().push_back(old);
    }

    /// The segments that the operation which is carried out replaces.
    pub(crate) fn take_replaced(&self) -> Vec<Arc<Segment>> {
        let old = self.lock_replaced().pop_front();
        old.expect("they were noted when the operation was queued")
    }

    fn lock_replaced(&self) -> MutexGuard<'_, VecDeque<Vec<Arc<Segment>>>> {
        self.replaced.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_segments(&self) -> MutexGuard<'_, Vec<Arc<Segment>>> {
        self.segments.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The writer's state; for whoever holds the queue, and after the end.
    pub(crate) fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues an operation. `true` where the caller now holds the queue and must see to it that it
    /// is carried out.
    #[must_use]
    pub(crate) fn enqueue(&self, operation: DiskOp) -> bool {
        let mut queue = self.lock_queue();
        if queue.operations.capacity() == 0 {
            queue.operations = SPARES.with_borrow_mut(|spares| spares.pop().unwrap_or_default());
        }
        queue.operations.push_back(operation);
        !std::mem::replace(&mut queue.is_held, true)
    }

    /// Keeps an emptied list for the next operations of any log: a log that is idle holds none.
    pub(crate) fn spare(operations: VecDeque<DiskOp>) {
        assert!(operations.is_empty(), "operations are carried out");
        SPARES.with_borrow_mut(|spares| {
            if spares.len() < SPARES_MAX
                && (1..=SPARE_CAPACITY_MAX).contains(&operations.capacity())
            {
                spares.push(operations);
            }
        });
    }

    /// Exchanges carried-out operations for waiting ones; `false` lets go of the queue, for there
    /// are none.
    pub(crate) fn take_operations(&self, operations: &mut VecDeque<DiskOp>) -> bool {
        assert!(operations.is_empty(), "operations are carried out in order");
        let mut queue = self.lock_queue();
        assert!(queue.is_held, "only the holder takes operations");
        if queue.operations.is_empty() {
            queue.is_held = false;
            return false;
        }
        std::mem::swap(operations, &mut queue.operations);
        true
    }

    /// Notes that the folder is to be renamed by an operation that is about to be queued; answers
    /// the name that becomes free.
    pub(crate) fn begin_renaming(&self, folder: &Arc<str>) -> Arc<str> {
        let mut queue = self.lock_queue();
        queue.renames_left += 1;
        let former = queue.name_to_come.replace(Arc::clone(folder));
        former.expect("it has a name since it was bound")
    }

    /// Holds the queue of a new log until this one's folder is out of its way. There is no order
    /// between logs otherwise.
    pub(crate) fn hold_back(&self, successor: &Arc<Self>) {
        let mut queue = self.lock_queue();
        if queue.renames_left > 0 {
            successor.lock_queue().is_held = true;
            queue.successors.push(Arc::clone(successor));
        }
    }

    /// Says that the folder was renamed; answers the logs that waited for it to be out of the way,
    /// whose queues the caller holds now.
    pub(crate) fn step_aside(&self) -> Vec<Arc<Self>> {
        let mut queue = self.lock_queue();
        queue.renames_left -= 1;
        if queue.renames_left > 0 {
            return Vec::new();
        }
        std::mem::take(&mut queue.successors)
    }

    fn lock_queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writer {
    /// Marks the active segment as written to since the last sync.
    pub(crate) fn mark_active_dirty(&mut self) {
        let Some(active) = &self.active else {
            return;
        };
        let is_marked = self.dirty.segments.last();
        if !is_marked.is_some_and(|segment| Arc::ptr_eq(segment, &active.segment)) {
            self.dirty.segments.push(Arc::clone(&active.segment));
        }
    }

    /// Moves the indexes of segments that are not appended to any more to what the next sync
    /// makes durable, or all of them when the log closes.
    pub(crate) fn retire_indexes(&mut self, closing: bool) {
        let active = self.active.as_ref().map(|active| active.segment.base());
        let dirty = &mut self.dirty;
        self.indexes.retain_mut(|index| {
            if !closing && index_base(index.file) == active {
                return true;
            }
            if std::mem::take(&mut index.is_dirty) {
                dirty.indexes.push((index.file, Arc::clone(&index.handle)));
            }
            false
        });
    }
}

impl Dirty {
    /// Whether there is nothing to make durable.
    pub(crate) fn is_empty(&self) -> bool {
        self.segments.is_empty() && self.indexes.is_empty() && !self.folder && !self.folder_name
    }
}

/// Base offset of an index file's segment; `None` for other files.
pub(crate) fn index_base(file: LogFile) -> Option<Offset> {
    match file {
        LogFile::OffsetIndex(base) | LogFile::TimeIndex(base) | LogFile::TransactionIndex(base) => {
            Some(base)
        }
        LogFile::LeaderEpochs
        | LogFile::Log(_)
        | LogFile::PartitionMetadata
        | LogFile::ProducerSnapshot(_)
        | LogFile::QuorumState
        | LogFile::Snapshot(..)
        | LogFile::Swap(_) => None,
    }
}
