//! What can be wrong with what a client sends; each closes its connection.
//!
//! Kafka closes on all of these too and answers none of them (`SocketServer`, 4.3.1): a reply to
//! bytes that are not understood would be read as something else.

use std::fmt;

use kafka_wire_core::DecodeError;

/// A protocol recognised in bytes that are no Kafka frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Protocol {
    /// HTTP.
    Http,
    /// SSH.
    Ssh,
    /// TLS on a listener without it.
    Tls,
}

impl Protocol {
    /// The protocol that begins with these four bytes.
    #[must_use]
    pub fn recognise(bytes: [u8; 4]) -> Option<Self> {
        match &bytes {
            b"GET " | b"POST" | b"HEAD" | b"PUT " | b"OPTI" | b"DELE" | b"PATC" | b"CONN"
            | b"TRAC" | b"PRI " | b"HTTP" => Some(Self::Http),
            b"SSH-" => Some(Self::Ssh),
            [0x16, 0x03, ..] => Some(Self::Tls),
            _unknown => None,
        }
    }
}

/// Why a connection was closed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ConnectionError {
    /// The frame ends before a request's header can.
    FrameTooSmall {
        /// Its size in bytes.
        size: usize,
    },
    /// The frame is larger than allowed.
    FrameTooLarge {
        /// The size it claims, in bytes.
        size: u32,
        /// What is allowed now.
        size_max: u32,
    },
    /// The bytes of a request are malformed.
    Malformed {
        /// The API's name.
        api: &'static str,
        /// The version.
        version: i16,
        /// What is malformed, and where in the body.
        error: DecodeError,
    },
    /// The length of a frame is negative.
    NegativeSize {
        /// The size it claims.
        size: i32,
    },
    /// The bytes are another protocol's.
    NotKafka(Protocol),
    /// A reply does not fit the version asked for: a bug of ours.
    Unencodable {
        /// The API's name.
        api: &'static str,
        /// The version.
        version: i16,
        /// What does not fit.
        reason: String,
    },
    /// No such API is served.
    UnknownApi {
        /// Its number.
        api_key: i16,
    },
    /// The API is served, this version of it is not.
    UnsupportedVersion {
        /// The API's name.
        api: &'static str,
        /// The version.
        version: i16,
    },
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FrameTooSmall { size } => {
                write!(f, "a frame of {size} bytes is too small for a request")
            }
            Self::FrameTooLarge { size, size_max } => write!(
                f,
                "a frame of {size} bytes is over the {size_max} allowed now \
                 (socket.request.max.bytes for a Produce, less for others)"
            ),
            Self::Malformed {
                api,
                version,
                error,
            } => write!(f, "malformed {api} request, version {version}: {error}"),
            Self::NegativeSize { size } => write!(f, "a frame claims a negative size, {size}"),
            Self::NotKafka(Protocol::Http) => {
                f.write_str("this is a Kafka port, and the client speaks HTTP")
            }
            Self::NotKafka(Protocol::Ssh) => {
                f.write_str("this is a Kafka port, and the client speaks SSH")
            }
            Self::NotKafka(Protocol::Tls) => f.write_str(
                "the client speaks TLS to a listener without it: \
                 set its security.protocol to PLAINTEXT, or use the TLS listener",
            ),
            Self::Unencodable {
                api,
                version,
                reason,
            } => write!(
                f,
                "bug: the {api} reply has no version {version} form: {reason}"
            ),
            Self::UnknownApi { api_key } => write!(f, "no API has the number {api_key} here"),
            Self::UnsupportedVersion { api, version } => {
                write!(f, "{api} is not served in version {version}")
            }
        }
    }
}
