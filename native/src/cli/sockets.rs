//! The sockets of a sans-I/O client machine: one thread reads each, one channel brings everything.
//!
//! Tools that send and receive at once (the producer) are loops over [`Event`]s; this carries out
//! what their machine asks for. Nothing here knows Kafka.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant as Clock};

use bytes::Bytes;
use ottla_core::client::network::{ClientEffect, ClientInput, LinkId};
use ottla_core::time::{Instant, Now, Timestamp};

use crate::cli::driver::address_of;
use crate::cli::link::connect_any;
use crate::cli::time::now_ms;

/// Bytes a reading thread asks for at a time.
const READ_BYTES: usize = 64 * 1024;

/// What a tool's loop waits for.
#[derive(Debug)]
pub(crate) enum Event<T> {
    /// Something a socket did.
    Client(ClientInput),
    /// A connection stands; its writing half.
    Opened(LinkId, TcpStream),
    /// Something from the tool's own threads.
    Tool(T),
}

/// A machine's sockets, and the clock it is told.
#[derive(Debug)]
pub(crate) struct Sockets<T> {
    started: Clock,
    connect_timeout: Duration,
    streams: BTreeMap<LinkId, TcpStream>,
    sender: Sender<Event<T>>,
    receiver: Receiver<Event<T>>,
}

impl<T: Send + 'static> Sockets<T> {
    /// No sockets yet.
    pub(crate) fn new(connect_timeout: Duration) -> Self {
        let (sender, receiver) = channel();
        Self {
            started: Clock::now(),
            connect_timeout,
            streams: BTreeMap::new(),
            sender,
            receiver,
        }
    }

    /// Where the tool's own threads send what they have.
    pub(crate) fn sender(&self) -> Sender<Event<T>> {
        self.sender.clone()
    }

    /// The time, as the machine is told it.
    pub(crate) fn now(&self) -> Now {
        let nanos = u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        Now {
            instant: Instant(nanos),
            wall: Timestamp(now_ms()),
        }
    }

    /// Waits for the next event; `None` when `until` comes first.
    pub(crate) fn wait(&mut self, until: Option<Instant>) -> Option<Event<T>> {
        let event = match until {
            Some(until) => {
                let left = until.since(self.now().instant);
                match self.receiver.recv_timeout(left) {
                    Ok(event) => event,
                    Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return None,
                }
            }
            None => self.receiver.recv().expect("this holds a sender itself"),
        };
        if let Event::Opened(link, stream) = event {
            self.streams.insert(link, stream);
            return Some(Event::Client(ClientInput::Connected { link }));
        }
        Some(event)
    }

    /// Carries out what the machine asks for.
    pub(crate) fn perform(&mut self, effects: &mut Vec<ClientEffect>) {
        for effect in effects.drain(..) {
            match effect {
                ClientEffect::Close { link } => {
                    if let Some(stream) = self.streams.remove(&link) {
                        let _gone = stream.shutdown(Shutdown::Both);
                    }
                }
                ClientEffect::Connect { link, host, port } => {
                    let address = address_of(&host, i32::from(port));
                    let (sender, timeout) = (self.sender.clone(), self.connect_timeout);
                    std::thread::spawn(move || serve(link, &address, timeout, &sender));
                }
                ClientEffect::Send { link, bytes } => self.write(link, &bytes),
            }
        }
    }

    fn write(&mut self, link: LinkId, bytes: &[u8]) {
        let Some(stream) = self.streams.get_mut(&link) else {
            return;
        };
        if stream.write_all(bytes).is_err() {
            // Its reading thread tells the machine.
            let _gone = stream.shutdown(Shutdown::Both);
        }
    }
}

/// One connection from beginning to end, on its own thread.
fn serve<T>(link: LinkId, address: &str, timeout: Duration, sender: &Sender<Event<T>>) {
    let opened = connect_any(address, timeout).and_then(|stream| {
        stream.set_nodelay(true)?;
        Ok((stream.try_clone()?, stream))
    });
    if let Ok((reading, writing)) = opened {
        if sender.send(Event::Opened(link, writing)).is_err() {
            return;
        }
        read(link, reading, sender);
    }
    // A tool that has ended wants to know nothing more.
    let _ended = sender.send(Event::Client(ClientInput::Closed { link }));
}

fn read<T>(link: LinkId, mut stream: TcpStream, sender: &Sender<Event<T>>) {
    let mut buffer = vec![0u8; READ_BYTES];
    loop {
        let length = match stream.read(&mut buffer) {
            Ok(0) => return,
            Ok(length) => length,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(_broken) => return,
        };
        let bytes = Bytes::copy_from_slice(&buffer[..length]);
        if sender
            .send(Event::Client(ClientInput::Received { link, bytes }))
            .is_err()
        {
            return;
        }
    }
}
