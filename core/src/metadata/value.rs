//! A metadata record as the value of a record in a log, and as Kafka's dump tool prints it.
//!
//! The value is a frame: its version, the record's key and version, and the fields at that version.
//! Source: KIP-631, "Record Format".

use super::codec::{Reader, RecordError, write_varint};
use super::records::MetadataRecord;

/// The version of the frame around every metadata record.
const FRAME_VERSION: u32 = 1;

impl MetadataRecord {
    /// The version that Kafka writes at metadata.version 4.3-IV0: the highest, but for changes of a
    /// registration, which take the lowest that carries them.
    #[must_use]
    pub fn version(&self) -> i16 {
        let Self::BrokerRegistrationChange(change) = self else {
            return self.version_max();
        };
        if change.cordoned_log_dirs.is_some() {
            3
        } else if !change.log_dirs.is_empty() {
            2
        } else {
            i16::from(change.in_controlled_shutdown != 0)
        }
    }

    /// The value of a log record: frame version, key and version as varints, then the fields.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.encode_version(self.version())
    }

    /// The value at a given version. It must carry every field that is not its default.
    #[must_use]
    pub fn encode_version(&self, version: i16) -> Vec<u8> {
        assert!(version >= 0, "versions begin at 0");
        assert!(version <= self.version_max(), "a version this code knows");
        let mut out = Vec::with_capacity(64);
        write_varint(FRAME_VERSION, &mut out);
        write_varint(self.key(), &mut out);
        write_varint(u32::from(version.unsigned_abs()), &mut out);
        self.write_fields(version, &mut out);
        out
    }

    /// The record that a value holds, and the version it was written at.
    ///
    /// # Errors
    /// Where it is not exactly one record of a known type and version.
    pub fn decode(value: &[u8]) -> Result<(Self, i16), RecordError> {
        let mut reader = Reader::new(value);
        if reader.varint()? != FRAME_VERSION {
            return Err(reader.error("frame version 1"));
        }
        let key = reader.varint()?;
        let version = i16::try_from(reader.varint()?);
        let version = version.map_err(|_| reader.error("a version of 15 bits"))?;
        let record = Self::read_fields(key, version, &mut reader)?;
        reader.finish()?;
        Ok((record, version))
    }

    /// The record as Kafka's dump tool prints it: `{"type":..,"version":..,"data":{..}}`.
    #[must_use]
    pub fn to_json(&self, version: i16) -> String {
        let mut out = format!(
            "{{\"type\":\"{}\",\"version\":{version},\"data\":",
            self.name()
        );
        self.json_fields(version, &mut out);
        out.push('}');
        out
    }
}
