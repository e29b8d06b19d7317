//! What simulated clients do: actors over the sans-I/O client.
//!
//! An actor is stepped after everything that happens to its client; it issues calls and says when
//! it wants to be woken. It speaks to the broker in Kafka's protocol alone. Each has a stream of
//! randomness of its own, and speaks versions of its own choosing, as clients of all ages do.

/// Makes a message of the codec, whose structures may grow fields: defaults, and what is named.
macro_rules! made {
    ($message:ident { $($field:ident: $value:expr),* $(,)? }) => {{
        let mut message = $message::default();
        $(message.$field = $value;)*
        message
    }};
}

pub mod admin;
pub mod consumer;
pub mod group;
pub mod limiter;
pub mod producer;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kafka_wire::metadata_request::MetadataRequestTopic;
use kafka_wire::{MetadataRequest, MetadataResponse};
use kafka_wire_core::StrBytes;

use self::admin::Admin;
use self::consumer::Consumer;
use self::group::Member;
use self::group::auditor::Auditor;
use self::group::keeper::Keeper;
use self::limiter::Limiter;
use self::producer::Producer;
use crate::client::message::{Call, ClientRequest};
use crate::client::network::{Answer, CallId, Network, Target};
use crate::ids::TopicId;
use crate::rng::Rng;
use crate::time::Instant;

/// Whether a topic of this name is compacted: in every workload the name says so.
#[must_use]
pub fn is_compacted(topic: &str) -> bool {
    crate::sim::checkers::log_image::is_compacted(topic)
}

/// What an actor may use while it is stepped.
#[derive(Debug)]
pub struct Stage<'a> {
    /// The client's clock.
    pub now: Instant,
    /// The client's connections.
    pub network: &'a mut Network,
    /// The actor's randomness.
    pub rng: &'a mut Rng,
    /// How often a node died: for what an actor finds wrong, not for what it does.
    pub deaths: u64,
    /// What actors find wrong.
    pub complaints: &'a mut Vec<String>,
}

impl Stage<'_> {
    /// Calls any node.
    pub fn call(&mut self, request: ClientRequest) -> CallId {
        let timeout = Duration::from_millis(self.rng.between(500, 5_000));
        let now = self.now;
        self.network.call_within(now, Target::Any, request, timeout)
    }

    /// An instant that comes within this many milliseconds, by the dice.
    pub fn within_ms(&mut self, most_ms: u64) -> Instant {
        let ms = self.rng.below(most_ms) + 1;
        self.in_ms(ms)
    }

    /// The instant some milliseconds from now.
    #[must_use]
    pub fn in_ms(&self, milliseconds: u64) -> Instant {
        self.now.after(Duration::from_millis(milliseconds))
    }
}

/// Someone with something to do.
#[derive(Clone, Debug)]
pub enum Actor {
    /// Makes and changes topics.
    Admin(Admin),
    /// Asks for everything that groups committed.
    Auditor(Auditor),
    /// Reads.
    Consumer(Consumer),
    /// Meddles with groups.
    Keeper(Keeper),
    /// Limits clients.
    Limiter(Limiter),
    /// Reads as a member of a group.
    Member(Box<Member>),
    /// Writes.
    Producer(Producer),
}

impl Actor {
    /// Takes the answer to a call of its.
    pub fn on_answer(&mut self, stage: &mut Stage<'_>, answer: Answer) {
        match self {
            Self::Admin(admin) => admin.on_answer(stage, answer),
            Self::Auditor(auditor) => auditor.on_answer(stage, answer),
            Self::Consumer(consumer) => consumer.on_answer(stage, answer),
            Self::Keeper(keeper) => keeper.on_answer(&answer),
            Self::Limiter(limiter) => limiter.on_answer(answer),
            Self::Member(member) => member.on_answer(&answer),
            Self::Producer(producer) => producer.on_answer(stage, answer),
        }
    }

    /// Does what there is to do now; answers when to be stepped again at the latest.
    pub fn step(&mut self, stage: &mut Stage<'_>) -> Option<Instant> {
        match self {
            Self::Admin(admin) => admin.step(stage),
            Self::Auditor(auditor) => auditor.step(stage),
            Self::Consumer(consumer) => consumer.step(stage),
            Self::Keeper(keeper) => keeper.step(stage),
            Self::Limiter(limiter) => limiter.step(stage),
            Self::Member(member) => member.step(stage),
            Self::Producer(producer) => producer.step(stage),
        }
    }

    /// Asks it to begin nothing new.
    pub fn wind_down(&mut self) {
        match self {
            Self::Admin(admin) => admin.wind_down(),
            Self::Auditor(_) => {}
            Self::Consumer(consumer) => consumer.wind_down(),
            Self::Keeper(keeper) => keeper.wind_down(),
            Self::Limiter(limiter) => limiter.wind_down(),
            Self::Member(member) => member.wind_down(),
            Self::Producer(producer) => producer.wind_down(),
        }
    }

