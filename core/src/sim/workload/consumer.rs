//! A consumer: assigned partitions, fetched from wherever it stands, now and then sought.
//!
//! What it receives must be whole batches with good checksums, without gaps, from its position on.
//! Whether they are the right records is judged at the broker's door. A *final* consumer reads each
//! partition from its start to its end and is done: the reader without which nothing can be called
//! lost.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use kafka_wire::fetch_request::{FetchPartition, FetchTopic};
use kafka_wire::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_wire::{FetchRequest, FetchResponse, ListOffsetsRequest};
use kafka_wire_core::{StrBytes, Uuid};

use super::{Stage, TopicView, is_compacted};
use crate::client::message::{Call, ClientRequest};
use crate::client::network::{Answer, CallId};
use crate::ids::TopicId;
use crate::sim::checkers::log_image::crc32c;
use crate::time::Instant;

/// Kafka's number for the log's start, in ListOffsets.
const EARLIEST: i64 = -2;
/// Kafka's number for the log's end.
const LATEST: i64 = -1;
/// Kafka's code for a position that is not in the log.
const OFFSET_OUT_OF_RANGE: i16 = 1;

/// How a consumer behaves.
#[derive(Clone, Debug)]
pub struct ConsumerOptions {
    /// Topics it reads; empty for all there are.
    pub topics: Vec<Arc<str>>,
    /// Highest version of Fetch it speaks.
    pub fetch_version: i16,
    /// Whether it asks for nothing as long as it is told to wait.
    pub honours_quotas: bool,
    /// Whether it reads everything once, in order, and is done.
    pub is_final: bool,
}

/// One partition it reads.
#[derive(Clone, Debug)]
struct Lane {
    topic_id: TopicId,
    /// Unknown until asked.
    position: Option<i64>,
    /// Where it is to start, in terms of ListOffsets.
    sought: i64,
    /// The end as last seen.
    high_watermark: i64,
}

/// What a call of its is for.
#[derive(Clone, Debug)]
enum Purpose {
    Fetch,
    ListOffsets(Arc<str>, i32),
}

/// The actor; see the module.
#[derive(Clone, Debug)]
pub struct Consumer {
    options: ConsumerOptions,
    view: TopicView,
    lanes: BTreeMap<(Arc<str>, i32), Lane>,
    call: Option<(CallId, Purpose)>,
    not_before: Instant,
    winding_down: bool,
    /// Fetches that brought records.
    pub successes: u64,
}

impl Consumer {
    /// A consumer that has not begun.
    #[must_use]
    pub fn new(options: ConsumerOptions) -> Self {
        Self {
            options,
            view: TopicView::new(),
            lanes: BTreeMap::new(),
            call: None,
            not_before: Instant(0),
            winding_down: false,
            successes: 0,
        }
    }

    /// Begins nothing new; a final consumer still reads to the end.
    pub fn wind_down(&mut self) {
        self.winding_down = true;
    }

    /// Whether it has nothing more to do.
    #[must_use]
    pub fn is_done(&self) -> bool {
        if !self.options.is_final {
            return self.winding_down;
        }
        self.view.is_fresh()
            && self.lanes.values().all(|lane| {
                lane.high_watermark >= 0
                    && lane.position.is_some_and(|at| at >= lane.high_watermark)
            })
            && !self.lanes.is_empty()
    }

    /// Highest version of Fetch it speaks.
    #[must_use]
    pub fn fetch_version(&self) -> i16 {
        self.options.fetch_version
    }

    /// Where it stands: for a message about one that does not get to the end.
    #[must_use]
    pub fn progress(&self) -> String {
        format!("{:?}", self.lanes)
    }

    /// See [`super::Actor::step`].
    pub fn step(&mut self, stage: &mut Stage<'_>) -> Option<Instant> {
        if self.is_done() {
            return None;
        }
        let view_at = self.view.step(stage, &self.options.topics);
        if !self.view.is_fresh() {
            return view_at;
        }
        self.follow_view();
        if self.call.is_some() {
            return None;
        }
        if stage.now < self.not_before {
            return Some(self.not_before);
        }
        if !self.options.is_final && stage.rng.chance(1, 30) {
            self.seek(stage);
        }
        let unplaced = self.lanes.iter().find(|(_, lane)| lane.position.is_none());
        if let Some(((topic, partition), lane)) = unplaced {
            let request = list_offsets(topic, *partition, lane.sought);
            let call = stage.call(ClientRequest::ListOffsets(request));
            self.call = Some((call, Purpose::ListOffsets(Arc::clone(topic), *partition)));
        } else if !self.lanes.is_empty() {
            let request = self.fetch(stage);
            let call = stage.call(ClientRequest::Fetch(request));
            self.call = Some((call, Purpose::Fetch));
        } else {
            self.view.distrust();
            self.not_before = stage.in_ms(100);
            return Some(self.not_before);
        }
        None
    }

