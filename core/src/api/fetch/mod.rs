//! Fetch: records below the high watermark, now or when there are enough of them.
//!
//! K50-K63. A fetch is evaluated as a whole each time there is news for it: cheap, because reading
//! the hot end of a log touches memory only and a cold position, once found, is remembered by the
//! log. Source: KIP-74 (limits), KIP-227 (sessions), KIP-320 and KIP-595 (epochs).

mod parts;

use std::collections::BTreeMap;

use kafka_wire::fetch_request::FetchRequest;
use kafka_wire::fetch_response::PartitionData;

use self::parts::{
    answered, bytes_of, failure, forgotten_of, push_part, success, targets_of, top_level_error,
};
use super::{Handled, Requester};
use crate::error::ErrorCode;
use crate::fetch_session::{Answered, FetchContext, FetchTarget, PartitionKey, TopicKey};
use crate::ids::{LogId, Offset, TopicId};
use crate::log::Lookup;
use crate::node::Broker;
use crate::node::door::Outbox;
use crate::node::lookups::LookupFor;
use crate::node::wait::Wait;
use crate::partition::{PartitionTable, ReadLimit, ReadRefusal, ReadResult, Resumed, Visibility};
use crate::storage::Slice;
use crate::time::{Now, from_ms};
use crate::waiting::{ReplyTo, WaitId};
use crate::wire::fetch_reply::FetchReply;
use crate::wire::request::Reply;

/// A fetch as it is evaluated: at once, and again while it is parked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FetchWait {
    context: FetchContext,
    by_id: bool,
    visibility: Visibility,
    bytes_min: u64,
    bytes_max: u64,
    /// Whether its time is over, so that the next evaluation answers it.
    is_due: bool,
    /// The partitions it is parked at.
    parked_at: Vec<LogId>,
    /// Reads of the disk it waits for.
    lookups: u32,
    /// What those that ended found, by the target's place; used up by the next evaluation.
    resolved: BTreeMap<u32, Resolved>,
}

/// What a read of the disk found, and in which log.
#[derive(Clone, Debug, PartialEq)]
struct Resolved {
    log: LogId,
    /// How often compaction had replaced segments of the log: what was found before it did so again
    /// lies elsewhere.
    replacements: u64,
    found: Result<Vec<Slice>, ReadRefusal>,
}

/// What one evaluation found.
struct Evaluation {
    /// Each with the log it is of, where there is one.
    parts: Vec<(Option<LogId>, PartitionData)>,
    records: Vec<Vec<Slice>>,
    bytes: u64,
    /// Something that must be said at once: an error, a diverging epoch.
    is_urgent: bool,
    /// Reads of the disk that must end first, by the target's place.
    lookups: Vec<(u32, LogId, Box<Lookup>)>,
}

/// Answers a fetch, or parks it until there is enough to say.
pub fn handle(
    broker: &mut Broker,
    now: Now,
    from: &Requester,
    request: &FetchRequest,
    out: &mut Outbox,
) -> Handled {
    let by_id = from.version() >= 13;
    let targets = targets_of(&broker.image, request, by_id);
    let forgotten = forgotten_of(request, by_id);
    let session = (request.session_id, request.session_epoch);
    let begun = broker
        .sessions
        .begin(now.instant, session, targets, &forgotten, by_id);
    let context = match begun {
        Ok(context) => context,
        Err(code) => return Handled::Reply(Reply::Fetch(top_level_error(code))),
    };
    let bytes_max = u64::try_from(request.max_bytes)
        .unwrap_or(0)
        .min(u64::from(broker.config.fetch_max_bytes))
        .min(broker.throttle.fetch_bytes_max(from.reply_to));
    let mut wait = FetchWait {
        context,
        by_id,
        visibility: if request.isolation_level == 1 {
            Visibility::Committed
        } else {
            Visibility::HighWatermark
        },
        bytes_min: u64::try_from(request.min_bytes).unwrap_or(0).min(bytes_max),
        bytes_max,
        is_due: request.max_wait_ms <= 0,
        parked_at: Vec::new(),
        lookups: 0,
        resolved: BTreeMap::new(),
    };
    let evaluation = evaluate(broker, &mut wait);
    if evaluation.may_answer(&wait) {
        let reply = finish(broker, now, from.reply_to, wait, evaluation);
        return Handled::Reply(Reply::Fetch(reply));
    }
    let deadline = now.after(from_ms(i64::from(request.max_wait_ms)));
    let id = broker
        .waiting
        .park(from.reply_to, Some(deadline), Wait::Fetch(wait));
    park(broker, id, evaluation.lookups, out);
    Handled::Parked
}

