//! The checkpoint files of a data directory, read a second time from their format.

use crate::ids::Offset;

/// Folders and offsets of a checkpoint file: version, count, then `topic partition offset` lines.
///
/// # Errors
/// What is wrong with it.
pub fn read_checkpoint(bytes: &[u8]) -> Result<Vec<(String, Offset)>, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    let mut lines = text.lines();
    if lines.next() != Some("0") {
        return Err(format!("no version 0 in front: {text:?}"));
    }
    let count: usize = lines
        .next()
        .and_then(|line| line.parse().ok())
        .ok_or_else(|| format!("no count: {text:?}"))?;
    let mut entries = Vec::new();
    for line in lines {
        let mut fields = line.split(' ');
        let entry = match (fields.next(), fields.next(), fields.next(), fields.next()) {
            (Some(topic), Some(partition), Some(offset), None) => offset
                .parse()
                .ok()
                .map(|offset| (format!("{topic}-{partition}"), Offset(offset))),
            _other => None,
        };
        entries.push(entry.ok_or_else(|| format!("{line:?}"))?);
    }
    if entries.len() == count {
        Ok(entries)
    } else {
        Err(format!("{} entries, not {count}", entries.len()))
    }
}