    /// See [`super::Actor::on_answer`].
    pub fn on_answer(&mut self, stage: &mut Stage<'_>, answer: Answer) {
        let Some(answer) = self.view.on_answer(answer) else {
            return;
        };
        let Some((_, purpose)) = self.call.take_if(|(call, _)| *call == answer.call) else {
            return;
        };
        let Ok(response) = answer.result else {
            self.not_before = stage.in_ms(20);
            return;
        };
        match purpose {
            Purpose::Fetch => match FetchRequest::from_response(response) {
                Some(response) => {
                    self.on_fetched(stage, &response);
                    if self.options.honours_quotas {
                        let ms = u64::try_from(response.throttle_time_ms).unwrap_or(0);
                        self.not_before = self.not_before.max(stage.in_ms(ms));
                    }
                }
                None => stage.complaints.push("not a Fetch response".to_owned()),
            },
            Purpose::ListOffsets(topic, partition) => {
                let response = ListOffsetsRequest::from_response(response);
                let found = response
                    .as_ref()
                    .and_then(|response| response.topics.first()?.partitions.first());
                match (found, self.lanes.get_mut(&(topic, partition))) {
                    (Some(found), Some(lane)) if found.error_code == 0 => {
                        // By time, there may be no such record: then from the end.
                        if found.offset >= 0 {
                            lane.position = Some(found.offset);
                        } else {
                            lane.sought = LATEST;
                        }
                    }
                    _other => {
                        self.view.distrust();
                        self.not_before = stage.in_ms(50);
                    }
                }
            }
        }
    }

    /// Reads what the view knows of, and no other.
    fn follow_view(&mut self) {
        let mut lanes = BTreeMap::new();
        for (name, topic) in self.view.topics() {
            for partition in 0..topic.partitions {
                let key = (Arc::clone(name), partition);
                let former = self.lanes.remove(&key);
                let lane = former.filter(|lane| lane.topic_id == topic.topic_id);
                let fresh = || Lane {
                    topic_id: topic.topic_id,
                    position: None,
                    sought: EARLIEST,
                    high_watermark: -1,
                };
                lanes.insert(key, lane.unwrap_or_else(fresh));
            }
        }
        self.lanes = lanes;
    }

    fn seek(&mut self, stage: &mut Stage<'_>) {
        let count = self.lanes.len() as u64;
        if count == 0 {
            return;
        }
        let index = stage.rng.below(count) as usize;
        let lane = self
            .lanes
            .values_mut()
            .nth(index)
            .expect("below their number");
        match stage.rng.below(4) {
            0 => (lane.position, lane.sought) = (None, EARLIEST),
            1 => (lane.position, lane.sought) = (None, LATEST),
            2 => {
                let passed_ms = stage.now.0 / 1_000_000;
                let ago_ms = stage.rng.below(passed_ms + 1);
                let then_ms = i64::try_from(passed_ms - ago_ms).expect("a world is short");
                lane.position = None;
                lane.sought = super::producer::WALL_BEGINS_MS + then_ms;
            }
            _last => {
                let end = u64::try_from(lane.high_watermark).unwrap_or(0);
                let position = stage.rng.below(end + 1);
                lane.position = i64::try_from(position).ok();
            }
        }
    }

