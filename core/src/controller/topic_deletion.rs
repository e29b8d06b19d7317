//! Topics go (K26).
//!
//! By name or by id. What a deletion means for logs, groups and configurations follows from its
//! record.

use std::collections::BTreeSet;

use super::topics::{duplicate, duplicates, take};
use super::{Decision, Refusal, Scene};
use crate::error::ErrorCode;
use crate::ids::TopicId;
use crate::metadata::TopicImage;
use crate::metadata::records::RemoveTopicRecord;
use crate::quota::throttle::Allowance;

/// A topic to be deleted, by name or by id.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TopicReference {
    /// Its name; `None` where the id says it.
    pub name: Option<String>,
    /// Its id; zero where the name says it.
    pub id: TopicId,
}

/// What became of a topic to be deleted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TopicDeletion {
    /// Its name, where it is known.
    pub name: Option<String>,
    /// Its id, where it is known.
    pub id: TopicId,
    /// Whether its records delete it.
    pub outcome: Result<(), Refusal>,
}

/// Deletes topics; those that cannot be are answered before the others. Kafka shuffles its answers.
#[must_use]
pub fn delete_topics(
    scene: &Scene<'_>,
    allowance: &mut Allowance,
    topics: &[TopicReference],
) -> Decision<TopicDeletion> {
    if !scene.settings.boolean("delete.topic.enable") {
        let refused = topics.iter().map(|topic| TopicDeletion {
            name: topic.name.clone(),
            id: topic.id,
            outcome: Err(Refusal::new(
                ErrorCode::TopicDeletionDisabled,
                "Topic deletion is disabled.",
            )),
        });
        return Decision {
            records: Vec::new(),
            results: refused.collect(),
        };
    }
    let mut refused = Vec::new();
    let mut refused_ids: BTreeSet<TopicId> = BTreeSet::new();
    let mut found: Vec<&TopicImage> = Vec::new();
    let names = duplicates(topics.iter().filter_map(|topic| topic.name.as_deref()));
    let given_ids = topics
        .iter()
        .map(|topic| topic.id)
        .filter(|id| !id.is_zero());
    let ids = duplicates(given_ids.clone());
    let ids_given: BTreeSet<TopicId> = given_ids.collect();
    for &name in &names {
        refused.push(refusal(
            Some(name.to_owned()),
            TopicId::ZERO,
            duplicate("name"),
        ));
    }
    refused.extend(ids.iter().map(|id| refusal(None, *id, duplicate("id"))));
    for topic in topics {
        let is_twice = topic
            .name
            .as_deref()
            .is_some_and(|name| names.contains(name));
        if is_twice || ids.contains(&topic.id) {
            continue;
        }
        match find_topic(scene, topic) {
            Ok(image) if topic.name.is_some() && ids_given.contains(&image.id) => {
                let text = "The provided topic name maps to an ID that was already supplied.";
                let wrong = Refusal::new(ErrorCode::InvalidRequest, text);
                refused_ids.insert(image.id);
                refused.push(refusal(topic.name.clone(), image.id, wrong));
            }
            Ok(image) => found.push(image),
            Err(wrong) => refused.push(refusal(topic.name.clone(), topic.id, wrong)),
        }
    }
    found.retain(|topic| !refused_ids.contains(&topic.id));
    delete_all(allowance, &found, refused)
}

/// Deletes what was found, as far as the requester may; answers it after what was refused.
fn delete_all(
    allowance: &mut Allowance,
    found: &[&TopicImage],
    refused: Vec<TopicDeletion>,
) -> Decision<TopicDeletion> {
    let mut decision = Decision {
        records: Vec::new(),
        results: refused,
    };
    for topic in found {
        let outcome = take(allowance, topic.partitions_count());
        if outcome.is_ok() {
            let record = RemoveTopicRecord { topic_id: topic.id };
            decision.records.push(record.into());
        }
        decision.results.push(TopicDeletion {
            name: Some(topic.name.to_string()),
            id: topic.id,
            outcome,
        });
    }
    decision
}

fn refusal(name: Option<String>, id: TopicId, refusal: Refusal) -> TopicDeletion {
    TopicDeletion {
        name,
        id,
        outcome: Err(refusal),
    }
}

fn find_topic<'a>(scene: &Scene<'a>, topic: &TopicReference) -> Result<&'a TopicImage, Refusal> {
    let found = match (&topic.name, topic.id.is_zero()) {
        (Some(_), false) => {
            let text = "You may not specify both topic name and topic id.";
            return Err(Refusal::new(ErrorCode::InvalidRequest, text));
        }
        (None, true) => {
            let text = "Neither topic name nor id were specified.";
            return Err(Refusal::new(ErrorCode::InvalidRequest, text));
        }
        (Some(name), true) => scene.image.topic(name).ok_or((
            ErrorCode::UnknownTopicOrPartition,
            "This server does not host this topic-partition.",
        )),
        (None, false) => scene.image.topic_by_id(topic.id).ok_or((
            ErrorCode::UnknownTopicId,
            "This server does not host this topic ID.",
        )),
    };
    found
        .map(AsRef::as_ref)
        .map_err(|(code, text)| Refusal::new(code, text))
}
