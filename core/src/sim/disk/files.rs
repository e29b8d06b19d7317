//! One simulated file system: what system calls see, and what a power cut would leave.
//!
//! Each file and each directory has two states: *cached*, which every call of the process sees and
//! which outlives the process, and *durable*, which alone is certain to outlive the power. A file's
//! bytes become durable by [`FileSystem::sync_file`], names by [`FileSystem::sync_directory`], and
//! neither implies the other: POSIX promises no more, and code that relies on more is what the
//! simulator is to find. What becomes of the rest at a power cut is decided in
//! `crate::sim::disk::loss`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::content::Content;

/// A file, whatever names it has.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct FileId(pub u32);

/// A directory; [`DirectoryId::ROOT`] is the data directory itself.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct DirectoryId(pub u32);

impl DirectoryId {
    /// The data directory.
    pub const ROOT: Self = Self(0);
}

/// What a name means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Entry {
    /// A file.
    File(FileId),
    /// A directory; only the data directory has them.
    Folder(DirectoryId),
}

/// A change of a directory's names that is not durable yet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum NameChange {
    /// The name now means this.
    Link(Arc<str>, Entry),
    /// The name is gone.
    Remove(Arc<str>),
    /// The entry moved from one name to another, replacing what that meant; in one step.
    Rename(Arc<str>, Arc<str>, Entry),
}

/// Bytes of a file in both states.
#[derive(Clone, Debug, Default)]
pub(super) struct File {
    pub(super) cached: Content,
    pub(super) durable: Content,
    /// Pages written since the last sync.
    pub(super) dirty: BTreeSet<u32>,
}

impl File {
    /// Whether a power cut could change what is read.
    pub(super) fn is_dirty(&self) -> bool {
        !self.dirty.is_empty() || self.cached.length() != self.durable.length()
    }

    fn sync(&mut self) {
        self.durable.set_length(self.cached.length());
        for page in std::mem::take(&mut self.dirty) {
            if page < self.cached.page_count() {
                self.durable.copy_page(page, &self.cached);
            }
        }
    }
}

/// Names of a directory in both states.
#[derive(Clone, Debug, Default)]
pub(super) struct Directory {
    pub(super) cached: BTreeMap<Arc<str>, Entry>,
    pub(super) durable: BTreeMap<Arc<str>, Entry>,
    /// What leads from durable to cached, in order.
    pub(super) pending: Vec<NameChange>,
}

/// A data directory with its folders and files.
#[derive(Clone, Debug)]
pub struct FileSystem {
    pub(super) directories: BTreeMap<DirectoryId, Directory>,
    pub(super) files: BTreeMap<FileId, File>,
    next_id: u32,
}

impl Default for FileSystem {
    fn default() -> Self {
        Self {
            directories: BTreeMap::from([(DirectoryId::ROOT, Directory::default())]),
            files: BTreeMap::new(),
            next_id: 1,
        }
    }
}

impl FileSystem {
    /// What a name means to the process.
    #[must_use]
    pub fn lookup(&self, directory: DirectoryId, name: &str) -> Option<Entry> {
        self.directories.get(&directory)?.cached.get(name).copied()
    }

    /// The folder of that name in the data directory.
    #[must_use]
    pub fn folder(&self, name: &str) -> Option<DirectoryId> {
        match self.lookup(DirectoryId::ROOT, name)? {
            Entry::Folder(id) => Some(id),
            Entry::File(_) => None,
        }
    }

    /// The cached content of a file; `None` where there is none of that name.
    #[must_use]
    pub fn content(&self, directory: DirectoryId, name: &str) -> Option<&Content> {
        Some(&self.files.get(&self.file(directory, name)?)?.cached)
    }

    /// The durable content of a file that the process sees under this name, whether or not the name
    /// is durable.
    #[must_use]
    pub fn durable_content(&self, directory: DirectoryId, name: &str) -> Option<&Content> {
        Some(&self.files.get(&self.file(directory, name)?)?.durable)
    }

    /// What a name is certain to mean after a power cut.
    #[must_use]
    pub fn durable_lookup(&self, directory: DirectoryId, name: &str) -> Option<Entry> {
        self.directories.get(&directory)?.durable.get(name).copied()
    }

    /// Names of a directory as the process sees them, sorted.
    pub fn names(&self, directory: DirectoryId) -> impl Iterator<Item = (&Arc<str>, Entry)> {
        self.directories
            .get(&directory)
            .into_iter()
            .flat_map(|directory| directory.cached.iter().map(|(name, entry)| (name, *entry)))
    }

