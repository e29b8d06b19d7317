//! The calls into the operating system that touch files: one narrow trait, so that a test can make
//! a call fail.
//!
//! No policy lives here: what a failure means is decided in `execute.rs` and `commit.rs`. Calls
//! that only Linux has (`fallocate`, `preadv2` with `RWF_NOWAIT`) do nothing elsewhere.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;

/// What the disk asks of the operating system. Every method has the real call as its default.
pub(crate) trait SystemCalls: Send + Sync + fmt::Debug {
    /// Opens a file for reading and writing; it must exist.
    fn open(&self, path: &Path) -> io::Result<File> {
        open_untimed(OpenOptions::new().read(true).write(true), path)
    }

    /// Opens a file for reading and writing, and makes it if it is not there; its content stays.
    fn create(&self, path: &Path) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        open_untimed(&mut options, path)
    }

    /// Makes a folder; one that is there already is no error.
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        match std::fs::create_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            other => other,
        }
    }

    /// Writes at a position; may write less than everything.
    fn write_at(&self, file: &File, slices: &[IoSlice<'_>], position: u64) -> io::Result<usize> {
        Ok(rustix::io::pwritev(file, slices, position)?)
    }

    /// Reads at a position until the buffer is full or the file ends; may wait for the device.
    fn read_at(&self, file: &File, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match file.read_at(&mut buffer[filled..], position + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    /// Reads at a position only what is in memory already: `None` where the device would be
    /// waited for, or where the platform cannot tell.
    fn read_resident(
        &self,
        file: &File,
        buffer: &mut [u8],
        position: u64,
    ) -> io::Result<Option<usize>> {
        read_resident(file, buffer, position)
    }

    /// Cuts or extends a file, and gives back what was allocated past its end.
    fn set_length(&self, file: &File, length: u64) -> io::Result<()> {
        file.set_len(length)
    }

    /// Allocates a range without changing the file's length.
    fn preallocate(&self, file: &File, position: u64, length: u64) -> io::Result<()> {
        preallocate(file, position, length)
    }

    /// Makes a file's content and length durable.
    fn sync_file(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    /// Makes everything durable that lies on the file system of an open file, names included, and
    /// says so; `false` where that cannot be done with all errors reported.
    fn sync_file_system(&self, file: &File) -> io::Result<bool> {
        sync_file_system(file)
    }

    /// Makes the names in a folder durable.
    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    /// Renames a file or a folder, over a file that is there.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    /// Removes a file; one that is not there is no error.
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// Removes a folder and what is in it; one that is not there is no error.
    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        match std::fs::remove_dir_all(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }
}

/// Opens a file without having the time of its reads noted, where the system allows that: to its
/// owner. Nobody asks for that time, and the first read after a write costs twice as much with it.
fn open_untimed(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    options.custom_flags(UNTIMED.bits().cast_signed());
    match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            options.custom_flags(0).open(path)
        }
        other => other,
    }
}

/// Reads are not noted.
#[cfg(target_os = "linux")]
pub(crate) const UNTIMED: OFlags = OFlags::NOATIME;

/// Elsewhere they are.
#[cfg(not(target_os = "linux"))]
pub(crate) const UNTIMED: OFlags = OFlags::empty();

/// The operating system itself.
#[derive(Debug, Default)]
pub(crate) struct OperatingSystem;

impl SystemCalls for OperatingSystem {}

#[cfg(target_os = "linux")]
fn read_resident(file: &File, buffer: &mut [u8], position: u64) -> io::Result<Option<usize>> {
    use rustix::io::ReadWriteFlags;
    let mut slices = [io::IoSliceMut::new(buffer)];
    match rustix::io::preadv2(file, &mut slices, position, ReadWriteFlags::NOWAIT) {
        Ok(count) => Ok(Some(count)),
        Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::INTR | Errno::NOSYS) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn read_resident(_file: &File, _buffer: &mut [u8], _position: u64) -> io::Result<Option<usize>> {
    Ok(None)
}

/// Linux reports errors of single files here since version 5.8.
#[cfg(target_os = "linux")]
fn sync_file_system(file: &File) -> io::Result<bool> {
    static REPORTS_ERRORS: std::sync::LazyLock<bool> = std::sync::LazyLock::new(|| {
        let names = rustix::system::uname();
        let release = names.release().to_string_lossy();
        let mut numbers = release
            .split('.')
            .map(|part| part.parse::<u32>().unwrap_or(0));
        let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        version >= (5, 8)
    });
    if *REPORTS_ERRORS {
        rustix::fs::syncfs(file)?;
    }
    Ok(*REPORTS_ERRORS)
}

#[cfg(not(target_os = "linux"))]
fn sync_file_system(_file: &File) -> io::Result<bool> {
    Ok(false)
}

#[cfg(target_os = "linux")]
fn preallocate(file: &File, position: u64, length: u64) -> io::Result<()> {
    use rustix::fs::FallocateFlags;
    Ok(rustix::fs::fallocate(
        file,
        FallocateFlags::KEEP_SIZE,
        position,
        length,
    )?)
}

#[cfg(not(target_os = "linux"))]
fn preallocate(_file: &File, _position: u64, _length: u64) -> io::Result<()> {
    Err(Errno::OPNOTSUPP.into())
}

/// Writes everything at a position, however many calls that takes.
///
/// # Errors
/// The operating system's; what was written before it stays, beyond what the caller acknowledges.
pub(crate) fn write_all_at(
    calls: &dyn SystemCalls,
    file: &File,
    mut slices: &mut [IoSlice<'_>],
    mut position: u64,
) -> io::Result<()> {
    // An empty first slice would make a write of zero bytes look like a full disk.
    IoSlice::advance_slices(&mut slices, 0);
    while !slices.is_empty() {
        match calls.write_at(file, slices, position) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                position += count as u64;
                IoSlice::advance_slices(&mut slices, count);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
