//! One blocking connection to a broker: requests out, answers back in order.
//!
//! The protocol is the sans-I/O client's, [`ClientConnection`]; this owns the socket and its
//! time-outs, and knows nothing of which broker to ask or what to ask it. No TLS and no SASL yet.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use kafka_wire::{KafkaMessage, KafkaRequest};
use kafka_wire_core::StrBytes;
use ottla_core::client::connection::{ClientConnection, ClientError, ConnectionOptions};
use ottla_core::client::message::{Call, ClientResponse};

use crate::cli::failure::CallError;

/// Bytes asked of the socket at a time: a few large answers' worth of calls, a small stack.
const READ_BYTES: usize = 64 * 1024;

/// A connection that has asked its broker for the versions it serves.
#[derive(Debug)]
pub(crate) struct Link {
    address: String,
    stream: TcpStream,
    connection: ClientConnection,
    request_timeout: Duration,
}

impl Link {
    /// Connects to `address` (`host:port`) and asks for the versions it serves.
    pub(crate) fn connect(
        address: &str,
        client_id: &str,
        connect_timeout: Duration,
        request_timeout: Duration,
    ) -> Result<Self, CallError> {
        let unreachable = |error: io::Error| CallError::Unreachable {
            addresses: address.to_owned(),
            error: error.to_string(),
        };
        let stream = connect_any(address, connect_timeout).map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        stream
            .set_read_timeout(Some(request_timeout))
            .map_err(unreachable)?;
        stream
            .set_write_timeout(Some(request_timeout))
            .map_err(unreachable)?;
        let options = ConnectionOptions {
            client_id: Some(StrBytes::from(client_id)),
            // OffsetCommit and OffsetFetch by name, as people give topics to tools.
            version_caps: [(8, 9), (9, 9)].into(),
            ..ConnectionOptions::default()
        };
        let mut link = Self {
            address: address.to_owned(),
            stream,
            connection: ClientConnection::new(options),
            request_timeout,
        };
        link.connection.start();
        link.write("ApiVersions")?;
        while !link.connection.is_ready() {
            link.read("ApiVersions")?;
            let early = link.connection.next_response();
            let early = early.map_err(|error| link.refused(error, "ApiVersions"))?;
            assert!(early.is_none(), "nothing else was asked");
            // An older broker has made the connection ask again in its own version.
            link.write("ApiVersions")?;
        }
        Ok(link)
    }

    /// The highest version of `R` that both sides know; `None` where there is none.
    pub(crate) fn version_of<R: KafkaRequest>(&self) -> Option<i16> {
        self.connection.version_of(R::API_KEY.value())
    }

    /// Sends `request` in the highest common version and waits for its answer.
    ///
    /// No other request may be unanswered.
    pub(crate) fn call<R: Call + KafkaRequest>(
        &mut self,
        request: R,
    ) -> Result<R::Response, CallError> {
        assert!(
            self.connection.requests_in_flight() == 0,
            "calls do not overlap"
        );
        self.post(request)?;
        self.answer::<R>()
    }

    /// Sends `request` without waiting; [`Self::answer`] gives its answer, in turn.
    pub(crate) fn post<R: Call + KafkaRequest>(&mut self, request: R) -> Result<(), CallError> {
        let sent = self.connection.send(&request.into_request());
        sent.map_err(|error| self.refused(error, request_name::<R>()))?;
        self.write(request_name::<R>())
    }

    /// Waits for the answer to the oldest request without one, which must be an `R`.
    pub(crate) fn answer<R: Call + KafkaMessage>(&mut self) -> Result<R::Response, CallError> {
        let request = request_name::<R>();
        let response = self.response(request)?;
        R::from_response(response).ok_or_else(|| CallError::Malformed {
            address: self.address.clone(),
            what: format!("its answer to {request} is another one"),
        })
    }

    fn response(&mut self, request: &'static str) -> Result<ClientResponse, CallError> {
        loop {
            let answered = self.connection.next_response();
            match answered.map_err(|error| self.refused(error, request))? {
                Some(answered) => return Ok(answered.response),
                None => self.read(request)?,
            }
        }
    }

    /// Writes all that the connection has to say.
    fn write(&mut self, request: &'static str) -> Result<(), CallError> {
        let output = self.connection.take_output();
        match self.stream.write_all(&output) {
            Ok(()) => Ok(()),
            Err(error) => Err(self.broken(error, request)),
        }
    }

    /// Waits for some bytes and hands them to the connection.
    fn read(&mut self, request: &'static str) -> Result<(), CallError> {
        let mut buffer = [0u8; READ_BYTES];
        match self.stream.read(&mut buffer) {
            Ok(0) => Err(self.broken(io::ErrorKind::UnexpectedEof.into(), request)),
            Ok(length) => {
                self.connection.receive(&buffer[..length]);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(self.broken(error, request)),
        }
    }

    fn refused(&self, error: ClientError, request: &'static str) -> CallError {
        let address = self.address.clone();
        match error {
            ClientError::UnsupportedApi { .. } => CallError::Unsupported { address, request },
            ClientError::Frame(_)
            | ClientError::Malformed { .. }
            | ClientError::Refused(_)
            | ClientError::Unasked { .. }
            | ClientError::Unencodable(_) => CallError::Malformed {
                address,
                what: error.to_string(),
            },
        }
    }

    fn broken(&self, error: io::Error, request: &'static str) -> CallError {
        let address = self.address.clone();
        if matches!(
            error.kind(),
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
        ) {
            let waited_ms = u64::try_from(self.request_timeout.as_millis()).unwrap_or(u64::MAX);
            return CallError::TimedOut {
                address,
                request,
                waited_ms,
            };
        }
        let ended = matches!(
            error.kind(),
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset
        );
        CallError::Closed {
            address,
            error: (!ended).then_some(error),
            was_ready: self.connection.is_ready(),
        }
    }
}

/// The name of a request as people know it: `Metadata`, not `MetadataRequest`.
fn request_name<R: KafkaMessage>() -> &'static str {
    R::NAME.strip_suffix("Request").unwrap_or(R::NAME)
}

/// Tries every address that the name stands for.
pub(crate) fn connect_any(address: &str, timeout: Duration) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name stands for no address");
    for candidate in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&candidate, timeout) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}
