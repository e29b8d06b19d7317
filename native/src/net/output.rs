//! Writing a connection's output: memory with vectored writes, files with sendfile.
//!
//! A file range that is not in the page cache is read by a disk worker first, so that a slow disk
//! never holds a runtime thread. Nothing is reordered: output leaves as the connection gave it.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use ottla_core::wire::request::Piece;
use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::disk::FileRange;

/// Slices of one vectored write; 1 KiB on the stack.
const SLICES_MAX: usize = 64;

/// Bytes of a file that are sent, or read ahead of sending, in one go.
const FILE_BYTES_MAX: u32 = 1024 * 1024;

/// What waits to be written, in order.
#[derive(Debug, Default)]
pub(crate) struct Output {
    parts: VecDeque<Part>,
    /// Pins of replies whose pieces have not been taken yet.
    pins: VecDeque<FileRange>,
    /// A disk worker reads the range at the front.
    is_loading: bool,
}

#[derive(Debug)]
enum Part {
    Bytes(Bytes),
    File {
        range: FileRange,
        sent: u32,
        /// Bytes beyond `sent` known to be in the page cache.
        resident: u32,
    },
}

/// How far a write came.
#[derive(Debug)]
pub(crate) enum Progress {
    /// Everything is written.
    Empty,
    /// These bytes must be read from the disk first: `length` from byte `skip` of the range on.
    NeedsLoad {
        range: FileRange,
        skip: u32,
        length: u32,
    },
    /// The socket takes no more for now.
    Blocked,
    /// A disk worker still reads.
    Loading,
}

impl Output {
    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Gives memory back that holds nothing.
    pub(crate) fn release(&mut self) {
        self.parts.shrink_to_fit();
        self.pins.shrink_to_fit();
    }

    /// Keeps the pins of a reply until its pieces come.
    pub(crate) fn pin(&mut self, pins: Vec<FileRange>) {
        self.pins.extend(pins);
    }

    /// Takes pieces over, each file range with its pin.
    pub(crate) fn push(&mut self, pieces: &mut Vec<Piece>) {
        for piece in pieces.drain(..) {
            self.parts.push_back(match piece {
                Piece::Bytes(bytes) => Part::Bytes(bytes),
                Piece::File {
                    log,
                    segment,
                    position,
                    length,
                } => {
                    let pins = &self.pins;
                    let index = pins
                        .iter()
                        .position(|pin| pin.is(log, segment, position, length))
                        .expect("every file range of a reply was pinned when it was decided");
                    let range = self.pins.remove(index).expect("the index was just found");
                    Part::File {
                        range,
                        sent: 0,
                        resident: 0,
                    }
                }
            });
        }
    }

    /// Replaces the front of a file range by the bytes that a disk worker read.
    pub(crate) fn loaded(&mut self, bytes: Bytes) {
        assert!(self.is_loading, "a load was asked for");
        self.is_loading = false;
        let Some(Part::File {
            range,
            sent,
            resident,
        }) = self.parts.front_mut()
        else {
            unreachable!("the range that was loaded is still at the front");
        };
        *sent += u32::try_from(bytes.len()).expect("a load is no longer than its range");
        *resident = 0;
        if *sent == range.length() {
            self.parts.pop_front();
        }
        self.parts.push_front(Part::Bytes(bytes));
    }

    /// Writes as much as the socket takes. The first number is the bytes that left.
    ///
    /// # Errors
    /// The socket's, or that a file could not be read: either way the connection is over.
    pub(crate) fn write(&mut self, socket: &TcpStream) -> (usize, io::Result<Progress>) {
        let mut written = 0;
        loop {
            let step = match self.parts.front_mut() {
                None => return (written, Ok(Progress::Empty)),
                Some(_) if self.is_loading => return (written, Ok(Progress::Loading)),
                Some(Part::Bytes(_)) => self.write_bytes(socket),
                Some(Part::File { .. }) => match self.ready_file() {
                    Ok(None) => self.write_file(socket),
                    Ok(Some(progress)) => return (written, Ok(progress)),
                    Err(error) => Err(error),
                },
            };
            match step {
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return (written, Ok(Progress::Blocked));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return (written, Err(error)),
            }
        }
    }

    fn write_bytes(&mut self, socket: &TcpStream) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let mut count = 0;
        for (slot, part) in slices.iter_mut().zip(&self.parts) {
            let Part::Bytes(bytes) = part else {
                break;
            };
            *slot = IoSlice::new(bytes);
            count += 1;
        }
        let written = if count == 1 {
            socket.try_write(&slices[0])?
        } else {
            socket.try_write_vectored(&slices[..count])?
        };
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.advance(written);
        Ok(written)
    }

    /// Takes written bytes off the front.
    fn advance(&mut self, mut written: usize) {
        while written > 0 {
            let Some(Part::Bytes(bytes)) = self.parts.front_mut() else {
                unreachable!("only bytes were written");
            };
            if written < bytes.len() {
                bytes.advance(written);
                return;
            }
            written -= bytes.len();
            self.parts.pop_front();
        }
    }

    /// Sees to it that the file at the front can be sent without waiting; `Some` where it cannot.
    fn ready_file(&mut self) -> io::Result<Option<Progress>> {
        let Some(Part::File {
            range,
            sent,
            resident,
        }) = self.parts.front_mut()
        else {
            return Ok(None);
        };
        if *resident > 0 {
            return Ok(None);
        }
        let length = (range.length() - *sent).min(FILE_BYTES_MAX);
        if range.is_resident(*sent, length)? {
            *resident = length;
            return Ok(None);
        }
        self.is_loading = true;
        Ok(Some(Progress::NeedsLoad {
            range: range.share(),
            skip: *sent,
            length,
        }))
    }

    fn write_file(&mut self, socket: &TcpStream) -> io::Result<usize> {
        let Some(Part::File {
            range,
            sent,
            resident,
        }) = self.parts.front_mut()
        else {
            unreachable!("the front is a file");
        };
        let count = range.with_file(*sent, |file, position| {
            socket.try_io(Interest::WRITABLE, || {
                send(socket, file, position, *resident)
            })
        })?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let moved = u32::try_from(count).expect("no more was asked for");
        *sent += moved;
        *resident -= moved;
        if *sent == range.length() {
            self.parts.pop_front();
        }
        Ok(count)
    }
}