    /// Whether the directory has names that a power cut could undo.
    #[must_use]
    pub fn has_pending_names(&self, directory: DirectoryId) -> bool {
        self.directories
            .get(&directory)
            .is_some_and(|directory| !directory.pending.is_empty())
    }

    /// Whether a power cut could change the bytes of the file of this name.
    #[must_use]
    pub fn is_dirty(&self, directory: DirectoryId, name: &str) -> bool {
        self.file(directory, name)
            .and_then(|id| self.files.get(&id))
            .is_some_and(File::is_dirty)
    }

    /// Sum of the lengths of all named files, in bytes.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        let mut used = 0;
        for directory in self.directories.values() {
            for entry in directory.cached.values() {
                if let Entry::File(id) = entry {
                    used += u64::from(self.files[id].cached.length());
                }
            }
        }
        used
    }

    /// Makes an empty file, or empties the one of that name.
    pub fn create_file(&mut self, directory: DirectoryId, name: &str) {
        if let Some(id) = self.file(directory, name) {
            self.set_length_of(id, 0);
            return;
        }
        let id = FileId(self.fresh_id());
        self.files.insert(id, File::default());
        self.change_names(directory, NameChange::Link(name.into(), Entry::File(id)));
    }

    /// Makes a folder in the data directory; one of that name stays as it is.
    pub fn create_folder(&mut self, name: &str) -> DirectoryId {
        if let Some(id) = self.folder(name) {
            return id;
        }
        let id = DirectoryId(self.fresh_id());
        self.directories.insert(id, Directory::default());
        self.change_names(
            DirectoryId::ROOT,
            NameChange::Link(name.into(), Entry::Folder(id)),
        );
        id
    }

    /// Writes to a file, making it where there is none.
    pub fn write(&mut self, directory: DirectoryId, name: &str, position: u32, bytes: &[u8]) {
        if self.file(directory, name).is_none() {
            self.create_file(directory, name);
        }
        let id = self.file(directory, name).expect("made above if need be");
        let file = self.files.get_mut(&id).expect("a name leads to a file");
        let first_changed = position.min(file.cached.length());
        file.cached.write(position, bytes);
        let last_byte = file.cached.length().max(1) - 1;
        let end = position + u32::try_from(bytes.len()).expect("checked by Content::write");
        let last_changed = end.saturating_sub(1).min(last_byte);
        file.dirty.extend(
            first_changed / super::content::PAGE_BYTES..=last_changed / super::content::PAGE_BYTES,
        );
    }

    /// Cuts or extends a file; nothing happens where there is none.
    pub fn set_length(&mut self, directory: DirectoryId, name: &str, length: u32) {
        if let Some(id) = self.file(directory, name) {
            self.set_length_of(id, length);
        }
    }

    /// Renames within a directory, replacing what the new name meant.
    pub fn rename(&mut self, directory: DirectoryId, from: &str, to: &str) {
        if let Some(entry) = self.lookup(directory, from) {
            self.change_names(directory, NameChange::Rename(from.into(), to.into(), entry));
        }
    }

    /// Removes a name; a folder goes with all that is in it.
    pub fn remove(&mut self, directory: DirectoryId, name: &str) {
        if self.lookup(directory, name).is_some() {
            self.change_names(directory, NameChange::Remove(name.into()));
        }
    }

    /// Makes a file's bytes and length durable (`fdatasync`).
    pub fn sync_file(&mut self, directory: DirectoryId, name: &str) {
        let Some(id) = self.file(directory, name) else {
            return;
        };
        let file = self.files.get_mut(&id).expect("a name leads to a file");
        file.sync();
    }

    /// Forgets that a file's pages were never written: what a failed `fsync` does on Linux.
    pub fn lose_dirtiness(&mut self, directory: DirectoryId, name: &str) {
        if let Some(id) = self.file(directory, name) {
            let file = self.files.get_mut(&id).expect("a name leads to a file");
            file.dirty.clear();
        }
    }

    /// Makes a directory's names durable (`fsync` of the directory).
    pub fn sync_directory(&mut self, directory: DirectoryId) {
        let Some(state) = self.directories.get_mut(&directory) else {
            return;
        };
        let forgets = state
            .pending
            .iter()
            .any(|change| !matches!(change, NameChange::Link(..)));
        state.durable = state.cached.clone();
        state.pending.clear();
        if forgets {
            self.collect();
        }
    }

    /// Makes everything durable (`syncfs`).
    pub fn sync_all(&mut self) {
        for file in self.files.values_mut() {
            file.sync();
        }
        for state in self.directories.values_mut() {
            state.durable = state.cached.clone();
            state.pending.clear();
        }
        self.collect();
    }

    /// Drops what no name leads to in either state.
    pub(super) fn collect(&mut self) {
        let mut files = BTreeSet::new();
        let mut folders = BTreeSet::from([DirectoryId::ROOT]);
        let root = &self.directories[&DirectoryId::ROOT];
        for entry in names_in_any_state(root) {
            if let Entry::Folder(id) = entry {
                folders.insert(id);
            }
        }
        self.directories.retain(|id, _| folders.contains(id));
        for directory in self.directories.values() {
            for entry in names_in_any_state(directory) {
                if let Entry::File(id) = entry {
                    files.insert(id);
                }
            }
        }
        self.files.retain(|id, _| files.contains(id));
    }

    fn file(&self, directory: DirectoryId, name: &str) -> Option<FileId> {
        match self.lookup(directory, name)? {
            Entry::File(id) => Some(id),
            Entry::Folder(_) => None,
        }
    }

    fn set_length_of(&mut self, id: FileId, length: u32) {
        let file = self.files.get_mut(&id).expect("a name leads to a file");
        let shortest = length.min(file.cached.length());
        file.cached.set_length(length);
        let first = shortest / super::content::PAGE_BYTES;
        file.dirty.extend(first..file.cached.page_count());
    }

    fn change_names(&mut self, directory: DirectoryId, change: NameChange) {
        if let Some(state) = self.directories.get_mut(&directory) {
            apply_name_change(&mut state.cached, &change);
            state.pending.push(change);
        }
    }

    fn fresh_id(&mut self) -> u32 {
        self.next_id += 1;
        self.next_id
    }
}

