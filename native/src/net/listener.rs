//! Listening: an address bound before the node boots, and connections accepted after.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ottla_core::ids::ListenerId;
use tokio::net::{TcpListener, TcpSocket, lookup_host};
use tokio::task::JoinHandle;

use super::Net;

/// Waits this long for a connection to end before accepting is tried again without file handles.
const NO_HANDLES_WAIT: Duration = Duration::from_millis(100);

/// What the system is told of a listener's sockets; connections inherit the buffers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SocketOptions {
    /// Connections that may wait to be accepted (`socket.listen.backlog.size`).
    pub(crate) backlog: u32,
    /// `socket.receive.buffer.bytes`; `None` leaves it to the system.
    pub(crate) receive_buffer_bytes: Option<u32>,
    /// `socket.send.buffer.bytes`; `None` leaves it to the system.
    pub(crate) send_buffer_bytes: Option<u32>,
}

impl Default for SocketOptions {
    fn default() -> Self {
        Self {
            backlog: 1024,
            receive_buffer_bytes: None,
            send_buffer_bytes: None,
        }
    }
}

impl SocketOptions {
    fn listen(&self, address: SocketAddr) -> io::Result<TcpListener> {
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        socket.set_reuseaddr(true)?;
        if let Some(bytes) = self.receive_buffer_bytes {
            socket.set_recv_buffer_size(bytes)?;
        }
        if let Some(bytes) = self.send_buffer_bytes {
            socket.set_send_buffer_size(bytes)?;
        }
        socket.bind(address)?;
        socket.listen(self.backlog)
    }
}

/// A bound address.
#[derive(Debug)]
pub(crate) struct Listener {
    id: ListenerId,
    socket: TcpListener,
    address: SocketAddr,
}

/// Why an address cannot be listened on.
#[derive(Debug)]
pub(crate) struct BindError {
    wanted: String,
    error: io::Error,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { wanted, error } = self;
        write!(f, "cannot listen on {wanted}: {error}; ")?;
        f.write_str(if error.kind() == io::ErrorKind::AddrInUse {
            "another program listens there: stop it, or choose another port with listeners"
        } else {
            "choose an address of this machine with listeners"
        })
    }
}

impl Listener {
    /// Binds `host:port`; an empty host is every address, port 0 any free port.
    ///
    /// # Errors
    /// No such address, or none that is free.
    pub(crate) async fn bind(
        id: ListenerId,
        host: &str,
        port: u16,
        options: SocketOptions,
    ) -> Result<Self, BindError> {
        let fail = |error| BindError {
            wanted: format!("{host}:{port}"),
            error,
        };
        let mut found = Err(io::ErrorKind::AddrNotAvailable.into());
        // An empty host is both families where there are both.
        let hosts = if host.is_empty() {
            &["::", "0.0.0.0"][..]
        } else {
            &[host][..]
        };
        for host in hosts {
            for address in lookup_host((*host, port)).await.into_iter().flatten() {
                found = options.listen(address);
                if found.is_ok() {
                    break;
                }
            }
            if found.is_ok() {
                break;
            }
        }
        let socket = found.map_err(fail)?;
        let address = socket.local_addr().map_err(fail)?;
        Ok(Self {
            id,
            socket,
            address,
        })
    }

    /// The bound address, with the port that was chosen.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts connections until the task is aborted.
    pub(crate) fn serve(self, net: Arc<Net>) -> JoinHandle<()> {
        tokio::spawn(async move {
            loop {
                match self.socket.accept().await {
                    Ok((socket, peer)) => {
                        // Replies are written whole: waiting for more only delays them.
                        if let Err(error) = socket.set_nodelay(true) {
                            tracing::debug!(%peer, %error, "connection lost at once");
                            continue;
                        }
                        let address = peer.ip().to_canonical();
                        let wait = net.wait_of(self.id);
                        if !wait.is_zero() {
                            tokio::time::sleep(wait).await;
                        }
                        tokio::spawn(Arc::clone(&net).serve(socket, self.id, address));
                    }
                    Err(error) if is_of_one_connection(&error) => {}
                    Err(error) => {
                        if let Some(times) = net.refusals.note(Instant::now()) {
                            tracing::warn!(%error, times, "cannot accept connections now");
                        }
                        let ended = net.ended.notified();
                        // The number of free handles may also grow elsewhere.
                        let _either = tokio::time::timeout(NO_HANDLES_WAIT, ended).await;
                    }
                }
            }
        })
    }
}

/// Whether only the connection failed that was about to be accepted.
pub(crate) fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}