#[cfg(target_os = "linux")]
fn send(
    socket: &TcpStream,
    file: &Arc<std::fs::File>,
    mut position: u64,
    length: u32,
) -> io::Result<usize> {
    Ok(rustix::fs::sendfile(
        socket,
        file,
        Some(&mut position),
        length as usize,
    )?)
}

#[cfg(not(target_os = "linux"))]
fn send(
    socket: &TcpStream,
    file: &Arc<std::fs::File>,
    position: u64,
    length: u32,
) -> io::Result<usize> {
    use std::os::unix::fs::FileExt;
    let mut buffer = vec![0; length.min(64 * 1024) as usize];
    let count = file.read_at(&mut buffer, position)?;
    Ok(rustix::io::write(socket, &buffer[..count])?)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::path::PathBuf;
    use std::time::Duration;

    use ottla_core::ids::{DirectoryIndex, Generation, LogId, Offset};
    use ottla_core::storage::{DiskOp, STAMP_BYTES, StampedBatch};

    use super::*;
    use crate::disk::{self, DiskOptions, OperatingSystem, SystemCalls};

    const LOG: LogId = LogId(0);
    const BATCH_BYTES: usize = 300_000;

    /// A log of `count` batches in a folder of its own, on a disk that is connected to nothing.
    fn log_of(count: u8) -> (disk::Disk, disk::DiskDoor, PathBuf) {
        let folder = std::env::temp_dir().join(format!("ottla-output-{}", std::process::id()));
        let options = DiskOptions {
            directories: vec![folder.clone()],
            open_files_max: 2,
            workers_max: 1,
        };
        let calls: Arc<dyn SystemCalls> = Arc::new(OperatingSystem);
        let (disk, mut door, _listings) = disk::open(&options, &calls).unwrap();
        let (send, done) = std::sync::mpsc::channel();
        let send = std::sync::Mutex::new(send);
        disk.connect(move |answers| {
            for answer in answers.drain(..) {
                let _test_is_over = send.lock().unwrap().send(answer);
            }
        });
        let batches = (1..=count).map(|fill| StampedBatch {
            stamp: [fill; STAMP_BYTES],
            body: Bytes::from(vec![fill; BATCH_BYTES - STAMP_BYTES]),
        });
        let generation = Generation(0);
        let operations = [
            DiskOp::CreateLog {
                log: LOG,
                directory: DirectoryIndex(0),
                folder: "t-0".into(),
                partition_metadata: Bytes::new(),
            },
            DiskOp::CreateSegment {
                log: LOG,
                generation,
                segment: Offset::ZERO,
            },
            DiskOp::Append {
                log: LOG,
                generation,
                segment: Offset::ZERO,
                position: 0,
                end_offset: Offset(i64::from(count)),
                batches: batches.collect(),
            },
        ];
        let mut ready = Vec::new();
        door.enqueue(operations, &mut ready);
        disk.run(&mut ready, &mut Vec::new());
        for _created_and_appended in 0..2 {
            done.recv_timeout(Duration::from_secs(20)).unwrap();
        }
        (disk, door, folder)
    }

    fn piece(position: u32, length: u32) -> Piece {
        Piece::File {
            log: LOG,
            segment: Offset::ZERO,
            position,
            length,
        }
    }

    #[test]
    fn memory_and_files_leave_in_order() {
        let (disk, door, folder) = log_of(9);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let received = runtime.block_on(async {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let reader = std::thread::spawn(move || {
                let mut received = Vec::new();
                let (mut peer, _address) = listener.accept().unwrap();
                peer.read_to_end(&mut received).unwrap();
                received
            });
            let socket = TcpStream::connect(address).await.unwrap();
            let mut output = Output::default();
            // Pinned in the order of replies, taken in the order of pieces.
            let pin = |position, length| door.pin(LOG, Offset::ZERO, position, length).unwrap();
            output.pin(vec![pin(0, 10), pin(100, 2_600_000), pin(299_999, 2)]);
            let mut pieces = vec![
                Piece::Bytes(Bytes::from_static(b"head")),
                piece(100, 2_600_000),
                Piece::Bytes(Bytes::from_static(b"middle")),
                piece(299_999, 2),
                piece(0, 10),
                Piece::Bytes(Bytes::from_static(b"end")),
            ];
            output.push(&mut pieces);
            loop {
                match output.write(&socket).1.unwrap() {
                    Progress::Empty => break,
                    Progress::Blocked => socket.writable().await.unwrap(),
                    Progress::NeedsLoad {
                        range,
                        skip,
                        length,
                    } => output.loaded(range.load(skip, length).unwrap()),
                    Progress::Loading => unreachable!("loads end at once here"),
                }
            }
            drop(socket);
            reader.join().unwrap()
        });
        let file: Vec<u8> = (1..=9).flat_map(|fill| vec![fill; BATCH_BYTES]).collect();
        let expected = [
            b"head",
            &file[100..2_600_100],
            b"middle",
            &file[299_999..300_001],
            &file[..10],
            b"end",
        ];
        assert!(received == expected.concat(), "the bytes differ");
        disk.close(&door);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
