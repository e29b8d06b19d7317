//! A file in a data directory that was replaced stays replaced: R57.
//!
//! Once the disk has said that a checkpoint is saved, or a marker removed, a power cut leaves that
//! or what was asked for later, never what was there before. Else what was deleted comes back, and
//! a marker vouches for a run that it did not see.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::Violation;
use crate::sim::disk::{DirectoryId, FileSystem};
use crate::storage::{DiskDone, DiskOp, FailureScope, Token};

/// What a file may hold; `None` where it is not there.
type Content = Option<Bytes>;

/// The versions of one file, in the order in which they were asked for.
#[derive(Clone, Debug, Default)]
struct Versions {
    asked: Vec<(u64, Content)>,
    /// Whether the first of them is durable.
    is_durable: bool,
}

/// The files directly in the data directory of a node; see the module.
#[derive(Clone, Debug, Default)]
pub struct SavedChecker {
    files: BTreeMap<&'static str, Versions>,
    pending: Vec<(Token, &'static str, u64)>,
    asked: u64,
    violations: Vec<Violation>,
}

impl SavedChecker {
    /// Takes what was found so far.
    pub fn take_violations(&mut self) -> Vec<Violation> {
        std::mem::take(&mut self.violations)
    }

    /// Notes an operation in the order of emission.
    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "a checker names what it looks at; the rest replaces no file of a directory"
    )]
    pub fn on_op(&mut self, op: &DiskOp) {
        let (file, content, token) = match op {
            DiskOp::SaveDirectoryFile {
                file, bytes, token, ..
            } => (file.name(), Some(bytes.clone()), *token),
            DiskOp::RemoveDirectoryFile { file, token, .. } => (file.name(), None, *token),
            _other => return,
        };
        self.asked += 1;
        self.pending.push((token, file, self.asked));
        let versions = self.files.entry(file).or_default();
        versions.asked.push((self.asked, content));
    }

    /// The disk says that something is done, or refused for lack of space.
    ///
    /// Several files may be saved under one token. They are answered in the order in which they
    /// were asked for, the refused ones too: else the answer for a small file that still fitted
    /// would be taken for that of the large one before it.
    pub fn on_done(&mut self, done: &DiskDone) {
        let (token, is_saved) = match done {
            DiskDone::Saved { token } => (token, true),
            DiskDone::Failed {
                scope: FailureScope::Save(token),
                ..
            } => (token, false),
            DiskDone::Appended { .. }
            | DiskDone::Created { .. }
            | DiskDone::Failed { .. }
            | DiskDone::Read { .. }
            | DiskDone::Synced { .. }
            | DiskDone::Truncated { .. }
            | DiskDone::Worked { .. } => return,
        };
        let place = self.pending.iter().position(|(asked, _, _)| asked == token);
        let Some((_, file, number)) = place.map(|place| self.pending.remove(place)) else {
            return;
        };
        let versions = self.files.entry(file).or_default();
        if is_saved {
            versions.asked.retain(|(asked, _)| *asked >= number);
            versions.is_durable = true;
        } else {
            versions.asked.retain(|(asked, _)| *asked != number);
        }
    }

    /// Judges what a death left, and goes on from there where it was the power's.
    pub fn on_crash(&mut self, files: &FileSystem, power: bool) {
        self.pending.clear();
        for (name, versions) in &mut self.files {
            let found = files.content(DirectoryId::ROOT, name);
            let found = found.map(|content| Bytes::from(content.to_vec()));
            let is_known = versions.asked.iter().any(|(_, content)| *content == found);
            if versions.is_durable && !is_known {
                let what = format!("{name}: what was saved is not there any more");
                self.violations.push(Violation::new("R57", what));
            }
            if power {
                versions.asked = vec![(self.asked, found)];
                versions.is_durable = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::DirectoryIndex;
    use crate::storage::{DirectoryFile, DiskError};

    fn save(token: u32, text: &'static str) -> DiskOp {
        save_as(DirectoryFile::RecoveryPoints, token, text)
    }

    fn save_as(file: DirectoryFile, token: u32, text: &'static str) -> DiskOp {
        DiskOp::SaveDirectoryFile {
            directory: DirectoryIndex(0),
            file,
            bytes: Bytes::from_static(text.as_bytes()),
            token: Token::of_node(token),
        }
    }

    #[test]
    fn what_is_saved_stays() {
        let mut checker = SavedChecker::default();
        let empty = FileSystem::default();
        checker.on_op(&save(1, "a"));
        checker.on_crash(&empty, false);
        assert!(checker.take_violations().is_empty(), "nothing is promised");
        checker.on_op(&save(2, "b"));
        checker.on_done(&DiskDone::Saved {
            token: Token::of_node(2),
        });
        checker.on_op(&save(3, "c"));
        checker.on_crash(&empty, true);
        assert_eq!(checker.take_violations().len(), 1);
        checker.on_crash(&empty, true);
        assert!(
            checker.take_violations().is_empty(),
            "it is known to be gone"
        );
    }
    #[test]
    fn a_file_that_is_refused_stays_as_it_was() {
        let token = Token::of_node(2);
        let saved = DiskDone::Saved { token };
        let refused = DiskDone::Failed {
            scope: FailureScope::Save(token),
            error: DiskError::Full,
        };
        let old = [("recovery-point-offset-checkpoint", "a")];
        let with = |contents: &[(&str, &str)]| {
            let mut files = FileSystem::default();
            for (name, content) in contents {
                files.write(DirectoryId::ROOT, name, 0, content.as_bytes());
            }
            files
        };
        let mut checker = SavedChecker::default();
        checker.on_op(&save(2, "a"));
        checker.on_done(&saved);
        // Two files under one token, of which the first does not fit.
        checker.on_op(&save(2, "long"));
        checker.on_op(&save_as(DirectoryFile::CleanerOffsets, 2, "b"));
        checker.on_done(&refused);
        checker.on_done(&saved);
        let both = [old[0], ("cleaner-offset-checkpoint", "b")];
        checker.on_crash(&with(&both), false);
        assert_eq!(checker.take_violations(), []);
        checker
            .clone()
            .on_crash(&with(&[("recovery-point-offset-checkpoint", "long")]), true);
        checker.on_crash(&with(&old), true);
        assert_eq!(
            checker.take_violations().len(),
            1,
            "the other one was saved"
        );
    }
}
