//! One connection to a broker: a request's frame out, its answer's frame in.
//!
//! Typed by the codec, and nothing of a client: no negotiation, no retry.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_wire::{OutboundFrameLimits, RequestResponsePair, ResponseHeader, encode_request};
use kafka_wire_core::{ApiVersion, DecodeLimits, Decoder, KafkaDecode, StrBytes};

/// Longest wait for an answer.
const LIMIT: Duration = Duration::from_secs(20);

/// Largest frame of an answer.
const FRAME_BYTES_MAX: usize = 16 << 20;

/// What became of a request.
#[derive(Debug)]
pub enum Outcome<T> {
    /// It was answered.
    Answered(T),
    /// The broker closed the connection.
    Closed,
    /// The version cannot say what the request says; nothing was sent.
    Unsayable,
}

/// A connection; opened again after the broker closed it.
#[derive(Debug)]
pub struct Peer {
    address: String,
    stream: Option<TcpStream>,
    correlation_id: i32,
}

impl Peer {
    /// For the broker at `address`; connects with the first request.
    #[must_use]
    pub fn new(address: &str) -> Self {
        Self {
            address: address.to_owned(),
            stream: None,
            correlation_id: 0,
        }
    }

    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    ///
    /// No connection, no answer in time, or an answer that cannot be decoded.
    pub fn ask<R: RequestResponsePair>(
        &mut self,
        version: i16,
        request: &R,
    ) -> Result<Outcome<R::Response>, String> {
        match self.send(version, request)? {
            Outcome::Answered(()) => self.receive::<R>(version),
            Outcome::Closed => Ok(Outcome::Closed),
            Outcome::Unsayable => Ok(Outcome::Unsayable),
        }
    }

    /// Sends a request whose answer is to be [received](Self::receive) later: one that the broker
    /// parks.
    ///
    /// # Errors
    ///
    /// As [`Self::ask`].
    pub fn send<R: RequestResponsePair>(
        &mut self,
        version: i16,
        request: &R,
    ) -> Result<Outcome<()>, String> {
        self.correlation_id += 1;
        let mut frame = BytesMut::new();
        let encoded = encode_request(
            &mut frame,
            self.correlation_id,
            Some(StrBytes::from("differential")),
            request,
            ApiVersion::new(version),
            OutboundFrameLimits::new(FRAME_BYTES_MAX),
        );
        if encoded.is_err() {
            return Ok(Outcome::Unsayable);
        }
        let written = self.stream().and_then(|stream| stream.write_all(&frame));
        self.outcome(written)
    }

    /// The answer to the last request sent.
    ///
    /// # Errors
    ///
    /// As [`Self::ask`].
    pub fn receive<R: RequestResponsePair>(
        &mut self,
        version: i16,
    ) -> Result<Outcome<R::Response>, String> {
        let frame = self.stream().and_then(read_frame);
        match self.outcome(frame)? {
            Outcome::Answered(frame) => {
                decode::<R>(version, self.correlation_id, frame).map(Outcome::Answered)
            }
            Outcome::Closed => Ok(Outcome::Closed),
            Outcome::Unsayable => Ok(Outcome::Unsayable),
        }
    }

    fn outcome<T>(&mut self, result: io::Result<T>) -> Result<Outcome<T>, String> {
        match result {
            Ok(value) => Ok(Outcome::Answered(value)),
            Err(error) if is_closed(&error) => {
                self.stream = None;
                Ok(Outcome::Closed)
            }
            Err(error) => Err(format!("{}: {error}", self.address)),
        }
    }

    fn stream(&mut self) -> io::Result<&mut TcpStream> {
        if self.stream.is_none() {
            let stream = TcpStream::connect(&self.address)
                .map_err(|error| io::Error::other(format!("no connection: {error}")))?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(LIMIT))?;
            self.stream = Some(stream);
        }
        Ok(self.stream.as_mut().expect("just connected"))
    }
}

fn read_frame(stream: &mut TcpStream) -> io::Result<Bytes> {
    let mut size = [0; 4];
    stream.read_exact(&mut size)?;
    let size = usize::try_from(i32::from_be_bytes(size)).unwrap_or(usize::MAX);
    if size > FRAME_BYTES_MAX {
        return Err(io::Error::other("an answer beyond all bounds"));
    }
    let mut answer = vec![0; size];
    stream.read_exact(&mut answer)?;
    Ok(Bytes::from(answer))
}

fn is_closed(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
    )
}

fn decode<R: RequestResponsePair>(
    version: i16,
    correlation_id: i32,
    frame: Bytes,
) -> Result<R::Response, String> {
    let version = ApiVersion::new(version);
    let explain = |error: kafka_wire_core::DecodeError| format!("undecodable answer: {error}");
    let mut decoder = Decoder::new(frame, DecodeLimits::default()).map_err(explain)?;
    let header_version = kafka_wire::response_header_version_for::<R>(version)
        .map_err(|error| format!("no header version: {error}"))?;
    let header_version = ApiVersion::new(header_version);
    let header = ResponseHeader::decode(&mut decoder, header_version).map_err(explain)?;
    if header.correlation_id != correlation_id {
        return Err(format!("an answer to request {}", header.correlation_id));
    }
    let response = R::Response::decode(&mut decoder, version).map_err(explain)?;
    decoder.finish().map_err(explain)?;
    Ok(response)
}
