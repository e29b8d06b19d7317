//! One client's task: its socket, its [`Connection`] machine, its mailbox.
//!
//! Reads straight into the frame's final place, decodes and checks on this task, turns the brain if
//! nobody else does, and writes what was decided with one call. It decides nothing about requests.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use futures::Future;
use ottla_core::connection::{Connection, ConnectionError};
use ottla_core::node::door::Input;
use ottla_core::partition::opening::Demands;
use ottla_core::wire::request::{Piece, Request};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::Net;
use super::budget::{Budget, Charge};
use super::latency::Latency;
use super::output::{Output, Progress};
use super::work::Work;
use crate::driver::{Mail, Mailbox, milliseconds};

/// After so many rounds with requests a connection keeps its buffers until it is quiet. Clients
/// that only look around (versions, metadata) and then stay idle never get there, so thousands of
/// them leave no holes in memory.
const BUSY_ROUNDS: u8 = 4;

/// One connection and all that belongs to it.
#[derive(Debug)]
pub(crate) struct Session {
    net: Arc<Net>,
    socket: TcpStream,
    connection: Connection,
    mailbox: Arc<Mailbox>,
    output: Output,
    charge: Charge,
    /// The socket took no more: wait until it does.
    is_blocked: bool,
    /// The peer sends no more; what it asked for before is answered, as Kafka does.
    is_all_read: bool,
    /// Rounds that brought requests, as far as it matters.
    busy_rounds: u8,
    latency: Latency,
    work: Work,
    // Lists kept between rounds, so that they need no new memory.
    mail: Mail,
    inputs: Vec<Input>,
    pieces: Vec<Piece>,
}

/// Why a connection ended.
#[derive(Debug)]
pub(crate) enum Ending {
    /// The peer closed it between requests, or its reply was the last.
    Closed,
    /// The peer broke it off, or the socket or a file failed.
    Io(io::Error),
    /// The broker ended it.
    Refused(&'static str),
    /// The peer sent something wrong.
    Wrong(ConnectionError),
}

/// What a round of waiting brought.
enum Arrival {
    /// Mail, or room to write.
    Attention,
    /// Bytes; 0 is the end of the stream.
    Bytes(usize),
}

impl Session {
    /// Puts the parts of a new connection together.
    pub(crate) fn new(
        net: Arc<Net>,
        socket: TcpStream,
        connection: Connection,
        mailbox: Arc<Mailbox>,
    ) -> Self {
        Self {
            net,
            socket,
            connection,
            mailbox,
            output: Output::default(),
            charge: Charge::default(),
            is_blocked: false,
            is_all_read: false,
            busy_rounds: 0,
            latency: Latency::default(),
            work: Work::default(),
            mail: Mail::default(),
            inputs: Vec::new(),
            pieces: Vec::new(),
        }
    }

    /// The connection's whole life, after the brain was told of it.
    pub(crate) async fn run(&mut self) -> Ending {
        let ending = loop {
            match self.round().await {
                Ok(()) if self.is_done() => break Ending::Closed,
                Ok(()) => {}
                Err(ending) => break ending,
            }
        };
        self.net.budget.charge(&mut self.charge, 0);
        ending
    }

    /// Whether nothing is left to be written, nor to be waited for.
    fn is_done(&self) -> bool {
        let is_answered = self.connection.requests_in_flight() == 0;
        let is_over = self.connection.is_done()
            || self.is_all_read && is_answered && !self.connection.has_output();
        is_over && self.output.is_empty()
    }

    /// Waits for something to do, and does all of it.
    async fn round(&mut self) -> Result<(), Ending> {
        match poll_fn(|context| self.poll_arrival(context)).await {
            Ok(Arrival::Attention) => {}
            Ok(Arrival::Bytes(0)) => self.is_all_read = true,
            Ok(Arrival::Bytes(count)) => {
                let now_ns = self.net.driver.now_ns();
                self.latency.read_ns = now_ns;
                self.work.begin(now_ns);
                self.mailbox.touch(milliseconds(now_ns));
                self.note_moved(count);
            }
            Err(error) => return Err(Ending::Io(error)),
        }
        loop {
            self.read_mail()?;
            let has_requests = self.take_requests().await?;
            if has_requests {
                self.busy_rounds = self.busy_rounds.saturating_add(1);
                self.hand_in();
                self.read_mail()?;
            }
            self.write()?;
            // What was written may have made room for requests that have arrived already.
            if !has_requests {
                break;
            }
        }
        if self.busy_rounds < BUSY_ROUNDS && self.connection.requests_in_flight() == 0 {
            self.release();
        }
        self.account();
        self.work.pause();
        Ok(())
    }

