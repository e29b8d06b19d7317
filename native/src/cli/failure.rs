//! Why a tool did not do what was asked, and what its user is told.
//!
//! Tools print Kafka's texts where a script could look for them; whatever only Ottla says names
//! what happened, to what, and what to do next.

use std::fmt;
use std::io;

/// The reason a tool ends without having done what was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Whoever read the output has gone (`| head`): nobody is left to tell, end quietly.
    ClosedPipe,
    /// The broker could not be asked, or answered outside the protocol.
    Call(CallError),
    /// The command itself is wrong; the tool has done nothing.
    Usage(String),
    /// The tool or the broker refused, in words for the user.
    Refused(String),
    /// Everything has been said already; only the exit status is left.
    Told,
}

impl Failure {
    /// A refusal in these words.
    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self::Refused(message.into())
    }

    /// A wrong command line, explained in these words.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::Usage(message.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClosedPipe => f.write_str("the reader of the output has gone"),
            Self::Call(error) => error.fmt(f),
            Self::Usage(message) | Self::Refused(message) => f.write_str(message),
            Self::Told => Ok(()),
        }
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

impl From<io::Error> for Failure {
    /// An error of writing the output: the only I/O whose errors tools pass on as they are.
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::ClosedPipe
        } else {
            Self::Refused(format!("Cannot write the output: {error}."))
        }
    }
}

/// Why a request got no usable answer.
#[derive(Debug)]
pub(crate) enum CallError {
    /// An address of `--bootstrap-server` that cannot be one.
    BadAddress {
        /// As it was given.
        given: String,
    },
    /// The connection ended before the answer.
    Closed {
        /// The broker's address.
        address: String,
        /// The operating system's reason; `None` where the broker closed in order.
        error: Option<io::Error>,
        /// Whether it had spoken Kafka's protocol before.
        was_ready: bool,
    },
    /// The answer is not what the protocol says.
    Malformed {
        /// The broker's address.
        address: String,
        /// What was wrong with it.
        what: String,
    },
    /// No answer in time.
    TimedOut {
        /// The broker's address.
        address: String,
        /// The name of the request.
        request: &'static str,
        /// How long it was waited for, in milliseconds.
        waited_ms: u64,
    },
    /// No broker accepted a connection.
    Unreachable {
        /// The addresses tried, as given.
        addresses: String,
        /// What the last attempt said.
        error: String,
    },
    /// The broker does not serve this request in any version this tool knows.
    Unsupported {
        /// The broker's address.
        address: String,
        /// The name of the request.
        request: &'static str,
    },
    /// The cluster has no node with this number.
    UnknownNode {
        /// The number.
        node_id: i32,
    },
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadAddress { given } => write!(
                f,
                "Invalid url in bootstrap.servers: {given}. An address is HOST:PORT, several are \
                 separated by commas."
            ),
            Self::Closed {
                address,
                error: Some(error),
                ..
            } => {
                write!(f, "The connection to {address} broke: {error}.")
            }
            Self::Closed {
                address,
                error: None,
                was_ready: true,
            } => write!(f, "{address} closed the connection."),
            Self::Closed {
                address,
                error: None,
                was_ready: false,
            } => write!(
                f,
                "{address} closed the connection. Is it the port of a Kafka listener, without TLS \
                 or SASL?"
            ),
            Self::Malformed { address, what } => {
                write!(
                    f,
                    "{address} does not answer as a Kafka broker does: {what}."
                )
            }
            Self::TimedOut {
                address,
                request,
                waited_ms,
            } => write!(
                f,
                "{address} did not answer {request} within {waited_ms} ms (request.timeout.ms)."
            ),
            Self::Unreachable { addresses, error } => write!(
                f,
                "Cannot reach a broker at {addresses}: {error}. Start one with `ottla`, or name \
                 another with --bootstrap-server HOST:PORT."
            ),
            Self::Unsupported { address, request } => {
                write!(f, "The broker at {address} does not support {request}.")
            }
            Self::UnknownNode { node_id } => {
                write!(f, "The cluster has no broker with the id {node_id}.")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_pipe_is_told_from_a_full_disk() {
        let closed = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(matches!(closed, Failure::ClosedPipe));
        let full = Failure::from(io::Error::from(io::ErrorKind::StorageFull));
        assert!(matches!(full, Failure::Refused(_)));
    }
}
