//! One blocking connection to a broker: a request out, its answer back.
//!
//! Knows frames, versions and time-outs; knows nothing of which broker to ask or what to ask it.
//! No TLS and no SASL yet.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use bytes::BytesMut;
use kafka_wire::{
    ApiVersionsRequest, ApiVersionsResponse, KafkaMessage, KafkaRequest, OutboundFrameLimits,
    RequestResponsePair, ResponseHeader, encode_request, response_header_version_for,
};
use kafka_wire_core::{ApiVersion, DecodeLimits, Decoder, KafkaDecode, StrBytes, VersionRange};
use ottla_core::error::ErrorCode;

use crate::cli::failure::CallError;

/// Largest answer a tool takes. A Fetch answer stays below its own limit; the largest other one is
/// the metadata of a large cluster, some tens of megabytes.
const ANSWER_BYTES_MAX: usize = 128 * 1024 * 1024;

/// Version of the first request, ApiVersions: every Kafka since 2.4 answers it, older ones answer
/// in version 0 (KIP-511).
const HANDSHAKE_VERSION: ApiVersion = ApiVersion::new(3);

/// A connection that has asked its broker for the versions it serves.
#[derive(Debug)]
pub(crate) struct Link {
    address: String,
    stream: TcpStream,
    /// What the broker serves, by API key.
    versions: BTreeMap<i16, VersionRange>,
    /// What the broker said of itself when asked for its versions.
    handshake: ApiVersionsResponse,
    next_correlation_id: i32,
    client_id: StrBytes,
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
        let mut link = Self {
            address: address.to_owned(),
            stream,
            versions: BTreeMap::new(),
            handshake: ApiVersionsResponse::default(),
            next_correlation_id: 0,
            client_id: StrBytes::from(client_id),
            request_timeout,
        };
        link.ask_versions()?;
        Ok(link)
    }

    /// What the broker said of itself when asked for its versions.
    pub(crate) fn handshake(&self) -> &ApiVersionsResponse {
        &self.handshake
    }

    /// The highest version of `R` that both sides know.
    pub(crate) fn version_of<R: KafkaRequest>(&self) -> Result<ApiVersion, CallError> {
        let unsupported = || CallError::Unsupported {
            address: self.address.clone(),
            request: request_name::<R>(),
        };
        let served = self
            .versions
            .get(&R::API_KEY.value())
            .ok_or_else(unsupported)?;
        let ours = R::SUPPORTED_VERSIONS;
        let version = served.max().min(ours.max());
        if version < served.min() || version < ours.min() {
            return Err(unsupported());
        }
        Ok(version)
    }

    /// Sends `request` in the highest common version and waits for its answer.
    pub(crate) fn call<R: RequestResponsePair>(
        &mut self,
        request: &R,
    ) -> Result<R::Response, CallError> {
        let version = self.version_of::<R>()?;
        self.call_at(request, version)
    }

    /// Sends `request` in this version and waits for its answer.
    pub(crate) fn call_at<R: RequestResponsePair>(
        &mut self,
        request: &R,
        version: ApiVersion,
    ) -> Result<R::Response, CallError> {
        let correlation_id = self.send(request, version)?;
        let frame = self.receive(request_name::<R>())?;
        let header_version = response_header_version_for::<R>(version)
            .map_err(|error| self.malformed(error.to_string()))?;
        self.decode(
            frame,
            correlation_id,
            ApiVersion::new(header_version),
            version,
        )
    }

    /// Sends `request` without waiting for anything.
    pub(crate) fn send<R: KafkaRequest>(
        &mut self,
        request: &R,
        version: ApiVersion,
    ) -> Result<i32, CallError> {
        let correlation_id = self.next_correlation_id;
        self.next_correlation_id = self.next_correlation_id.wrapping_add(1);
        let mut frame = BytesMut::new();
        encode_request(
            &mut frame,
            correlation_id,
            Some(self.client_id.clone()),
            request,
            version,
            OutboundFrameLimits::new(ANSWER_BYTES_MAX),
        )
        .map_err(|error| self.malformed(format!("the request cannot be written: {error}")))?;
        match self.stream.write_all(&frame) {
            Ok(()) => Ok(correlation_id),
            Err(error) => Err(self.broken(error, request_name::<R>())),
        }
    }

    fn ask_versions(&mut self) -> Result<(), CallError> {
        let mut request = ApiVersionsRequest::default();
        request.client_software_name = StrBytes::from("ottla");
        request.client_software_version = StrBytes::from(env!("CARGO_PKG_VERSION"));
        let correlation_id = self.send(&request, HANDSHAKE_VERSION)?;
        let frame = self.receive("ApiVersions")?;
        // A broker that does not know this version says so in version 0, whose first field after
        // the correlation id is the error code in every version.
        let refused = frame.get(4..6) == Some(&ErrorCode::UnsupportedVersion.code().to_be_bytes());
        let version = if refused {
            ApiVersion::new(0)
        } else {
            HANDSHAKE_VERSION
        };
        let header_version = ApiVersion::new(0);
        let mut answer: ApiVersionsResponse =
            self.decode(frame, correlation_id, header_version, version)?;
        if refused {
            answer = self.call_at(&request, version)?;
        }
        if answer.error_code != ErrorCode::None.code() {
            return Err(
                self.malformed(format!("it refused ApiVersions with {}", answer.error_code))
            );
        }
        for api in &answer.api_keys {
            if let Some(range) = VersionRange::try_new(api.min_version, api.max_version) {
                self.versions.insert(api.api_key, range);
            }
        }
        self.handshake = answer;
        Ok(())
    }

    /// Waits for one whole frame; gives what follows its length.
    fn receive(&mut self, request: &'static str) -> Result<BytesMut, CallError> {
        let mut length = [0u8; 4];
        if let Err(error) = self.stream.read_exact(&mut length) {
            return Err(self.broken(error, request));
        }
        let length = usize::try_from(i32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if !(4..=ANSWER_BYTES_MAX).contains(&length) {
            return Err(self.malformed("the length of its answer cannot be right".to_owned()));
        }
        // The claimed length is not believed before the bytes are there.
        let mut frame = Vec::new();
        let read = (&mut self.stream)
            .take(length as u64)
            .read_to_end(&mut frame);
        match read {
            Ok(read) if read == length => Ok(BytesMut::from(frame.as_slice())),
            Ok(_short) => Err(CallError::Closed {
                address: self.address.clone(),
                error: None,
            }),
            Err(error) => Err(self.broken(error, request)),
        }
    }

    fn decode<M: KafkaDecode>(
        &self,
        frame: BytesMut,
        correlation_id: i32,
        header_version: ApiVersion,
        version: ApiVersion,
    ) -> Result<M, CallError> {
        let limits = DecodeLimits::default();
        let malformed = |error: kafka_wire_core::DecodeError| self.malformed(error.to_string());
        let mut decoder = Decoder::new(frame.freeze(), limits).map_err(malformed)?;
        let header = ResponseHeader::decode(&mut decoder, header_version).map_err(malformed)?;
        if header.correlation_id != correlation_id {
            return Err(self.malformed("its answer belongs to another request".to_owned()));
        }
        let message = M::decode(&mut decoder, version).map_err(malformed)?;
        decoder.finish().map_err(malformed)?;
        Ok(message)
    }

    fn malformed(&self, what: String) -> CallError {
        CallError::Malformed {
            address: self.address.clone(),
            what,
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
        }
    }
}

/// The name of a request as people know it: `Metadata`, not `MetadataRequest`.
fn request_name<R: KafkaMessage>() -> &'static str {
    R::NAME.strip_suffix("Request").unwrap_or(R::NAME)
}

/// Tries every address that the name stands for.
fn connect_any(address: &str, timeout: Duration) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name stands for no address");
    for candidate in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&candidate, timeout) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}