    /// Gives back what holds nothing.
    fn release(&mut self) {
        self.connection.release_buffers();
        self.output.release();
        self.latency.release();
        self.mail.replies = Vec::new();
        self.inputs = Vec::new();
        self.pieces = Vec::new();
    }

    /// Ready when there is mail, when bytes were read, or when blocked output can go on.
    fn poll_arrival(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Arrival>> {
        if self.mailbox.has_mail(context.waker()) {
            return Poll::Ready(Ok(Arrival::Attention));
        }
        if self.is_blocked && self.socket.poll_write_ready(context)?.is_ready() {
            self.is_blocked = false;
            return Poll::Ready(Ok(Arrival::Attention));
        }
        if self.is_all_read || !self.connection.wants_input() {
            // The end of the stream would go unnoticed until a reply is written; that is soon
            // enough, for the reply of a parked request has a deadline.
            return Poll::Pending;
        }
        // No buffer is made before there is something to read: an idle connection has none.
        if self.socket.poll_read_ready(context)?.is_pending() {
            return Poll::Pending;
        }
        let hint = self.connection.read_hint() as u64;
        let is_covered = self.connection.has_partial_frame() && Budget::covers(&self.charge, hint);
        if !is_covered && !self.net.budget.admits(&self.charge, hint, context.waker()) {
            // It is the broker that does not read: the peer owes nothing.
            self.mailbox.owing_since_ms.store(0, Ordering::Relaxed);
            return Poll::Pending;
        }
        self.connection.buffer_mut();
        self.charge_held();
        let buffer = self.connection.buffer_mut();
        let reading = pin!(self.socket.read_buf(buffer));
        reading
            .poll(context)
            .map(|result| result.map(Arrival::Bytes))
    }

    /// Decodes what has arrived. Whether there was a request that is not handed in.
    async fn take_requests(&mut self) -> Result<bool, Ending> {
        while let Some(demands) = self.decode()? {
            self.open_newest(&demands).await;
        }
        Ok(!self.inputs.is_empty())
    }

    /// Decodes requests up to one whose batches its topics want opened: that one is left alone
    /// among the inputs, with what they ask for.
    fn decode(&mut self) -> Result<Option<Arc<Demands>>, Ending> {
        loop {
            match self.connection.next_request() {
                Ok(Some(received)) => {
                    self.latency.begin(received.sequence, received.head.api_key);
                    let demands = self.asked_of(&received.request);
                    if demands.is_some() && !self.inputs.is_empty() {
                        self.hand_in();
                    }
                    self.inputs.push(Input::Request {
                        connection: self.connection.id(),
                        sequence: received.sequence,
                        head: received.head,
                        request: received.request,
                    });
                    if demands.is_some() {
                        return Ok(demands);
                    }
                }
                Ok(None) => return Ok(None),
                Err(error) => {
                    // Requests before the bad one are decided, though nothing is answered.
                    if !self.inputs.is_empty() {
                        self.submit();
                    }
                    return Err(Ending::Wrong(error));
                }
            }
        }
    }

    /// What topics ask for, where a request has batches to open.
    fn asked_of(&self, request: &Request) -> Option<Arc<Demands>> {
        let Request::Produce(produce) = request else {
            return None;
        };
        let wall = self.net.driver.wall();
        Some(self.net.driver.demands()).filter(|demands| demands.asks(produce, wall))
    }

    /// Opens and compresses the batches of the newest input as their topics ask for it, so that no
    /// turn has to. The requests behind it wait, which keeps their order.
    async fn open_newest(&mut self, demands: &Demands) {
        // It is the broker that does not read: the peer owes nothing.
        self.mailbox.owing_since_ms.store(0, Ordering::Relaxed);
        let place = self.net.openings.acquire().await;
        // Neither the turn nor the wait for a place was work of this task.
        self.work.resume(self.net.driver.now_ns());
        if let Some(Input::Request {
            request: Request::Produce(produce),
            ..
        }) = self.inputs.last_mut()
        {
            let wall = self.net.driver.wall();
            tokio::task::block_in_place(|| demands.open(produce, wall));
        }
        drop(place);
    }

    fn hand_in(&mut self) {
        self.work.share(self.net.driver.now_ns(), &mut self.inputs);
        self.submit();
    }

    fn submit(&mut self) {
        let inputs = &mut self.inputs;
        let own = Some(self.connection.id());
        self.net
            .driver
            .submit(own, |inbox| inbox.inputs.append(inputs));
    }

    /// Takes what others decided.
    fn read_mail(&mut self) -> Result<(), Ending> {
        if !self.mailbox.take(&mut self.mail) {
            return Ok(());
        }
        if let Some(reason) = self.mail.abort.take() {
            return Err(Ending::Refused(reason));
        }
        if let Some(loaded) = self.mail.loaded.take() {
            self.output.loaded(loaded.map_err(Ending::Io)?);
        }
        for letter in self.mail.replies.drain(..) {
            self.output.pin(letter.pins);
            self.connection
                .reply(letter.sequence, letter.reply)
                .map_err(Ending::Wrong)?;
        }
        if let Some(is_muted) = self.mail.muted.take() {
            self.connection.set_muted(is_muted);
        }
        if self.mail.finish.take().is_some() {
            self.connection.finish();
        }
        if std::mem::take(&mut self.mail.is_quiet) {
            self.release();
        }
        Ok(())
    }

    /// Writes what there is, as far as the socket and the disk allow.
    fn write(&mut self) -> Result<(), Ending> {
        let mut taken = 0;
        if self.connection.has_output() {
            taken = self.connection.take_output(&mut self.pieces);
            self.output.push(&mut self.pieces);
        }
        self.latency.taken(taken, self.connection.first_waiting());
        if self.latency.has_ended() {
            // Without a reply: a Produce with acks=0.
            let now_ns = self.net.driver.now_ns();
            self.latency.written(0, now_ns, &self.net.figures);
        }
        if self.output.is_empty() || self.is_blocked {
            return Ok(());
        }
        let start_ns = self.net.driver.now_ns();
        let (written, progress) = self.output.write(&self.socket);
        let now_ns = self.net.driver.now_ns();
        self.work.note_written(start_ns, now_ns);
        if written > 0 {
            self.connection.wrote(written);
            self.latency.written(written, now_ns, &self.net.figures);
            self.mailbox.touch(milliseconds(now_ns));
            self.note_moved(written);
        }
        match progress.map_err(Ending::Io)? {
            Progress::Empty | Progress::Loading => {}
            Progress::Blocked => self.is_blocked = true,
            Progress::NeedsLoad {
                range,
                skip,
                length,
            } => self.net.driver.load(&self.mailbox, range, skip, length),
        }
        Ok(())
    }

    fn note_moved(&self, bytes: usize) {
        let moved = &self.mailbox.owing_moved_bytes;
        moved.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Says what the connection holds, and whether its peer owes it anything; lets go of buffers
    /// that hold nothing.
    fn account(&mut self) {
        let is_reading = !self.is_all_read && self.connection.wants_input();
        let is_owing = self.is_blocked || is_reading && self.connection.has_partial_frame();
        let since = &self.mailbox.owing_since_ms;
        let was_room = &self.mailbox.is_room_owed;
        let is_another = was_room.swap(self.is_blocked, Ordering::Relaxed) != self.is_blocked;
        if !is_owing {
            since.store(0, Ordering::Relaxed);
        } else if is_another || since.load(Ordering::Relaxed) == 0 {
            self.mailbox.owing_moved_bytes.store(0, Ordering::Relaxed);
            since.store(self.net.driver.now_ms(), Ordering::Relaxed);
        }
        self.charge_held();
    }

    fn charge_held(&mut self) {
        let output = self.connection.output_bytes() as u64;
        let held = self.connection.held_bytes().saturating_sub(output);
        self.net.budget.charge(&mut self.charge, held);
    }
}
