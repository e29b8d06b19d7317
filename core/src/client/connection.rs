//! A client's side of one connection: requests to bytes, bytes to responses.
//!
//! It begins with ApiVersions and speaks from then on, for each API, the highest version that both
//! sides know, or less where a cap says so (to stand for an older client). What the server sends is
//! trusted no more than what a client sends: frames and counts are bounded, responses must come in
//! order. No socket, no clock; timeouts are [`crate::client::network`]'s.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use bytes::{Bytes, BytesMut};
use kafka_wire_core::{DecodeError, DecodeLimits, StrBytes};

use crate::client::message::{
    ClientRequest, ClientResponse, response_header_version, versions_spoken,
};
use crate::connection::ConnectionError;
use crate::connection::input::FrameReader;
use crate::error::ErrorCode;
use crate::limits::{ARRAY_ELEMENTS_MAX, TAGGED_FIELDS_MAX};
use crate::wire::api_table::API_VERSIONS;
use crate::wire::reader::Reader;

/// What a connection of a client is made with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConnectionOptions {
    /// What the client calls itself.
    pub client_id: Option<StrBytes>,
    /// Highest version to speak of an API, below what this client knows; by API number.
    pub version_caps: BTreeMap<i16, i16>,
    /// Largest response, in bytes.
    pub frame_bytes_max: u32,
}

impl Default for ConnectionOptions {
    fn default() -> Self {
        Self {
            client_id: Some(StrBytes::from("ottla")),
            version_caps: BTreeMap::new(),
            frame_bytes_max: crate::limits::FRAME_BYTES_MAX,
        }
    }
}

/// Why a connection of a client cannot go on, or a request cannot be sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ClientError {
    /// The server's bytes are no frame.
    Frame(ConnectionError),
    /// A response is malformed.
    Malformed {
        /// The API's number.
        api_key: i16,
        /// The version asked for.
        version: i16,
        /// What is malformed.
        error: DecodeError,
    },
    /// The server answered ApiVersions with an error.
    Refused(ErrorCode),
    /// A response to no request, or out of order.
    Unasked {
        /// Its correlation id.
        correlation_id: i32,
    },
    /// The request has a field that no common version can carry.
    Unencodable(String),
    /// No version of the API is known to both sides.
    UnsupportedApi {
        /// The API's name.
        api: &'static str,
    },
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frame(error) => write!(f, "the server sent no response: {error}"),
            Self::Malformed {
                api_key,
                version,
                error,
            } => write!(
                f,
                "malformed response to API {api_key}, version {version}: {error}"
            ),
            Self::Refused(code) => write!(f, "the server refused ApiVersions: {}", code.name()),
            Self::Unasked { correlation_id } => {
                write!(
                    f,
                    "the server answered {correlation_id}, which was not next"
                )
            }
            Self::Unencodable(reason) => write!(f, "the request cannot be sent: {reason}"),
            Self::UnsupportedApi { api } => {
                write!(
                    f,
                    "the server speaks no version of {api} that is known here"
                )
            }
        }
    }
}

/// A request that waits for its response.
#[derive(Clone, Copy, Debug)]
struct InFlight {
    correlation_id: i32,
    api_key: i16,
    version: i16,
}

/// How far the agreement on versions is.
#[derive(Clone, Debug)]
enum Versions {
    /// Asked, at this version of ApiVersions.
    Asked(i16),
    /// First and last version of each API that both sides speak.
    Known(BTreeMap<i16, (i16, i16)>),
    /// Not asked yet.
    Unasked,
}

/// A response with the request it answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Answered {
    /// The id that [`ClientConnection::send`] gave the request.
    pub correlation_id: i32,
    /// The version both sides spoke.
    pub version: i16,
    /// The response.
    pub response: ClientResponse,
}

/// The machine; see the module.
#[derive(Clone, Debug)]
pub struct ClientConnection {
    options: ConnectionOptions,
    input: FrameReader,
    output: BytesMut,
    next_correlation_id: i32,
    in_flight: VecDeque<InFlight>,
    versions: Versions,
}

impl ClientConnection {
    /// A connection that has said nothing yet.
    #[must_use]
    pub fn new(options: ConnectionOptions) -> Self {
        Self {
            options,
            input: FrameReader::default(),
            output: BytesMut::new(),
            next_correlation_id: 0,
            in_flight: VecDeque::new(),
            versions: Versions::Unasked,
        }
    }

    /// Asks the server for its versions; to be called once the connection stands.
    pub fn start(&mut self) {
        assert!(matches!(self.versions, Versions::Unasked), "started once");
        let (_first, last) = versions_spoken(API_VERSIONS).expect("every client speaks it");
        // What a released Kafka knows; trunk's version 5 asks for more than we have to say.
        self.ask_versions(self.capped(API_VERSIONS, last.min(4)));
    }

    fn ask_versions(&mut self, version: i16) {
        let mut request = kafka_wire::ApiVersionsRequest::default();
        if version >= 3 {
            request.client_software_name = StrBytes::from("ottla");
            request.client_software_version = StrBytes::from(env!("CARGO_PKG_VERSION"));
        }
        self.versions = Versions::Asked(version);
        self.send_at(&ClientRequest::ApiVersions(request), version)
            .expect("ApiVersions encodes in every version");
    }

    fn capped(&self, api_key: i16, version: i16) -> i16 {
        match self.options.version_caps.get(&api_key) {
            Some(cap) => version.min(*cap),
            None => version,
        }
    }

