//! Standard output on a thread of its own: a reader that stops reading stops only the output.
//!
//! A member of a group must heartbeat and answer rebalances while `less` waits for a key. What is
//! to be printed is handed over in pieces, so many bytes at most; what has been printed is told, so
//! that only that is committed. Nothing here knows groups.

use std::io::Write;
use std::sync::mpsc::{Receiver, Sender, channel};

use ottla_core::ids::{Offset, TopicPartition};

use crate::cli::failure::Failure;

/// Bytes that may wait to be printed before no more are taken. Larger than what a pipe holds, small
/// beside what is fetched at once.
const WAITING_BYTES_MAX: usize = 256 * 1024;

/// Records that are flushed together.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) partition: TopicPartition,
    pub(super) text: Vec<u8>,
    /// The offset after its last record.
    pub(super) next: Offset,
    pub(super) records: u64,
}

/// What became of a piece.
struct Told {
    partition: TopicPartition,
    next: Offset,
    records: u64,
    size_bytes: usize,
    result: std::io::Result<()>,
}

/// Records of a piece that was printed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Printed {
    pub(super) partition: TopicPartition,
    /// The offset after the last of them.
    pub(super) next: Offset,
    pub(super) records: u64,
}

/// The way to standard output.
pub(super) struct Outlet {
    pieces: Sender<Piece>,
    told: Receiver<Told>,
    waiting: usize,
    waiting_bytes: usize,
}

impl Outlet {
    /// Begins to print to `out`; `wake` is called after each piece.
    pub(super) fn new(
        mut out: impl Write + Send + 'static,
        wake: impl Fn() + Send + 'static,
    ) -> Self {
        let (pieces, to_print) = channel::<Piece>();
        let (tell, told) = channel();
        std::thread::spawn(move || {
            for piece in to_print {
                let result = out.write_all(&piece.text).and_then(|()| out.flush());
                let is_over = result.is_err();
                let sent = tell.send(Told {
                    partition: piece.partition,
                    next: piece.next,
                    records: piece.records,
                    size_bytes: piece.text.len(),
                    result,
                });
                wake();
                if is_over || sent.is_err() {
                    return;
                }
            }
        });
        Self {
            pieces,
            told,
            waiting: 0,
            waiting_bytes: 0,
        }
    }

    /// Whether more may be handed over.
    pub(super) fn has_room(&self) -> bool {
        self.waiting_bytes < WAITING_BYTES_MAX
    }

    /// Whether everything that was handed over has been printed.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting == 0
    }

    /// Hands a piece over.
    pub(super) fn print(&mut self, piece: Piece) {
        self.waiting += 1;
        self.waiting_bytes += piece.text.len();
        // A thread that has ended has told why, which is taken next.
        let _ended = self.pieces.send(piece);
    }

    /// The next piece that was printed; `None` while there is none.
    pub(super) fn printed(&mut self) -> Result<Option<Printed>, Failure> {
        let Ok(told) = self.told.try_recv() else {
            return Ok(None);
        };
        told.result?;
        self.waiting -= 1;
        self.waiting_bytes -= told.size_bytes;
        Ok(Some(Printed {
            partition: told.partition,
            next: told.next,
            records: told.records,
        }))
    }
}

#[cfg(test)]
mod tests {
    use ottla_core::ids::PartitionIndex;
    use std::sync::mpsc::sync_channel;

    use super::*;

    /// A reader that takes a write when it is let.
    struct Reader(Receiver<()>);

    impl Write for Reader {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let gone = |_gone| std::io::Error::from(std::io::ErrorKind::BrokenPipe);
            self.0.recv().map_err(gone)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn piece(next: i64, size_bytes: usize) -> Piece {
        Piece {
            partition: TopicPartition {
                topic: "t".into(),
                partition: PartitionIndex(0),
            },
            text: vec![b'x'; size_bytes],
            next: Offset(next),
            records: 1,
        }
    }

    #[test]
    fn only_what_was_taken_is_printed_and_a_full_outlet_says_so() {
        let (let_write, reader) = channel();
        let (woken, wakes) = sync_channel(8);
        let wake = move || woken.send(()).expect("the test is there");
        let mut outlet = Outlet::new(Reader(reader), wake);
        outlet.print(piece(1, 10));
        outlet.print(piece(2, WAITING_BYTES_MAX));
        assert!(!outlet.has_room());
        assert!(matches!(outlet.printed(), Ok(None)));
        let_write.send(()).expect("it reads");
        wakes.recv().expect("it tells");
        let printed = outlet
            .printed()
            .expect("it was taken")
            .map(|printed| printed.next);
        assert_eq!(printed, Some(Offset(1)));
        assert!(!outlet.is_idle());
        drop(let_write);
        wakes.recv().expect("it tells");
        assert!(matches!(outlet.printed(), Err(Failure::ClosedPipe)));
    }
}
