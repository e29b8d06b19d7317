//! The files of a data directory and of its folders, by meaning and by name.

use crate::ids::Offset;

/// A file in a log's folder, by meaning; [`LogFile::name`] is Kafka's name for it.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum LogFile {
    /// `leader-epoch-checkpoint`: where each leader epoch begins.
    LeaderEpochs,
    /// `%020d.log`: the batches of the segment with this base offset.
    Log(Offset),
    /// `%020d.index`: (relative offset, position) pairs.
    OffsetIndex(Offset),
    /// `partition.metadata`: the topic's id.
    PartitionMetadata,
    /// `%020d.snapshot`: the producers known at this offset.
    ProducerSnapshot(Offset),
    /// `quorum-state`: the vote and epoch of a metadata log's replica.
    QuorumState,
    /// `%020d-%010d.checkpoint`: a metadata snapshot up to this offset and epoch (KIP-630).
    Snapshot(Offset, i32),
    /// `%020d.log.swap`: batches that are about to replace those of the segments they were made of.
    Swap(Offset),
    /// `%020d.timeindex`: (timestamp, relative offset) pairs.
    TimeIndex(Offset),
    /// `%020d.txnindex`: aborted transactions.
    TransactionIndex(Offset),
}

impl LogFile {
    /// The file's name in the log's folder.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::LeaderEpochs => "leader-epoch-checkpoint".to_owned(),
            Self::Log(base) => format!("{:020}.log", base.0),
            Self::OffsetIndex(base) => format!("{:020}.index", base.0),
            Self::PartitionMetadata => "partition.metadata".to_owned(),
            Self::ProducerSnapshot(offset) => format!("{:020}.snapshot", offset.0),
            Self::QuorumState => "quorum-state".to_owned(),
            Self::Snapshot(offset, epoch) => format!("{:020}-{epoch:010}.checkpoint", offset.0),
            Self::Swap(base) => format!("{:020}.log.swap", base.0),
            Self::TimeIndex(base) => format!("{:020}.timeindex", base.0),
            Self::TransactionIndex(base) => format!("{:020}.txnindex", base.0),
        }
    }

    /// The files that a segment consists of; the `.log` last, for its name says that it is there.
    #[must_use]
    pub fn of_segment(base: Offset) -> [Self; 4] {
        [
            Self::OffsetIndex(base),
            Self::TimeIndex(base),
            Self::TransactionIndex(base),
            Self::Log(base),
        ]
    }

    /// The file a name means; `None` for a name that is none of Kafka's.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "leader-epoch-checkpoint" => return Some(Self::LeaderEpochs),
            "partition.metadata" => return Some(Self::PartitionMetadata),
            "quorum-state" => return Some(Self::QuorumState),
            _other => {}
        }
        let (stem, suffix) = name.split_once('.')?;
        if suffix == "checkpoint" {
            let (offset, epoch) = stem.split_once('-')?;
            return (offset.len() == 20 && epoch.len() == 10).then(|| {
                Some(Self::Snapshot(
                    Offset(digits(offset)?),
                    i32::try_from(digits(epoch)?).ok()?,
                ))
            })?;
        }
        if stem.len() != 20 {
            return None;
        }
        let base = Offset(digits(stem)?);
        match suffix {
            "index" => Some(Self::OffsetIndex(base)),
            "log" => Some(Self::Log(base)),
            "log.swap" => Some(Self::Swap(base)),
            "snapshot" => Some(Self::ProducerSnapshot(base)),
            "timeindex" => Some(Self::TimeIndex(base)),
            "txnindex" => Some(Self::TransactionIndex(base)),
            _other => None,
        }
    }
}

fn digits(text: &str) -> Option<i64> {
    text.bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| text.parse().ok())?
}

/// A file directly in a data directory.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum DirectoryFile {
    /// `bootstrap.checkpoint`: the metadata records a directory is formatted with.
    BootstrapCheckpoint,
    /// `.kafka_cleanshutdown`: every log was closed in order.
    CleanShutdown,
    /// `cleaner-offset-checkpoint`: how far each log is compacted.
    CleanerOffsets,
    /// `replication-offset-checkpoint`: high watermarks.
    HighWatermarks,
    /// `log-start-offset-checkpoint`: log start offsets that are not a segment's base.
    LogStartOffsets,
    /// `meta.properties`: cluster id, node id, directory id.
    MetaProperties,
    /// `recovery-point-offset-checkpoint`: below these offsets everything was synced.
    RecoveryPoints,
}

impl DirectoryFile {
    /// The file's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::BootstrapCheckpoint => "bootstrap.checkpoint",
            Self::CleanShutdown => ".kafka_cleanshutdown",
            Self::CleanerOffsets => "cleaner-offset-checkpoint",
            Self::HighWatermarks => "replication-offset-checkpoint",
            Self::LogStartOffsets => "log-start-offset-checkpoint",
            Self::MetaProperties => "meta.properties",
            Self::RecoveryPoints => "recovery-point-offset-checkpoint",
        }
    }

    /// The file a name means.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [
            Self::BootstrapCheckpoint,
            Self::CleanShutdown,
            Self::CleanerOffsets,
            Self::HighWatermarks,
            Self::LogStartOffsets,
            Self::MetaProperties,
            Self::RecoveryPoints,
        ]
        .into_iter()
        .find(|file| file.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_go_both_ways() {
        let files = [
            LogFile::LeaderEpochs,
            LogFile::Log(Offset(0)),
            LogFile::OffsetIndex(Offset(42)),
            LogFile::PartitionMetadata,
            LogFile::ProducerSnapshot(Offset(i64::MAX)),
            LogFile::QuorumState,
            LogFile::Snapshot(Offset(7), 3),
            LogFile::Swap(Offset(8)),
            LogFile::TimeIndex(Offset(1)),
            LogFile::TransactionIndex(Offset(2)),
        ];
        for file in files {
            assert_eq!(LogFile::parse(&file.name()), Some(file), "{}", file.name());
        }
        for name in [
            "0.log",
            "00000000000000000000.log.cleaned",
            "00000000000000000000.log.deleted",
            "00000000000000000000.index.swap",
            "0000000000000000000x.log",
            "a.b.c",
            "",
        ] {
            assert_eq!(LogFile::parse(name), None, "{name}");
        }
    }
}