/// There is news for a parked fetch: looks at it again, and answers it where there is enough.
pub fn on_news(broker: &mut Broker, now: Now, id: WaitId, out: &mut Outbox) {
    let Some(Wait::Fetch(parked)) = broker.waiting.get_mut(id) else {
        return;
    };
    if parked.lookups > 0 {
        // It is looked at again when the disk has answered.
        return;
    }
    let mut wait = std::mem::take(parked);
    let evaluation = evaluate(broker, &mut wait);
    if !evaluation.may_answer(&wait) {
        put_back(broker, id, wait);
        ask_disk(broker, id, evaluation.lookups, out);
        return;
    }
    if let Some((reply_to, Wait::Fetch(_parked))) = broker.waiting.take(id) {
        unpark(broker, id, &wait);
        let reply = finish(broker, now, reply_to, wait, evaluation);
        out.reply(reply_to, Reply::Fetch(reply));
    }
}

/// Parks a fetch again that was taken out to be evaluated.
fn put_back(broker: &mut Broker, id: WaitId, wait: FetchWait) {
    if let Some(Wait::Fetch(parked)) = broker.waiting.get_mut(id) {
        *parked = wait;
    }
}

/// A read of the disk that a parked fetch waits for ended, or goes on.
pub fn on_lookup(
    broker: &mut Broker,
    now: Now,
    (id, target_at): (WaitId, u32),
    resumed: Result<Resumed, ReadRefusal>,
    (log, out): (LogId, &mut Outbox),
) {
    let Some(Wait::Fetch(wait)) = broker.waiting.get_mut(id) else {
        return;
    };
    assert!(wait.lookups > 0, "only a read that was asked for ends");
    wait.lookups -= 1;
    let found = match resumed {
        Ok(Resumed::NeedsLookup(lookup)) => {
            ask_disk(broker, id, vec![(target_at, log, lookup)], out);
            return;
        }
        Ok(Resumed::Records(records)) => Ok(records),
        Err(refused) => {
            if refused.code == ErrorCode::CorruptMessage {
                let targets = wait.targets().iter();
                let offset = targets
                    .map(|target| target.fetch_offset)
                    .nth(target_at as usize);
                broker.tell_damage(log, offset.unwrap_or(Offset::ZERO), out);
            }
            Err(refused)
        }
    };
    let Some(Wait::Fetch(wait)) = broker.waiting.get_mut(id) else {
        return;
    };
    let replacements = replacements_of(&broker.partitions, log);
    let resolved = Resolved {
        log,
        replacements,
        found,
    };
    wait.resolved.insert(target_at, resolved);
    on_news(broker, now, id, out);
}

/// A fetch's time is over: answers it with what there is, once its reads of the disk have ended.
pub fn on_timeout(
    broker: &mut Broker,
    now: Now,
    id: WaitId,
    (reply_to, mut wait): (ReplyTo, FetchWait),
    out: &mut Outbox,
) {
    wait.is_due = true;
    if wait.lookups > 0 {
        // The disk always answers; then the fetch is answered too.
        broker.waiting.park_again(id, reply_to, Wait::Fetch(wait));
        return;
    }
    unpark(broker, id, &wait);
    wait.parked_at.clear();
    let evaluation = evaluate(broker, &mut wait);
    if evaluation.may_answer(&wait) {
        let reply = finish(broker, now, reply_to, wait, evaluation);
        out.reply(reply_to, Reply::Fetch(reply));
        return;
    }
    let id = broker.waiting.park(reply_to, None, Wait::Fetch(wait));
    park(broker, id, evaluation.lookups, out);
}

/// A parked fetch's client is gone.
pub fn on_forgotten(broker: &mut Broker, id: WaitId, wait: &FetchWait) {
    unpark(broker, id, wait);
}

