//! `meta.properties`: whose data directory this is.
//!
//! Java properties of version 1: cluster id, node id, directory id. Source: KIP-866, KIP-858.

use std::fmt;

use bytes::Bytes;

use crate::config::properties::parse_properties;
use crate::ids::{DirectoryId, NodeId};

/// What the file says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MetaProperties {
    /// The cluster.
    pub cluster_id: String,
    /// The node.
    pub node_id: NodeId,
    /// The directory.
    pub directory_id: DirectoryId,
}

/// Why the file makes no sense; says what to do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MetaPropertiesError(pub String);

impl fmt::Display for MetaPropertiesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl MetaProperties {
    /// The file's content.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        Bytes::from(format!(
            "#\nnode.id={}\ndirectory.id={}\nversion=1\ncluster.id={}\n",
            self.node_id, self.directory_id, self.cluster_id
        ))
    }

    /// Reads the file.
    ///
    /// # Errors
    /// [`MetaPropertiesError`] where a value is missing or makes no sense.
    pub fn parse(bytes: &[u8]) -> Result<Self, MetaPropertiesError> {
        let text = std::str::from_utf8(bytes)
            .map_err(|_not_text| MetaPropertiesError("is not a text".to_owned()))?;
        let pairs = parse_properties(text)
            .map_err(|error| MetaPropertiesError(format!("cannot be read: {error}")))?;
        let value = |name: &str| {
            pairs
                .iter()
                .rev()
                .find(|pair| pair.key == name)
                .map(|pair| pair.value.trim().to_owned())
                .ok_or_else(|| MetaPropertiesError(format!("has no {name}")))
        };
        let version = value("version")?;
        if version != "1" {
            return Err(MetaPropertiesError(format!(
                "has version {version}; only version 1 can be read"
            )));
        }
        let node_id = value("node.id")?;
        let directory_id = value("directory.id")?;
        Ok(Self {
            cluster_id: value("cluster.id")?,
            node_id: node_id.parse().map(NodeId).map_err(|_not_a_number| {
                MetaPropertiesError(format!("has the node.id '{node_id}', which is no number"))
            })?,
            directory_id: DirectoryId::parse(&directory_id).ok_or_else(|| {
                MetaPropertiesError(format!(
                    "has the directory.id '{directory_id}', which is no id"
                ))
            })?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let written = MetaProperties {
            cluster_id: "9aoTibKSTk2KyOs3TxBd3A".to_owned(),
            node_id: NodeId(1),
            directory_id: crate::ids::TopicId([7; 16]),
        };
        assert_eq!(MetaProperties::parse(&written.to_bytes()), Ok(written));
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let error = |text: &str| MetaProperties::parse(text.as_bytes()).map_err(|e| e.0);
        assert_eq!(error(""), Err("has no version".to_owned()));
        assert_eq!(
            error("version=0"),
            Err("has version 0; only version 1 can be read".to_owned())
        );
        assert_eq!(
            error("version=1\nnode.id=x\ndirectory.id=y\ncluster.id=c"),
            Err("has the node.id 'x', which is no number".to_owned())
        );
    }
}
