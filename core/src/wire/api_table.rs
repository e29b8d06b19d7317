//! Which APIs and versions are served and advertised.
//!
//! The rows are in [`crate::wire::request`], beside the types they name; this file gives them
//! meaning. It does not decide what ApiVersions answers beyond the ranges (features are the
//! cluster's business). Ranges are Apache Kafka 4.3.1's (`ApiKeys`, checked against its jars).

/// One API of the table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ServedApi {
    /// The number of the API.
    pub key: i16,
    /// Its name, as Kafka spells it.
    pub name: &'static str,
    /// The lowest version served.
    pub version_min: i16,
    /// The highest version served, inclusive.
    pub version_last: i16,
    /// The first version with compact lengths and tagged fields; `None` where there is none.
    pub flexible_from: Option<i16>,
}

/// The number of Produce.
pub const PRODUCE: i16 = 0;
/// The number of Fetch.
pub const FETCH: i16 = 1;
/// The number of ApiVersions.
pub const API_VERSIONS: i16 = 18;

impl ServedApi {
    /// The API with this number; `None` where it is not served.
    #[must_use]
    pub fn find(key: i16) -> Option<&'static Self> {
        Self::place(key).map(|place| &SERVED[place])
    }

    /// The place of this API in [`SERVED`]; `None` where it is not served.
    #[must_use]
    pub fn place(key: i16) -> Option<usize> {
        SERVED.binary_search_by_key(&key, |api| api.key).ok()
    }

    /// Whether requests of this version are answered.
    #[must_use]
    pub fn serves(&self, version: i16) -> bool {
        (self.version_min..=self.version_last).contains(&version)
    }

    /// The lowest version to advertise.
    ///
    /// Produce is advertised from 0 though it is served from 3: librdkafka up to 2.11.0 tests
    /// compression against Produce 0 and silently stops compressing where it is missing
    /// (KAFKA-18659).
    #[must_use]
    pub fn advertised_min(&self) -> i16 {
        if self.key == PRODUCE {
            0
        } else {
            self.version_min
        }
    }

    /// Whether this version has compact lengths and tagged fields.
    #[must_use]
    pub fn is_flexible(&self, version: i16) -> bool {
        self.flexible_from.is_some_and(|from| version >= from)
    }

    /// The version of the header in front of a request: 2 where flexible, else 1 (KIP-482).
    #[must_use]
    pub fn request_header_version(&self, version: i16) -> i16 {
        if self.is_flexible(version) { 2 } else { 1 }
    }

    /// The version of the header in front of a reply: 1 where flexible, else 0; always 0 for
    /// ApiVersions, whose client cannot know yet what the broker speaks (KIP-511).
    #[must_use]
    pub fn response_header_version(&self, version: i16) -> i16 {
        i16::from(self.is_flexible(version) && self.key != API_VERSIONS)
    }
}

pub use crate::wire::request::SERVED;

#[cfg(test)]
mod tests {
    use kafka_wire_core::ApiVersion;

    use super::*;

    #[test]
    fn the_table_is_sorted_and_within_the_codec() {
        assert!(SERVED.is_sorted_by(|a, b| a.key < b.key));
        for api in SERVED {
            let descriptor = kafka_wire::API_DESCRIPTORS
                .iter()
                .find(|descriptor| descriptor.api_key.value() == api.key)
                .expect("the codec knows every API served");
            let range = descriptor.supported_versions;
            assert!(range.contains(ApiVersion::new(api.version_min)), "{api:?}");
            assert!(range.contains(ApiVersion::new(api.version_last)), "{api:?}");
        }
    }

    #[test]
    fn headers_follow_flexibility() {
        let produce = ServedApi::find(PRODUCE).expect("served");
        assert_eq!((produce.advertised_min(), produce.version_min), (0, 3));
        assert_eq!(produce.request_header_version(8), 1);
        assert_eq!(produce.request_header_version(9), 2);
        assert_eq!(produce.response_header_version(9), 1);
        let api_versions = ServedApi::find(API_VERSIONS).expect("served");
        assert_eq!(api_versions.request_header_version(3), 2);
        assert_eq!(api_versions.response_header_version(4), 0);
        assert!(
            ServedApi::find(4).is_none(),
            "LeaderAndIsr left with ZooKeeper"
        );
    }
}
