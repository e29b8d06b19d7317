//! A producer with its sockets, for the tools that make up their records.
//!
//! Remembers when each record was handed over, so that a tool can tell how long its
//! acknowledgement took. The console producer, whose records come from a person, has a loop of its
//! own.

use std::collections::VecDeque;

use ottla_core::client::network::ClientEffect;
use ottla_core::client::producer::{Delivered, Producer, ProducerRecord, RecordId, Undelivered};
use ottla_core::time::{Instant, Now};

use crate::cli::driver::Cluster;
use crate::cli::failure::Failure;
use crate::cli::produce::options;
use crate::cli::properties::Properties;
use crate::cli::sockets::{Event, Sockets};

/// Default of `buffer.memory` (Kafka's).
const BUFFER_BYTES: usize = 32 * 1024 * 1024;

/// A record on its way.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    sent_at: Instant,
    size_bytes: usize,
}

/// What became of a record.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Which one: they count from zero.
    pub(crate) record: RecordId,
    /// When it was handed over.
    pub(crate) sent_at: Instant,
    /// Bytes of its key and value.
    pub(crate) size_bytes: usize,
    /// Where it went, or why it did not.
    pub(crate) result: Result<Delivered, Undelivered>,
}

/// A producer and its sockets; `T` is what the tool's own threads have to say.
#[derive(Debug)]
pub(crate) struct Sender<T> {
    producer: Producer,
    pub(crate) sockets: Sockets<T>,
    effects: Vec<ClientEffect>,
    /// Records without an outcome, from `first` on.
    waiting: VecDeque<Option<Waiting>>,
    first: u64,
    waiting_bytes: usize,
    buffer_bytes: usize,
    told: Vec<T>,
}

impl<T: Send + 'static> Sender<T> {
    /// A producer with these properties, to a cluster that answers.
    pub(crate) fn connect(
        address: &str,
        properties: &Properties,
        client_id: &str,
    ) -> Result<Self, Failure> {
        let mut properties = properties.clone();
        properties
            .entry("client.id".to_owned())
            .or_insert_with(|| client_id.to_owned());
        let options = options::producer_options(address, &properties, false)?;
        let buffer_bytes = options::number(&properties, "buffer.memory", BUFFER_BYTES, "LONG")?;
        // Says at once that there is nobody, which the producer would try for two minutes.
        Cluster::new(address, &properties, client_id)?.brokers()?;
        Ok(Self {
            sockets: Sockets::new(options.network.connect_timeout),
            producer: Producer::new(options),
            effects: Vec::new(),
            waiting: VecDeque::new(),
            first: 0,
            waiting_bytes: 0,
            buffer_bytes,
            told: Vec::new(),
        })
    }

    /// The time, as the producer is told it.
    pub(crate) fn now(&self) -> Now {
        self.sockets.now()
    }

    /// Whether one more record may be handed over before others are acknowledged.
    pub(crate) fn has_room(&self) -> bool {
        self.waiting_bytes < self.buffer_bytes
    }

    /// Whether every record has had its outcome.
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Hands a record over; it leaves with the next [`Self::turn`].
    pub(crate) fn send(&mut self, record: ProducerRecord) -> RecordId {
        let length = |bytes: &Option<bytes::Bytes>| bytes.as_ref().map_or(0, bytes::Bytes::len);
        let size_bytes = length(&record.key) + length(&record.value);
        let now = self.now();
        self.waiting.push_back(Some(Waiting {
            sent_at: now.instant,
            size_bytes,
        }));
        self.waiting_bytes += size_bytes;
        self.producer.send(now, record)
    }

    /// Lets nothing linger until everything is acknowledged.
    pub(crate) fn flush(&mut self) {
        self.producer.flush();
    }

    /// Sends what is due, waits for something to happen until `until` at most, and takes it in.
    pub(crate) fn turn(&mut self, until: Option<Instant>) {
        self.producer.on_time(self.sockets.now());
        self.perform();
        let deadline = match (self.producer.next_deadline(), until) {
            (Some(machine), Some(until)) => Some(machine.min(until)),
            (machine, until) => machine.or(until),
        };
        let mut event = self.sockets.wait(deadline);
        // What has come with it is taken in at once.
        while let Some(happened) = event {
            match happened {
                Event::Client(input) => self.producer.on_input(self.sockets.now(), input),
                Event::Tool(words) => self.told.push(words),
                Event::Opened(..) => unreachable!("the sockets keep what was opened"),
            }
            event = self.sockets.wait(Some(Instant(0)));
        }
        self.producer.on_time(self.sockets.now());
        self.perform();
    }

    /// What the tool's own threads have said since.
    pub(crate) fn take_told(&mut self) -> Vec<T> {
        std::mem::take(&mut self.told)
    }

    /// The next record whose fate is known.
    pub(crate) fn next_outcome(&mut self) -> Option<Outcome> {
        let report = self.producer.next_report()?;
        let index = usize::try_from(report.record.0 - self.first).expect("it waits in memory");
        let waiting = self.waiting[index]
            .take()
            .expect("a record has one outcome");
        while let Some(None) = self.waiting.front() {
            self.waiting.pop_front();
            self.first += 1;
        }
        self.waiting_bytes -= waiting.size_bytes;
        Some(Outcome {
            record: report.record,
            sent_at: waiting.sent_at,
            size_bytes: waiting.size_bytes,
            result: report.result,
        })
    }

    fn perform(&mut self) {
        self.producer.take_effects(&mut self.effects);
        self.sockets.perform(&mut self.effects);
    }
}
