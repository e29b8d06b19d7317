//! Decides when which fault strikes. It knows rates and dice, and nothing of what it hits.

use super::disk::PowerLoss;
use super::options::Options;
use crate::rng::Rng;

/// A kind of fault.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Fault {
    /// A connection stalls (N5).
    Clog,
    /// A process dies (P1).
    Crash,
    /// The disk is full, for a while (D9).
    DiskFull,
    /// The power goes (P2).
    PowerCut,
    /// A connection breaks (N2, N3).
    Reset,
    /// A node is stopped in order and started again, unless it dies on the way (P7).
    Restart,
    /// A sync fails (D8). The process ends by it, and the machine is started again, for what its
    /// memory holds of the disk is not to be trusted any more.
    SyncError,
}

impl Fault {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Clog,
        Self::Crash,
        Self::PowerCut,
        Self::Reset,
        Self::Restart,
        Self::DiskFull,
        Self::SyncError,
    ];

    /// Mean time between two, in milliseconds; 0 for never.
    fn every_ms(self, options: &Options) -> u64 {
        match self {
            Self::Clog => options.clog_every_ms,
            Self::Crash => options.crash_every_ms,
            Self::PowerCut => options.power_cut_every_ms,
            Self::Reset => options.reset_every_ms,
            Self::Restart => options.restart_every_ms,
            Self::DiskFull => options.disk_full_every_ms,
            Self::SyncError => options.sync_error_every_ms,
        }
    }
}

/// The dice of a world's faults: one stream for each kind, so that dropping one kind leaves the
/// others as they were.
#[derive(Clone, Debug)]
pub struct Nemesis {
    streams: Vec<(Fault, Rng)>,
    loss: Rng,
    struck: u64,
}

impl Nemesis {
    /// A nemesis that has not struck.
    #[must_use]
    pub fn new(rng: &Rng) -> Self {
        let streams = (0u64..).zip(Fault::ALL);
        Self {
            streams: streams
                .map(|(index, fault)| (fault, rng.child("fault", index)))
                .collect(),
            loss: rng.child("loss", 0),
            struck: 0,
        }
    }

    /// How often it has struck.
    #[must_use]
    pub fn struck(&self) -> u64 {
        self.struck
    }

    /// Counts a strike.
    pub fn strike(&mut self) {
        self.struck += 1;
    }

    /// Nanoseconds until a fault strikes next; `None` for never.
    pub fn pause_ns(&mut self, fault: Fault, options: &Options) -> Option<u64> {
        let every_ms = fault.every_ms(options);
        (every_ms > 0).then(|| self.dice(fault).below(every_ms * 2_000_000) + 1)
    }

    /// The dice of a kind.
    pub fn dice(&mut self, fault: Fault) -> &mut Rng {
        let stream = self.streams.iter_mut().find(|(kind, _)| *kind == fault);
        &mut stream.expect("one for each kind").1
    }

    /// A way of losing power.
    pub fn power_loss(&mut self, options: &Options) -> PowerLoss {
        let torn = options.torn_pages == 1;
        let names = options.lost_names == 1;
        let mut loss = PowerLoss::draw(&mut self.loss, torn, names);
        if options.lost_bytes == 0 {
            loss.bytes = Some(super::disk::loss::ByteLoss::KeepAll);
        }
        loss
    }
}