impl Evaluation {
    fn may_answer(&self, wait: &FetchWait) -> bool {
        let is_enough =
            wait.is_due || self.is_urgent || self.parts.is_empty() || self.bytes >= wait.bytes_min;
        // An error waits for the disk too: one that stays (a directory that is lost) would else
        // be answered each time before the cold partitions beside it.
        is_enough && self.lookups.is_empty()
    }
}

impl FetchWait {
    fn targets(&self) -> &[FetchTarget] {
        match &self.context {
            FetchContext::Full(targets)
            | FetchContext::Incremental { targets, .. }
            | FetchContext::Sessionless(targets) => targets,
        }
    }
}

fn evaluate(broker: &mut Broker, wait: &mut FetchWait) -> Evaluation {
    let mut resolved = std::mem::take(&mut wait.resolved);
    let targets = wait.targets();
    let mut evaluation = Evaluation {
        parts: Vec::with_capacity(targets.len()),
        records: Vec::with_capacity(targets.len()),
        bytes: 0,
        is_urgent: false,
        lookups: Vec::new(),
    };
    for (target, target_at) in targets.iter().zip(0..) {
        let bytes_left = wait.bytes_max.saturating_sub(evaluation.bytes);
        let limit = ReadLimit {
            bytes_max: u32::try_from(bytes_left)
                .unwrap_or(u32::MAX)
                .min(target.bytes_max),
            at_least_one: evaluation.bytes == 0,
        };
        let resolved = resolved.remove(&target_at);
        let read = read(broker, target, wait.visibility, limit, resolved);
        let (log, (part, records)) = match read {
            Ok((log, mut result)) => {
                evaluation.is_urgent |= result.diverging.is_some();
                if let Some(lookup) = result.lookup.take() {
                    evaluation.lookups.push((target_at, log, lookup));
                }
                (Some(log), success(target, wait.visibility, result))
            }
            Err(refused) => {
                evaluation.is_urgent = true;
                let log = log_of(broker, target).ok();
                (log, (failure(target, &refused), Vec::new()))
            }
        };
        evaluation.bytes += bytes_of(&records);
        evaluation.parts.push((log, part));
        evaluation.records.push(records);
    }
    evaluation
}

/// Reads one partition; with `resolved` where the disk was asked already.
fn read(
    broker: &mut Broker,
    target: &FetchTarget,
    visibility: Visibility,
    limit: ReadLimit,
    resolved: Option<Resolved>,
) -> Result<(LogId, ReadResult), ReadRefusal> {
    let log = log_of(broker, target)?;
    let replacements = replacements_of(&broker.partitions, log);
    let partition = broker
        .partitions
        .get_mut(log)
        .expect("the table's indexes agree");
    // Another topic may have the name by now, and another partition's read may have taken so long
    // that the records lie elsewhere.
    let is_current =
        |resolved: &Resolved| resolved.log == log && resolved.replacements == replacements;
    let Some(Resolved { found, .. }) = resolved.filter(is_current) else {
        let result = partition.read(target, visibility, limit, &mut broker.memory)?;
        return Ok((log, result));
    };
    // The marks are today's; the records were found below earlier ones, which only grow.
    let marks_only = ReadLimit {
        bytes_max: 0,
        at_least_one: false,
    };
    let mut result = partition.read(target, visibility, marks_only, &mut broker.memory)?;
    let records = found?;
    // Each was read as if it were alone; what does not fit beside the others is read again, and its
    // place is known by then.
    if limit.at_least_one || bytes_of(&records) <= u64::from(limit.bytes_max) {
        result.records = records;
    }
    Ok((log, result))
}

/// How often segments of a log were replaced.
fn replacements_of(partitions: &PartitionTable, log: LogId) -> u64 {
    let partition = partitions.get(log);
    partition.map_or(0, |partition| partition.log().replacements())
}

/// The log of the partition that is meant.
fn log_of(broker: &Broker, target: &FetchTarget) -> Result<LogId, ErrorCode> {
    let topic = resolve(broker, target)?;
    let log = broker.partitions.log_of(topic, target.key.1);
    log.ok_or_else(|| broker.missing(topic, target.key.1))
}

