//! The text of `partition.metadata`: which topic a log's folder belongs to (KIP-516).
//!
//! Compare Kafka's `PartitionMetadataFile`: two lines, `version: 0` and `topic_id: <uuid>`.

use crate::ids::TopicId;

/// The file's content for a topic.
#[must_use]
pub fn to_text(topic_id: TopicId) -> String {
    format!("version: 0\ntopic_id: {topic_id}")
}

/// Reads it; `None` where it is malformed or the id is zero.
#[must_use]
pub fn parse(text: &[u8]) -> Option<TopicId> {
    let text = std::str::from_utf8(text).ok()?;
    let mut lines = text.lines();
    if lines.next()? != "version: 0" {
        return None;
    }
    let id = lines.next()?.strip_prefix("topic_id: ")?;
    TopicId::parse(id.trim_end()).filter(|id| !id.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_goes_both_ways() {
        let id = TopicId([0x5a; 16]);
        assert_eq!(parse(to_text(id).as_bytes()), Some(id));
        let newline = format!("{}\n", to_text(id));
        assert_eq!(parse(newline.as_bytes()), Some(id));
        for damaged in [
            "".to_owned(),
            "version: 1\ntopic_id: WlpaWlpaWlpaWlpaWlpaWg".to_owned(),
            "version: 0\ntopic_id: short".to_owned(),
            to_text(TopicId::ZERO),
        ] {
            assert_eq!(parse(damaged.as_bytes()), None, "{damaged:?}");
        }
    }
}
