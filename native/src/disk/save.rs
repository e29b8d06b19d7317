//! Small files that are replaced whole: checkpoints, votes, markers.
//!
//! Each is written beside the old one, flushed and renamed over it, and the folder is flushed.
//! Several in a row share that: their contents are flushed side by side, and their names at once.
//! They are renamed in the order in which they were asked for, and a file system with a journal
//! makes names of one folder durable in that order.

use std::fs::File;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::slice;
use std::sync::Arc;

use bytes::Bytes;
use ottla_core::storage::{DiskDone, FailureScope, Token};

use super::Engine;
use super::calls::write_all_at;
use super::commit::flush_files;
use super::directory::Directory;
use super::failure::Failure;

/// A file to replace, and whom to tell.
#[derive(Debug)]
pub(crate) struct Save {
    pub(crate) name: String,
    /// Its new content.
    pub(crate) bytes: Bytes,
    pub(crate) token: Token,
}

/// Replaces files of one folder, durably, and answers for each.
///
/// # Errors
/// What is final for the directory; nothing is answered then.
pub(crate) fn save(
    directory: &Arc<Directory>,
    engine: &Arc<Engine>,
    folder: &Path,
    saves: &[Save],
    done: &mut Vec<DiskDone>,
) -> Result<(), Failure> {
    match (replace(directory, engine, folder, saves), saves) {
        (Ok(()), saves) => {
            let saved = saves
                .iter()
                .map(|save| DiskDone::Saved { token: save.token });
            done.extend(saved);
        }
        (Err(full @ Failure::Full), [only]) => done.push(DiskDone::Failed {
            scope: FailureScope::Save(only.token),
            error: full.error(),
        }),
        // Some may fit.
        (Err(Failure::Full), several) => {
            for one in several {
                save(directory, engine, folder, slice::from_ref(one), done)?;
            }
        }
        (Err(failure @ Failure::Final(_)), _saves) => return Err(failure),
    }
    Ok(())
}

fn replace(
    directory: &Arc<Directory>,
    engine: &Arc<Engine>,
    folder: &Path,
    saves: &[Save],
) -> Result<(), Failure> {
    let calls = directory.calls();
    // Of one that is replaced twice only the second is ever seen.
    let newest = saves.iter().enumerate().filter(|(at, save)| {
        let mut later = saves[at + 1..].iter();
        later.all(|later| later.name != save.name)
    });
    let newest: Vec<&Save> = newest.map(|(_at, save)| save).collect();
    let mut written = Vec::with_capacity(newest.len());
    for Save { name, bytes, .. } in &newest {
        let temporary = temporary(folder, name);
        let file = write(directory, &temporary, bytes);
        let file = file.map_err(|error| Failure::of(&error, &temporary))?;
        written.push(file);
    }
    let finish = || -> io::Result<()> {
        flush_files(directory, engine, written)?;
        for Save { name, .. } in &newest {
            calls.rename(&temporary(folder, name), &folder.join(name))?;
        }
        calls.sync_folder(folder)
    };
    finish().map_err(|error| Failure::of(&error, folder))
}

fn write(directory: &Directory, path: &Path, bytes: &Bytes) -> io::Result<File> {
    let calls = directory.calls();
    let file = calls.create(path)?;
    calls.set_length(&file, 0)?;
    write_all_at(calls, &file, &mut [IoSlice::new(bytes)], 0)?;
    Ok(file)
}

fn temporary(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.tmp"))
}

/// Removes a file durably.
pub(crate) fn remove(directory: &Directory, name: &str) -> Result<(), Failure> {
    let calls = directory.calls();
    let path: PathBuf = directory.path().join(name);
    calls
        .remove_file(&path)
        .and_then(|()| calls.sync_folder(directory.path()))
        .map_err(|error| Failure::of(&error, &path))
}
