//! Calls and their answers, and what passes between a client and its driver.
//!
//! Plain data; [`crate::client::network`] gives it life.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::client::connection::{ClientError, ConnectionOptions};
use crate::client::message::ClientResponse;
use crate::ids::NodeId;

/// A connection of this client; never reused.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct LinkId(pub u64);

/// A call of this client; never reused.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct CallId(pub u64);

/// What a client asks of its driver.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ClientEffect {
    /// Close a connection; it is not mentioned again.
    Close {
        /// The connection.
        link: LinkId,
    },
    /// Open a connection; answered by `Connected` or `Closed`.
    Connect {
        /// The connection.
        link: LinkId,
        /// Name or address.
        host: Arc<str>,
        /// Port.
        port: u16,
    },
    /// Write bytes.
    Send {
        /// The connection.
        link: LinkId,
        /// All of them, after all before.
        bytes: Bytes,
    },
}

/// What a driver tells a client.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ClientInput {
    /// A connection is gone, or did not come about.
    Closed {
        /// The connection.
        link: LinkId,
    },
    /// A connection stands.
    Connected {
        /// The connection.
        link: LinkId,
    },
    /// Bytes arrived.
    Received {
        /// The connection.
        link: LinkId,
        /// Some bytes, in order.
        bytes: Bytes,
    },
}

/// Whom a call goes to.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Target {
    /// Any node that can be reached: a bootstrap server.
    Any,
    /// This node.
    Node(NodeId),
}

/// Why a call has no response.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum CallError {
    /// The request cannot be sent, or the response not read.
    Client(ClientError),
    /// The connection was lost; where the request was sent, it may have been carried out.
    Disconnected {
        /// Whether the request had left.
        was_sent: bool,
    },
    /// No response in time; it may have been carried out where it was sent.
    TimedOut {
        /// Whether the request had left.
        was_sent: bool,
    },
    /// The node's address is not known.
    UnknownNode,
}

impl CallError {
    /// Whether trying again cannot help: this broker cannot be asked that.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(
            self,
            Self::Client(ClientError::UnsupportedApi { .. } | ClientError::Unencodable(_))
        )
    }

    /// Whether the request may have been carried out all the same.
    #[must_use]
    pub fn may_have_happened(&self) -> bool {
        match self {
            Self::Client(ClientError::UnsupportedApi { .. } | ClientError::Unencodable(_))
            | Self::UnknownNode => false,
            Self::Client(
                ClientError::Frame(_)
                | ClientError::Malformed { .. }
                | ClientError::Refused(_)
                | ClientError::Unasked { .. },
            ) => true,
            Self::Disconnected { was_sent } | Self::TimedOut { was_sent } => *was_sent,
        }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(error) => error.fmt(f),
            Self::Disconnected { .. } => f.write_str("the connection was lost"),
            Self::TimedOut { .. } => f.write_str("no response in time"),
            Self::UnknownNode => f.write_str("the node's address is not known"),
        }
    }
}

/// What a call came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The call.
    pub call: CallId,
    /// Its response, or why there is none.
    pub result: Result<ClientResponse, CallError>,
}

/// What a network is made with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NetworkOptions {
    /// Addresses to begin with; at least one.
    pub bootstrap: Vec<(Arc<str>, u16)>,
    /// How each connection behaves.
    pub connection: ConnectionOptions,
    /// How long a connection may take to stand.
    pub connect_timeout: Duration,
    /// How long a response may take (`request.timeout.ms`).
    pub request_timeout: Duration,
    /// Wait after a first failure to connect (`reconnect.backoff.ms`); doubles with each.
    pub backoff: Duration,
    /// Longest wait (`reconnect.backoff.max.ms`).
    pub backoff_max: Duration,
}

impl NetworkOptions {
    /// Kafka's defaults, with these bootstrap servers.
    #[must_use]
    pub fn new(bootstrap: Vec<(Arc<str>, u16)>) -> Self {
        Self {
            bootstrap,
            connection: ConnectionOptions::default(),
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            backoff: Duration::from_millis(50),
            backoff_max: Duration::from_secs(1),
        }
    }
}