    fn fetch(&self, stage: &mut Stage<'_>) -> FetchRequest {
        let named = self.options.fetch_version < 13;
        let size = |stage: &mut Stage<'_>| {
            let bits = stage.rng.between(0, 21);
            i32::try_from(stage.rng.between(1, 2 << bits)).expect("below 2^22")
        };
        let mut topics: Vec<FetchTopic> = Vec::new();
        let mut last: Option<&Arc<str>> = None;
        for ((topic, partition), lane) in &self.lanes {
            if last != Some(topic) {
                last = Some(topic);
                topics.push(made!(FetchTopic {
                    topic: if named {
                        StrBytes::from(&**topic)
                    } else {
                        StrBytes::default()
                    },
                    topic_id: if named {
                        Uuid::default()
                    } else {
                        lane.topic_id.into()
                    },
                }));
            }
            let topic = topics.last_mut().expect("pushed for the first partition");
            topic.partitions.push(made!(FetchPartition {
                partition: *partition,
                current_leader_epoch: -1,
                fetch_offset: lane.position.unwrap_or(0),
                last_fetched_epoch: -1,
                log_start_offset: -1,
                partition_max_bytes: size(stage),
            }));
        }
        made!(FetchRequest {
            replica_id: -1,
            max_wait_ms: i32::try_from(stage.rng.below(400)).expect("small"),
            min_bytes: if stage.rng.chance(1, 4) {
                size(stage)
            } else {
                1
            },
            max_bytes: size(stage),
            session_epoch: -1,
            topics: topics,
        })
    }

    fn on_fetched(&mut self, stage: &mut Stage<'_>, response: &FetchResponse) {
        let mut is_trouble = response.error_code != 0;
        let mut has_records = false;
        for topic in &response.responses {
            let name = if topic.topic.is_empty() {
                let id = TopicId::from(topic.topic_id);
                let named = self.view.topics().find(|(_, known)| known.topic_id == id);
                named.map(|(name, _)| Arc::clone(name))
            } else {
                Some(Arc::from(topic.topic.as_str()))
            };
            for partition in &topic.partitions {
                let key = name.clone().map(|name| (name, partition.partition_index));
                let lane = key.and_then(|key| self.lanes.get_mut(&key));
                let Some(lane) = lane else {
                    // The topic was deleted, or made again, while the request was under way.
                    is_trouble = true;
                    continue;
                };
                let at = lane.position.unwrap_or(0);
                match partition.error_code {
                    0 => {
                        lane.high_watermark = partition.high_watermark;
                        let bytes = partition.records.clone().unwrap_or_default();
                        let allows_gaps = name.as_deref().is_some_and(is_compacted);
                        match read_batches(&bytes, at, allows_gaps) {
                            Ok(next) => {
                                lane.position = Some(next);
                                if next > at {
                                    has_records = true;
                                    check_bounds(stage, next, partition.high_watermark);
                                }
                            }
                            Err(what) => stage.complaints.push(format!("{name:?}: {what}")),
                        }
                    }
                    OFFSET_OUT_OF_RANGE => (lane.position, lane.sought) = (None, EARLIEST),
                    _other => is_trouble = true,
                }
            }
        }
        self.successes += u64::from(has_records);
        if is_trouble {
            self.view.distrust();
            self.not_before = stage.in_ms(50);
        }
    }
}

/// R42: nothing at or past the high watermark is served.
fn check_bounds(stage: &mut Stage<'_>, next: i64, high_watermark: i64) {
    if next > high_watermark {
        let what = format!("served up to {next}, past the high watermark {high_watermark}");
        stage.complaints.push(what);
    }
}

fn list_offsets(topic: &str, partition: i32, timestamp: i64) -> ListOffsetsRequest {
    made!(ListOffsetsRequest {
        replica_id: -1,
        topics: vec![made!(ListOffsetsTopic {
            name: StrBytes::from(topic),
            partitions: vec![made!(ListOffsetsPartition {
                partition_index: partition,
                current_leader_epoch: -1,
                timestamp: timestamp,
            })],
        })],
    })
}

/// The position after the whole batches of a response that was asked for from `position`; the last
/// batch may be cut short.
fn read_batches(bytes: &Bytes, position: i64, allows_gaps: bool) -> Result<i64, String> {
    let mut rest = &bytes[..];
    let mut next = position;
    let mut is_first = true;
    while rest.len() >= 61 {
        let field = |at: usize| {
            let mut word = [0; 4];
            word.copy_from_slice(&rest[at..at + 4]);
            i32::from_be_bytes(word)
        };
        let mut word = [0; 8];
        word.copy_from_slice(&rest[..8]);
        let base = i64::from_be_bytes(word);
        let size = usize::try_from(i64::from(field(8)) + 12).unwrap_or(0);
        if size < 61 {
            return Err(format!("a batch of {size} bytes at {base}"));
        }
        let Some(batch) = rest.get(..size) else {
            break;
        };
        if crc32c(&batch[21..]).cast_signed() != field(17) {
            return Err(format!("the batch at {base} has a wrong CRC"));
        }
        let last = base + i64::from(field(23));
        let follows = if allows_gaps {
            next <= last && (is_first || base >= next)
        } else if is_first {
            base <= next && next <= last
        } else {
            base == next
        };
        if !follows {
            return Err(format!("batch [{base}, {last}] where {next} is due"));
        }
        is_first = false;
        next = last + 1;
        rest = &rest[size..];
    }
    Ok(next)
}