    /// Whether the versions are agreed, so that requests can be sent.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        matches!(self.versions, Versions::Known(_))
    }

    /// The version of an API that [`Self::send`] would use; `None` where there is none in common.
    #[must_use]
    pub fn version_of(&self, api_key: i16) -> Option<i16> {
        let Versions::Known(known) = &self.versions else {
            return None;
        };
        let (first, last) = *known.get(&api_key)?;
        let version = self.capped(api_key, last);
        (version >= first).then_some(version)
    }

    /// Adds a request to the output; answers its correlation id.
    ///
    /// # Errors
    /// [`ClientError::UnsupportedApi`] or [`ClientError::Unencodable`]; the connection goes on.
    pub fn send(&mut self, request: &ClientRequest) -> Result<i32, ClientError> {
        assert!(self.is_ready(), "requests follow the agreement on versions");
        let version = self
            .version_of(request.api_key())
            .ok_or(ClientError::UnsupportedApi {
                api: request.api_name(),
            })?;
        self.send_at(request, version)
    }

    fn send_at(&mut self, request: &ClientRequest, version: i16) -> Result<i32, ClientError> {
        let correlation_id = self.next_correlation_id;
        request
            .encode(
                correlation_id,
                self.options.client_id.clone(),
                version,
                &mut self.output,
            )
            .map_err(|error| ClientError::Unencodable(error.to_string()))?;
        self.next_correlation_id = self.next_correlation_id.wrapping_add(1);
        if request.expects_response() {
            self.in_flight.push_back(InFlight {
                correlation_id,
                api_key: request.api_key(),
                version,
            });
        }
        Ok(correlation_id)
    }

    /// Takes what is to be written; empty where there is nothing.
    pub fn take_output(&mut self) -> Bytes {
        self.output.split().freeze()
    }

    /// Takes bytes the server sent.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.input.receive(bytes);
    }

    /// The next response, if one is whole; call it until there is none. Answers to ApiVersions
    /// during the start are taken in here.
    ///
    /// # Errors
    /// The server broke the protocol: drop the connection.
    pub fn next_response(&mut self) -> Result<Option<Answered>, ClientError> {
        loop {
            let frame = self
                .input
                .take_frame(self.options.frame_bytes_max)
                .map_err(ClientError::Frame)?;
            let Some(frame) = frame else {
                return Ok(None);
            };
            let answered = self.parse_response(&frame)?;
            if let (Versions::Asked(version), ClientResponse::ApiVersions(versions)) =
                (&self.versions, &answered.response)
            {
                let version = *version;
                self.on_versions(version, versions)?;
                continue;
            }
            return Ok(Some(answered));
        }
    }

    fn parse_response(&mut self, frame: &Bytes) -> Result<Answered, ClientError> {
        let mut reader = Reader::new(frame);
        let correlation_id = reader.i32();
        let Some(asked) = self.in_flight.pop_front() else {
            return Err(ClientError::Unasked {
                correlation_id: correlation_id.unwrap_or(-1),
            });
        };
        let malformed = |error| ClientError::Malformed {
            api_key: asked.api_key,
            version: asked.version,
            error,
        };
        let correlation_id = correlation_id.map_err(malformed)?;
        if correlation_id != asked.correlation_id {
            return Err(ClientError::Unasked { correlation_id });
        }
        let header = response_header_version(asked.api_key, asked.version);
        if header.is_some_and(|version| version >= 1) {
            reader.skip_tagged_fields().map_err(malformed)?;
        }
        let body = frame.slice(reader.offset()..);
        let version = self.version_to_decode(asked, &body);
        let limits = self.decode_limits();
        let response =
            ClientResponse::decode(asked.api_key, version, body, limits).map_err(malformed)?;
        Ok(Answered {
            correlation_id,
            version,
            response,
        })
    }

    /// An ApiVersions that is refused for its version is answered in version 0 (KIP-511).
    fn version_to_decode(&self, asked: InFlight, body: &Bytes) -> i16 {
        let unsupported = ErrorCode::UnsupportedVersion.code().to_be_bytes();
        if asked.api_key == API_VERSIONS && body.starts_with(&unsupported) {
            0
        } else {
            asked.version
        }
    }

    fn decode_limits(&self) -> DecodeLimits {
        let frame = self.options.frame_bytes_max as usize;
        let mut limits = DecodeLimits::default();
        limits.max_frame_bytes = frame;
        limits.max_string_bytes = frame;
        limits.max_bytes_bytes = frame;
        limits.max_array_elements = ARRAY_ELEMENTS_MAX;
        limits.max_tagged_fields = TAGGED_FIELDS_MAX;
        limits.max_tag_bytes = frame;
        limits.max_total_tag_bytes = frame;
        limits
    }

    fn on_versions(
        &mut self,
        asked: i16,
        response: &kafka_wire::ApiVersionsResponse,
    ) -> Result<(), ClientError> {
        if response.error_code == ErrorCode::UnsupportedVersion.code() && asked > 0 {
            let theirs = response
                .api_keys
                .iter()
                .find(|api| api.api_key == API_VERSIONS);
            let last = theirs.map_or(0, |api| api.max_version);
            // Strictly less than before, so that this ends.
            self.ask_versions(last.clamp(0, asked - 1));
            return Ok(());
        }
        if let Some(code) = ErrorCode::from_code(response.error_code)
            && code != ErrorCode::None
        {
            return Err(ClientError::Refused(code));
        }
        let mut known = BTreeMap::new();
        for api in &response.api_keys {
            if let Some((first, last)) = versions_spoken(api.api_key) {
                let common = (first.max(api.min_version), last.min(api.max_version));
                if common.0 <= common.1 {
                    known.insert(api.api_key, common);
                }
            }
        }
        self.versions = Versions::Known(known);
        Ok(())
    }

    /// Requests that wait for their responses.
    #[must_use]
    pub fn requests_in_flight(&self) -> usize {
        self.in_flight.len()
    }
}
