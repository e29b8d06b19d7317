//! Many topics: how long their creation takes, and what telling of them costs.

use std::io;

use kafka_wire::create_topics_request::CreatableTopic;
use kafka_wire::{CreateTopicsRequest, MetadataRequest};
use kafka_wire_core::StrBytes;

use super::member::refused;
use super::{Target, fresh_name, spread};
use crate::wire_client::WireClient;

const CREATE_TOPICS: i16 = 7;
const METADATA: i16 = 12;

const TOPICS: usize = 10_000;

/// Topics of one CreateTopics.
const AT_ONCE: usize = 500;

/// Times that all topics are asked for.
const ASKED: u32 = 21;

/// Creates 10,000 topics of one partition and asks for the metadata of all topics.
pub(super) fn topics(target: &Target) -> io::Result<Vec<String>> {
    let mut client = WireClient::connect(&target.address)?;
    let prefix = fresh_name("many");
    let created = target.time(|| {
        for first in (0..TOPICS).step_by(AT_ONCE) {
            create(&mut client, &prefix, first..first + AT_ONCE)?;
        }
        Ok(())
    })?;
    let mut durations = Vec::new();
    let mut count = 0;
    let mut request = MetadataRequest::default();
    request.topics = None;
    let asked = target.time(|| {
        for _ in 0..ASKED {
            let started = std::time::Instant::now();
            let answer = client.call(METADATA, &request)?;
            durations.push(started.elapsed());
            count = answer.topics.len();
        }
        Ok(())
    })?;
    Ok(vec![
        format!(
            "{TOPICS} topics created in {} ms, {}",
            created.wall.as_millis(),
            created.each(TOPICS as u64)
        ),
        format!(
            "Metadata of {count} topics, decoded: {}; {}",
            spread(durations),
            asked.each(u64::from(ASKED))
        ),
    ])
}

fn create(
    client: &mut WireClient,
    prefix: &str,
    numbers: std::ops::Range<usize>,
) -> io::Result<()> {
    let mut request = CreateTopicsRequest::default();
    request.timeout_ms = 60_000;
    request.topics = numbers
        .map(|number| {
            let mut topic = CreatableTopic::default();
            topic.name = StrBytes::from(format!("{prefix}-{number}"));
            topic.num_partitions = 1;
            topic.replication_factor = 1;
            topic
        })
        .collect();
    let answer = client.call(CREATE_TOPICS, &request)?;
    match answer.topics.iter().find(|topic| topic.error_code != 0) {
        None => Ok(()),
        Some(topic) => Err(refused("CreateTopics", topic.error_code)),
    }
}