    /// Whether nothing of its is under way and nothing will be.
    #[must_use]
    pub fn is_done(&self) -> bool {
        match self {
            Self::Admin(admin) => admin.is_done(),
            Self::Auditor(auditor) => auditor.is_done(),
            Self::Consumer(consumer) => consumer.is_done(),
            Self::Keeper(keeper) => keeper.is_done(),
            Self::Limiter(limiter) => limiter.is_done(),
            Self::Member(member) => member.is_done(),
            Self::Producer(producer) => producer.is_done(),
        }
    }

    /// Where it stands, for a message.
    #[must_use]
    pub fn progress(&self) -> String {
        match self {
            Self::Admin(admin) => admin.progress(),
            Self::Auditor(auditor) => format!("{auditor:?}"),
            Self::Consumer(consumer) => consumer.progress(),
            Self::Keeper(keeper) => format!("{keeper:?}"),
            Self::Limiter(limiter) => format!("{limiter:?}"),
            Self::Member(member) => member.progress(),
            Self::Producer(producer) => producer.progress(),
        }
    }

    /// The member that it is, if it is one.
    #[must_use]
    pub fn member(&self) -> Option<&Member> {
        match self {
            Self::Member(member) => Some(member),
            Self::Admin(_)
            | Self::Auditor(_)
            | Self::Consumer(_)
            | Self::Keeper(_)
            | Self::Limiter(_)
            | Self::Producer(_) => None,
        }
    }

    /// The member that it is, to tell it what to do.
    pub fn member_mut(&mut self) -> Option<&mut Member> {
        match self {
            Self::Member(member) => Some(member),
            Self::Admin(_)
            | Self::Auditor(_)
            | Self::Consumer(_)
            | Self::Keeper(_)
            | Self::Limiter(_)
            | Self::Producer(_) => None,
        }
    }

    /// Operations that succeeded.
    #[must_use]
    pub fn successes(&self) -> u64 {
        match self {
            Self::Admin(admin) => admin.successes,
            Self::Auditor(auditor) => u64::from(auditor.is_done()),
            Self::Consumer(consumer) => consumer.successes,
            Self::Keeper(keeper) => keeper.successes,
            Self::Limiter(limiter) => limiter.successes,
            Self::Member(member) => member.successes,
            Self::Producer(producer) => producer.successes,
        }
    }
}

/// What Metadata says of one topic.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct KnownTopic {
    /// Its id.
    pub topic_id: TopicId,
    /// How many partitions it has.
    pub partitions: i32,
}

/// A client's view of the topics, refreshed when something does not fit.
#[derive(Clone, Debug, Default)]
pub struct TopicView {
    known: BTreeMap<Arc<str>, KnownTopic>,
    asked: Option<CallId>,
    stale: bool,
    not_before: Instant,
}

impl TopicView {
    /// A view that knows nothing.
    #[must_use]
    pub fn new() -> Self {
        Self {
            stale: true,
            ..Self::default()
        }
    }

    /// What is known of a topic.
    #[must_use]
    pub fn topic(&self, name: &str) -> Option<&KnownTopic> {
        self.known.get(name)
    }

    /// All topics known.
    pub fn topics(&self) -> impl Iterator<Item = (&Arc<str>, &KnownTopic)> {
        self.known.iter()
    }

    /// Whether there is an answer not known to be wrong.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        !self.stale && self.asked.is_none()
    }

    /// Says that something did not fit.
    pub fn distrust(&mut self) {
        self.stale = true;
    }

    /// Asks again where need be; `names` empty asks for all topics.
    pub fn step(&mut self, stage: &mut Stage<'_>, names: &[Arc<str>]) -> Option<Instant> {
        if !self.stale || self.asked.is_some() {
            return None;
        }
        if stage.now < self.not_before {
            return Some(self.not_before);
        }
        let topics = names.iter().map(|name| {
            made!(MetadataRequestTopic {
                name: Some(StrBytes::from(&**name)),
            })
        });
        let request = made!(MetadataRequest {
            topics: (!names.is_empty()).then(|| topics.collect()),
            allow_auto_topic_creation: false,
        });
        self.asked = Some(stage.call(ClientRequest::Metadata(request)));
        self.not_before = stage.in_ms(50);
        None
    }

    /// Takes an answer if it is to this view's question; gives it back otherwise.
    pub fn on_answer(&mut self, answer: Answer) -> Option<Answer> {
        if self.asked != Some(answer.call) {
            return Some(answer);
        }
        self.asked = None;
        let response = answer.result.ok().and_then(MetadataRequest::from_response);
        if let Some(response) = response {
            self.stale = !self.take(&response);
        }
        None
    }

    /// Whether every topic asked for was there, with its partitions.
    fn take(&mut self, response: &MetadataResponse) -> bool {
        let mut whole = true;
        let mut known = BTreeMap::new();
        for topic in &response.topics {
            let led = topic
                .partitions
                .iter()
                .all(|partition| partition.error_code == 0);
            let Some(name) = topic.name.as_ref().filter(|_| topic.error_code == 0 && led) else {
                whole = false;
                continue;
            };
            let partitions = i32::try_from(topic.partitions.len()).expect("a frame bounds them");
            let topic = KnownTopic {
                topic_id: TopicId::from(topic.topic_id),
                partitions,
            };
            known.insert(Arc::from(name.as_str()), topic);
        }
        self.known = known;
        whole
    }
}
