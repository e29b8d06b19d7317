//! Connections over real sockets, with a brain that answers by rote.
//!
//! What requests mean is not tested here: order, waiting, limits and endings are.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ottla_core::ids::{ConnectionId, ListenerId, RequestSequence};
use ottla_core::node::door::{Input, Outbox, ReplyEffect};
use ottla_core::time::{Instant, Now};
use ottla_core::wire::request::{Reply, Request};
use tokio::runtime::Runtime;

use super::{Admission, Listener, Net, NetLimits, SocketOptions};
use crate::disk::{self, DiskOptions, OperatingSystem, SystemCalls};
use crate::driver::{Brain, Clock, Driver, Phase, Turning};

const API_VERSIONS: i16 = 18;
const METADATA: i16 = 3;
const DESCRIBE_CLUSTER: i16 = 60;

/// Answers ApiVersions at once, Metadata 20 ms later, and hangs up on DescribeCluster.
#[derive(Debug, Default)]
struct Rote {
    parked: Vec<(Instant, ConnectionId, RequestSequence)>,
    is_stopped: bool,
}

impl Brain for Rote {
    fn turn(&mut self, now: Now, inputs: &mut Vec<Input>, out: &mut Outbox) {
        for input in inputs.drain(..) {
            match input {
                Input::Request {
                    connection,
                    sequence,
                    request,
                    ..
                } => {
                    if matches!(request, Request::ApiVersions(_)) {
                        out.replies.push(ReplyEffect {
                            connection,
                            sequence,
                            reply: Reply::ApiVersions(Default::default()),
                        });
                    } else if matches!(request, Request::Metadata(_)) {
                        let due = now.after(Duration::from_millis(20));
                        self.parked.push((due, connection, sequence));
                    } else {
                        out.close.push((connection, request.api_name()));
                    }
                }
                Input::Disconnected { connection } => {
                    self.parked.retain(|(_, known, _)| *known != connection);
                }
                Input::Shutdown => self.is_stopped = true,
                Input::Connected { .. }
                | Input::Disk(_)
                | Input::Space { .. }
                | Input::TurnMeasured { .. } => {}
            }
        }
        self.parked.retain(|(due, connection, sequence)| {
            if *due <= now.instant {
                out.replies.push(ReplyEffect {
                    connection: *connection,
                    sequence: *sequence,
                    reply: Reply::Metadata(Default::default()),
                });
            }
            *due > now.instant
        });
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.parked.iter().map(|(due, ..)| *due).min()
    }

    fn phase(&self) -> Phase {
        if self.is_stopped {
            Phase::Stopped
        } else {
            Phase::Serving
        }
    }
}

/// A listening broker with a brain by rote.
struct Rig {
    runtime: Runtime,
    net: Arc<Net>,
    address: SocketAddr,
    folder: PathBuf,
}

impl Rig {
    fn new(turning: Turning, limits: NetLimits) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("ottla-net-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let calls: Arc<dyn SystemCalls> = Arc::new(OperatingSystem);
        let options = DiskOptions {
            directories: vec![folder.clone()],
            open_files_max: 8,
            workers_max: 2,
        };
        let (disk, door, _listings) = disk::open(&options, &calls).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let (net, address) = runtime.block_on(async {
            let brain = Box::new(Rote::default());
            let boot = Outbox::default();
            let driver = Driver::start(Clock::new(), brain, boot, (disk, door), turning);
            tokio::spawn(Arc::clone(&driver).serve_deadlines());
            let net = Net::start(driver, limits);
            net.know_listeners(&["PLAINTEXT".to_owned()]);
            net.open_listener(ListenerId(0));
            let listener = Listener::bind(ListenerId(0), "127.0.0.1", 0, SocketOptions::default())
                .await
                .unwrap();
            let address = listener.address();
            let _accepting = listener.serve(Arc::clone(&net));
            (net, address)
        });
        Self {
            runtime,
            net,
            address,
            folder,
        }
    }

    fn connect(&self) -> TcpStream {
        let socket = TcpStream::connect(self.address).unwrap();
        let patience = Some(Duration::from_secs(20));
        socket.set_read_timeout(patience).unwrap();
        socket
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.folder);
    }
}

fn request(api_key: i16, correlation_id: i32) -> Vec<u8> {
    let mut body: Vec<u8> = Vec::new();
    body.extend(api_key.to_be_bytes());
    body.extend(0i16.to_be_bytes());
    body.extend(correlation_id.to_be_bytes());
    body.extend((-1i16).to_be_bytes());
    match api_key {
        METADATA => body.extend(0i32.to_be_bytes()),
        // Flexible: no tags in the header; then a boolean and no tags.
        DESCRIBE_CLUSTER => body.extend([0, 0, 0]),
        _empty => {}
    }
    let mut frame = Vec::from(u32::try_from(body.len()).unwrap().to_be_bytes());
    frame.extend(body);
    frame
}

/// The correlation id of the next response.
fn response(socket: &mut TcpStream) -> i32 {
    let mut word = [0; 4];
    socket.read_exact(&mut word).unwrap();
    let mut frame = vec![0; u32::from_be_bytes(word) as usize];
    socket.read_exact(&mut frame).unwrap();
    i32::from_be_bytes(*frame.first_chunk().unwrap())
}

