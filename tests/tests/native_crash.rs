//! The real process under `kill -9` at full load: nothing acknowledged is missing, nothing is
//! twice.
//!
//! Each partition has one idempotent producer that numbers its records from 0, keeps several
//! batches in flight, and after a crash sends what was not acknowledged again, under the same
//! sequence numbers. So each partition must hold 0, 1, 2, ... without gap or repetition, at exactly
//! these offsets. Power cuts are the simulator's part: here the machine stays up.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use ottla_core::ids::{ProducerEpoch, ProducerId, Sequence};
use ottla_core::time::Timestamp;
use ottla_core::wire::batch::Compression;
use ottla_core::wire::builder::BatchBuilder;
use ottla_tests::broker::{Broker, binary, fresh_folder};
use ottla_tests::wire_client::WireClient;

const TOPIC: &str = "load";
const PARTITIONS: i32 = 4;
const RECORDS_OF_BATCH: u32 = 50;
const VALUE_BYTES: usize = 200;

/// Batches of one producer on their way at once: what Kafka allows an idempotent one.
const IN_FLIGHT_MAX: usize = 5;

/// Crashes, and batches acknowledged before each.
const CRASHES: usize = 5;
const BATCHES_BEFORE_CRASH: usize = 1_500;

/// How long the first batches may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The producer of one partition; it outlives the broker.
struct Producer {
    partition: i32,
    id: (i64, i16),
    /// First record of each batch that was sent and not acknowledged, in order.
    unacknowledged: VecDeque<u32>,
    next_record: u32,
}

impl Producer {
    fn batch(&self, first: u32) -> Bytes {
        let sequence = Sequence(i32::try_from(first).expect("far fewer records"));
        let (id, epoch) = (ProducerId(self.id.0), ProducerEpoch(self.id.1));
        let mut batch = BatchBuilder::new(Compression::None).producer(id, epoch, sequence);
        for number in first..first + RECORDS_OF_BATCH {
            batch.push(now(), None, Some(&value(number)));
        }
        batch.build()
    }

    /// Sends until told to stop or until the broker dies; each acknowledgement is reported.
    fn run(
        &mut self,
        address: &str,
        stop: &AtomicBool,
        acknowledged: &Sender<()>,
    ) -> io::Result<()> {
        let mut client = WireClient::connect(address)?;
        for first in &self.unacknowledged {
            client.send_batch(TOPIC, self.partition, self.batch(*first))?;
        }
        loop {
            while self.unacknowledged.len() < IN_FLIGHT_MAX && !stop.load(Ordering::Relaxed) {
                let batch = self.batch(self.next_record);
                self.unacknowledged.push_back(self.next_record);
                self.next_record += RECORDS_OF_BATCH;
                client.send_batch(TOPIC, self.partition, batch)?;
            }
            let Some(first) = self.unacknowledged.front() else {
                return Ok(());
            };
            let answer = client.receive_produced()?;
            assert_eq!(
                answer,
                (0, i64::from(*first)),
                "partition {}",
                self.partition
            );
            self.unacknowledged.pop_front();
            // Nobody counts once the test has seen enough.
            let _ = acknowledged.send(());
        }
    }
}

/// The time of the wall. A batch of long ago would take its producer's state with it: a log that is
/// opened forgets producers whose last batch is older than `producer.id.expiration.ms`.
fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock after 1970");
    Timestamp(i64::try_from(since.as_millis()).expect("a clock before the year 292 million"))
}

fn value(number: u32) -> Vec<u8> {
    let mut value = number.to_string().into_bytes();
    value.resize(VALUE_BYTES, b'.');
    value
}

/// Runs all producers until `batches` were acknowledged, then ends the load by `end`.
fn load(producers: &mut [Producer], address: &str, stop: &AtomicBool, end: impl FnOnce()) {
    thread::scope(|scope| {
        let (sender, receiver): (Sender<()>, Receiver<()>) = channel();
        let runs: Vec<_> = producers
            .iter_mut()
            .map(|producer| {
                let sender = sender.clone();
                scope.spawn(move || producer.run(address, stop, &sender))
            })
            .collect();
        drop(sender);
        for count in 0..BATCHES_BEFORE_CRASH {
            if receiver.recv_timeout(PATIENCE).is_err() {
                let ends = runs.into_iter().map(|run| run.join());
                panic!(
                    "the load ended after {count} batches: {:?}",
                    ends.collect::<Vec<_>>()
                );
            }
        }
        end();
        for run in runs {
            let outcome = run.join().expect("a producer found what it did not expect");
            assert!(
                outcome.is_ok() || !stop.load(Ordering::Relaxed),
                "{outcome:?}"
            );
        }
    });
}

fn start(folder: &Path) -> Broker {
    // Small segments, so that crashes fall near rolls too.
    Broker::start(&binary(), folder, &["log.segment.bytes=1048576"]).expect("the broker starts")
}

/// Every partition holds the records 0, 1, 2, ... at these offsets, and all that was acknowledged.
fn check(client: &mut WireClient, producers: &[Producer]) {
    for producer in producers {
        let mut next = 0_u32;
        loop {
            let records = client
                .fetch(TOPIC, producer.partition, i64::from(next))
                .expect("a partition can be read");
            if records.is_empty() {
                break;
            }
            for (offset, found) in records {
                assert_eq!(
                    offset.0,
                    i64::from(next),
                    "partition {}",
                    producer.partition
                );
                assert_eq!(found, value(next), "partition {}", producer.partition);
                next += 1;
            }
        }
        let acknowledged = producer
            .unacknowledged
            .front()
            .copied()
            .unwrap_or(producer.next_record);
        assert!(
            (acknowledged..=producer.next_record).contains(&next),
            "partition {} ends at {next}, acknowledged was {acknowledged}",
            producer.partition,
        );
    }
}

#[test]
fn kill_9_at_full_load_loses_nothing_and_repeats_nothing() {
    let folder = fresh_folder("crash");
    let mut broker = start(&folder);
    let mut client = WireClient::connect(&broker.address()).expect("the broker accepts");
    client.create_topic(TOPIC, PARTITIONS).expect("a topic");
    let mut producers = Vec::new();
    for partition in 0..PARTITIONS {
        let id = client.init_producer().expect("a producer id");
        let unacknowledged = VecDeque::new();
        producers.push(Producer {
            partition,
            id,
            unacknowledged,
            next_record: 0,
        });
    }
    let stop = AtomicBool::new(false);
    for _ in 0..CRASHES {
        let address = broker.address();
        load(&mut producers, &address, &stop, || {
            broker.crash().expect("kill -9 kills")
        });
        broker = start(&folder);
        let mut client = WireClient::connect(&broker.address()).expect("the broker accepts");
        check(&mut client, &producers);
    }
    load(&mut producers, &broker.address(), &stop, || {
        stop.store(true, Ordering::Relaxed)
    });
    assert!(
        producers
            .iter()
            .all(|producer| producer.unacknowledged.is_empty())
    );
    let mut client = WireClient::connect(&broker.address()).expect("the broker accepts");
    check(&mut client, &producers);
    let (status, _) = broker.stop().expect("the broker ends");
    assert!(status.success(), "{status}");
}
