//! Whose data directories are at boot: refusals of those that are another node's, and of a metadata
//! log that is not where it belongs.

use super::partition_of;
use crate::node::boot::{BootError, BootOptions};
use crate::quorum::METADATA_FOLDER;
use crate::quorum::directory::MetaProperties;
use crate::storage::{DirectoryFile, FolderListing};

/// What `meta.properties` of each directory says; checks that they agree and are this node's.
pub(super) fn owners_of(options: &BootOptions) -> Result<Vec<Option<MetaProperties>>, BootError> {
    let mut owners: Vec<Option<MetaProperties>> = Vec::new();
    for (listing, path) in options.directories.iter().zip(&options.config.log_dirs) {
        let Some(bytes) = listing.file(DirectoryFile::MetaProperties) else {
            if listing
                .folders
                .iter()
                .any(|folder| folder.name == METADATA_FOLDER)
            {
                return Err(BootError(format!(
                    "{path} holds a metadata log but no meta.properties; put the file back or \
                     choose another directory"
                )));
            }
            owners.push(None);
            continue;
        };
        let owner = MetaProperties::parse(bytes)
            .map_err(|error| BootError(format!("{path}/meta.properties {error}")))?;
        if owner.node_id != options.config.node_id {
            return Err(BootError(format!(
                "{path} belongs to node {}, and this is node {}; set node.id={} or choose another \
                 directory",
                owner.node_id, options.config.node_id, owner.node_id
            )));
        }
        if let Some(other) = owners.iter().flatten().next()
            && other.cluster_id != owner.cluster_id
        {
            return Err(BootError(format!(
                "{path} belongs to cluster {}, and the directories before it to cluster {}; all \
                 of log.dirs must be of one cluster",
                owner.cluster_id, other.cluster_id
            )));
        }
        owners.push(Some(owner));
    }
    Ok(owners)
}

/// The metadata log is in the first directory and in no other, and is not missing where there are
/// logs of topics: with another one, or an empty one, those would be logs of topics that nobody
/// knows.
pub(super) fn check_metadata_log(options: &BootOptions) -> Result<(), BootError> {
    let paths = &options.config.log_dirs;
    let directories = options.directories.iter().zip(paths);
    let is_metadata = |folder: &FolderListing| folder.name == METADATA_FOLDER;
    let is_topic = |folder: &FolderListing| {
        !is_metadata(folder)
            && partition_of(&folder.name).is_some()
            && !folder.partition_metadata.is_empty()
    };
    let elsewhere = directories.clone().skip(1);
    let mut elsewhere =
        elsewhere.filter(|(listing, _path)| listing.folders.iter().any(is_metadata));
    if let Some((_listing, path)) = elsewhere.next() {
        return Err(BootError(format!(
            "there is a metadata log in {path}, and {} is where it belongs, as the first of \
             log.dirs; put {path} first again, or name it as metadata.log.dir",
            paths[0]
        )));
    }
    let has_metadata = options.directories[0].folders.iter().any(is_metadata);
    let mut with_topics = directories.filter(|(listing, _)| listing.folders.iter().any(is_topic));
    if !has_metadata && let Some((_listing, path)) = with_topics.next() {
        return Err(BootError(format!(
            "there are logs of topics in {path}, and no metadata log in {}, the first of \
             log.dirs, that says whose they are; put back {METADATA_FOLDER}, or choose other \
             directories",
            paths[0]
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{BrokerConfig, Settings};
    use crate::ids::{NodeId, TopicId};
    use crate::storage::DirectoryListing;

    fn folder(name: &str, partition_metadata: &'static [u8]) -> FolderListing {
        FolderListing {
            name: name.to_owned(),
            partition_metadata: partition_metadata.into(),
            ..FolderListing::default()
        }
    }

    fn refusal(first: Vec<FolderListing>, second: Vec<FolderListing>) -> Option<String> {
        let properties = MetaProperties {
            cluster_id: "c".to_owned(),
            node_id: NodeId(1),
            directory_id: TopicId([7; 16]),
        };
        let of = |folders| DirectoryListing {
            files: vec![(DirectoryFile::MetaProperties, properties.to_bytes())],
            folders,
            ..DirectoryListing::default()
        };
        let settings = Settings::load("log.dirs=a,b", &[]).expect("they are valid");
        let options = BootOptions {
            config: BrokerConfig::of(&settings).expect("they go together"),
            settings,
            listeners: Vec::new(),
            directories: vec![of(first), of(second)],
            seed: 7,
        };
        let said = check_metadata_log(&options);
        said.err().map(|error| error.0)
    }

    #[test]
    fn a_metadata_log_in_the_wrong_place_is_left_alone() {
        let metadata = || folder(METADATA_FOLDER, b"");
        let topic = || folder("t-0", b"version: 0");
        assert_eq!(refusal(vec![], vec![]), None);
        assert_eq!(refusal(vec![metadata()], vec![topic()]), None);
        let said = refusal(vec![], vec![metadata(), topic()]).expect("b came first before");
        assert!(said.contains("metadata log in b"), "{said}");
        let said = refusal(vec![topic()], vec![]).expect("somebody removed it");
        assert!(said.contains("no metadata log in a"), "{said}");
        assert_eq!(refusal(vec![folder("lost-1", b"")], vec![]), None);
    }
}