fn is_at_end(socket: &mut TcpStream) -> bool {
    match socket.read(&mut [0; 1]) {
        Ok(count) => count == 0,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

fn check_replies_come_in_order(turning: Turning) {
    let rig = Rig::new(turning, NetLimits::default());
    let mut sockets: Vec<_> = (0..8).map(|_| rig.connect()).collect();
    for socket in &mut sockets {
        // One write, several requests: the first waits for its time, the others wait for it.
        let apis = [METADATA, API_VERSIONS, API_VERSIONS, METADATA, API_VERSIONS];
        let frames = apis.iter().zip(1..).map(|(&api, id)| request(api, id));
        socket
            .write_all(&frames.collect::<Vec<_>>().concat())
            .unwrap();
    }
    for socket in &mut sockets {
        for expected in 1..=5 {
            assert_eq!(response(socket), expected);
        }
    }
    // A frame in two halves is one request all the same.
    let frame = request(API_VERSIONS, 6);
    for socket in &mut sockets {
        socket.write_all(&frame[..7]).unwrap();
    }
    for socket in &mut sockets {
        socket.write_all(&frame[7..]).unwrap();
        assert_eq!(response(socket), 6);
    }
}

#[test]
fn replies_come_in_order_whoever_turns() {
    check_replies_come_in_order(Turning::WhoeverBrings);
}

#[test]
fn replies_come_in_order_when_a_thread_owns_the_brain() {
    check_replies_come_in_order(Turning::Owner);
}

#[test]
fn many_connections_at_once_all_get_their_replies() {
    let rig = Rig::new(Turning::WhoeverBrings, NetLimits::default());
    let clients = (0..16).map(|_| {
        let mut socket = rig.connect();
        std::thread::spawn(move || {
            for id in 0..500 {
                socket.write_all(&request(API_VERSIONS, id)).unwrap();
                assert_eq!(response(&mut socket), id);
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.join().unwrap();
    }
}

#[test]
fn a_connection_ends_after_its_earlier_replies() {
    let rig = Rig::new(Turning::WhoeverBrings, NetLimits::default());
    let mut socket = rig.connect();
    let frames = [
        request(API_VERSIONS, 1),
        request(DESCRIBE_CLUSTER, 2),
        request(API_VERSIONS, 3),
    ];
    socket.write_all(&frames.concat()).unwrap();
    assert_eq!(response(&mut socket), 1);
    assert!(is_at_end(&mut socket));
}

#[test]
fn a_peer_that_sends_no_more_gets_its_replies() {
    let rig = Rig::new(Turning::WhoeverBrings, NetLimits::default());
    let mut socket = rig.connect();
    let mut sent = [request(METADATA, 1), request(API_VERSIONS, 2)].concat();
    // A part of a third one: nobody is waited for.
    sent.extend(&request(API_VERSIONS, 3)[..7]);
    socket.write_all(&sent).unwrap();
    socket.shutdown(Shutdown::Write).unwrap();
    assert_eq!(response(&mut socket), 1);
    assert_eq!(response(&mut socket), 2);
    assert!(is_at_end(&mut socket));
}

#[test]
fn bad_frames_and_too_many_connections_are_refused() {
    let limits = NetLimits {
        admission: Admission {
            connections_max: 2,
            ..Admission::default()
        },
        ..NetLimits::default()
    };
    let rig = Rig::new(Turning::WhoeverBrings, limits);
    let mut first = rig.connect();
    first.write_all(&request(API_VERSIONS, 1)).unwrap();
    assert_eq!(response(&mut first), 1);
    let mut second = rig.connect();
    second.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    assert!(is_at_end(&mut second));
    // Its place is free once its task has ended; until then others are turned away.
    let mut others: Vec<TcpStream> = Vec::new();
    loop {
        let mut other = rig.connect();
        let is_sent = other.write_all(&request(API_VERSIONS, 2)).is_ok();
        if is_sent && !is_at_end(&mut other) {
            others.push(other);
            break;
        }
    }
    let mut refused = rig.connect();
    assert!(is_at_end(&mut refused));
}

#[test]
fn an_idle_connection_is_small() {
    let rig = Rig::new(Turning::WhoeverBrings, NetLimits::default());
    let connecting = tokio::net::TcpStream::connect(rig.address);
    let socket = rig.runtime.block_on(connecting).unwrap();
    let address = socket.peer_addr().unwrap().ip();
    let task = Arc::clone(&rig.net).serve(socket, ListenerId(0), address);
    // With its socket's registration, its mailbox and its buffers gone, about 2 KiB.
    assert!(size_of_val(&task) <= 1024, "{} bytes", size_of_val(&task));
}

#[test]
fn a_shutdown_is_waited_for() {
    let rig = Rig::new(Turning::WhoeverBrings, NetLimits::default());
    let driver = Arc::clone(&rig.net.driver);
    driver.submit(None, |inbox| inbox.inputs.push(Input::Shutdown));
    rig.runtime
        .block_on(driver.until(|phase| *phase == Phase::Stopped));
    driver.close();
}