/// Applies one change to a table of names; a rename finds its entry even where the link before it
/// was lost.
pub(super) fn apply_name_change(names: &mut BTreeMap<Arc<str>, Entry>, change: &NameChange) {
    match change {
        NameChange::Link(name, entry) => {
            names.insert(Arc::clone(name), *entry);
        }
        NameChange::Remove(name) => {
            names.remove(name);
        }
        NameChange::Rename(from, to, entry) => {
            if names.get(from) == Some(entry) {
                names.remove(from);
            }
            names.insert(Arc::clone(to), *entry);
        }
    }
}

fn names_in_any_state(directory: &Directory) -> impl Iterator<Item = Entry> {
    let pending = directory.pending.iter().filter_map(|change| match change {
        NameChange::Link(_, entry) | NameChange::Rename(_, _, entry) => Some(*entry),
        NameChange::Remove(_) => None,
    });
    directory
        .cached
        .values()
        .chain(directory.durable.values())
        .copied()
        .chain(pending)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: DirectoryId = DirectoryId::ROOT;

    #[test]
    fn bytes_and_names_become_durable_apart() {
        let mut files = FileSystem::default();
        let folder = files.create_folder("t-0");
        files.write(folder, "a.log", 0, b"hello");
        assert!(files.is_dirty(folder, "a.log"));
        files.sync_file(folder, "a.log");
        assert!(!files.is_dirty(folder, "a.log"));
        assert_eq!(files.durable_lookup(folder, "a.log"), None);
        files.sync_directory(folder);
        assert!(files.durable_lookup(folder, "a.log").is_some());
        assert_eq!(files.durable_lookup(ROOT, "t-0"), None);
        files.sync_directory(ROOT);
        assert!(!files.has_pending_names(ROOT));
        assert_eq!(files.used_bytes(), 5);
    }

    #[test]
    fn a_replaced_file_lives_until_the_directory_is_synced() {
        let mut files = FileSystem::default();
        files.write(ROOT, "a", 0, b"old");
        files.sync_file(ROOT, "a");
        files.sync_directory(ROOT);
        files.write(ROOT, "a.tmp", 0, b"new");
        files.sync_file(ROOT, "a.tmp");
        files.rename(ROOT, "a.tmp", "a");
        assert_eq!(files.files.len(), 2);
        assert_eq!(
            files.content(ROOT, "a").map(Content::to_vec),
            Some(b"new".to_vec())
        );
        files.sync_directory(ROOT);
        assert_eq!(files.files.len(), 1);
        files.remove(ROOT, "a");
        assert_eq!(files.content(ROOT, "a"), None);
        files.sync_directory(ROOT);
        assert!(files.files.is_empty());
    }
}