/// The topic that is meant. A deleted one is looked for by the name that its id stood for, as in
/// Kafka 4.3.1; an id that never stood for any is unknown.
fn resolve(broker: &Broker, target: &FetchTarget) -> Result<TopicId, ErrorCode> {
    match &target.key.0 {
        TopicKey::Id(id) if broker.image.topic_by_id(*id).is_some() => Ok(*id),
        TopicKey::Id(_) => Err(match &target.name {
            Some(name) if broker.image.topic(name).is_some() => ErrorCode::InconsistentTopicId,
            Some(_) => ErrorCode::UnknownTopicOrPartition,
            None => ErrorCode::UnknownTopicId,
        }),
        TopicKey::Name(name) => broker
            .topic_id(name)
            .ok_or(ErrorCode::UnknownTopicOrPartition),
    }
}

/// Builds the answer, and brings the session up to it.
fn finish(
    broker: &mut Broker,
    now: Now,
    reply_to: ReplyTo,
    wait: FetchWait,
    evaluation: Evaluation,
) -> FetchReply {
    if broker.throttle.on_fetched(now, reply_to, evaluation.bytes) > 0 {
        return throttled(&wait);
    }
    let answers: Vec<Answered> = evaluation
        .parts
        .iter()
        .zip(&evaluation.records)
        .map(|((_log, part), records)| answered(part, records))
        .collect();
    let keys: Vec<PartitionKey> = wait
        .targets()
        .iter()
        .map(|target| target.key.clone())
        .collect();
    let (session_id, said) = match wait.context {
        FetchContext::Full(targets) => {
            let id = broker
                .sessions
                .open(now.instant, targets, &answers, wait.by_id);
            (id, vec![true; keys.len()])
        }
        FetchContext::Incremental { id, .. } => {
            let said = broker.sessions.settle(id, &keys, &answers);
            (id, said)
        }
        FetchContext::Sessionless(_) => (0, vec![true; keys.len()]),
    };
    let mut reply = FetchReply::default();
    reply.response.session_id = session_id;
    let parts = keys
        .iter()
        .zip(said)
        .zip(evaluation.parts)
        .zip(evaluation.records);
    for (((key, is_said), (log, part)), records) in parts {
        if is_said {
            if let Some(partition) = log.and_then(|log| broker.partitions.get_mut(log)) {
                let is_error = part.error_code != ErrorCode::None.code();
                partition.on_fetched(bytes_of(&records), is_error);
            }
            push_part(&mut reply, &key.0, part, records);
        }
    }
    reply
}

/// Nothing yet, because the client read too much lately: its session stays as it is.
fn throttled(wait: &FetchWait) -> FetchReply {
    let mut reply = FetchReply::default();
    reply.response.session_id = match &wait.context {
        FetchContext::Incremental { id, .. } => *id,
        FetchContext::Full(_) | FetchContext::Sessionless(_) => 0,
    };
    reply
}

fn park(
    broker: &mut Broker,
    id: WaitId,
    lookups: Vec<(u32, LogId, Box<Lookup>)>,
    out: &mut Outbox,
) {
    let Some(Wait::Fetch(wait)) = broker.waiting.get(id) else {
        return;
    };
    let targets = wait.targets().iter();
    let parked_at: Vec<LogId> = targets
        .filter_map(|target| log_of(broker, target).ok())
        .collect();
    for log in &parked_at {
        if let Some(partition) = broker.partitions.get_mut(*log) {
            partition.park_fetch(id);
        }
    }
    if let Some(Wait::Fetch(wait)) = broker.waiting.get_mut(id) {
        wait.parked_at = parked_at;
    }
    ask_disk(broker, id, lookups, out);
}

/// Emits the reads a parked fetch waits for.
fn ask_disk(
    broker: &mut Broker,
    id: WaitId,
    lookups: Vec<(u32, LogId, Box<Lookup>)>,
    out: &mut Outbox,
) {
    for (target_at, log, lookup) in lookups {
        if let Some(Wait::Fetch(wait)) = broker.waiting.get_mut(id) {
            wait.lookups += 1;
        }
        broker.begin_lookup(log, lookup, LookupFor::Fetch(id, target_at), out);
    }
}

fn unpark(broker: &mut Broker, id: WaitId, wait: &FetchWait) {
    for &log in &wait.parked_at {
        if let Some(partition) = broker.partitions.get_mut(log) {
            partition.unpark_fetch(id);
        }
    }
}
