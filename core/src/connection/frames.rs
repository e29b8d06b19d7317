//! Frames of requests taken apart, and of replies put together.
//!
//! Headers (K2), limits of decoding, and the answer to an ApiVersions of a version too new (K3).
//! Whose turn a reply is, is the connection's business.

use bytes::Bytes;
use kafka_wire_core::DecodeLimits;

use super::{ConnectionError, Slot};
use crate::error::ErrorCode;
use crate::limits;
use crate::wire::api_table::{API_VERSIONS, ServedApi};
use crate::wire::frame_writer::FrameWriter;
use crate::wire::reader::Reader;
use crate::wire::request::{Reply, RequestHead};

pub(super) fn decode_limits(is_trusted: bool, frame_bytes_max: u32) -> DecodeLimits {
    let frame = frame_bytes_max as usize;
    let (elements, tags) = if is_trusted {
        (limits::ARRAY_ELEMENTS_MAX, limits::TAGGED_FIELDS_MAX)
    } else {
        (
            limits::FIRST_ARRAY_ELEMENTS_MAX,
            limits::FIRST_TAGGED_FIELDS_MAX,
        )
    };
    let mut decode = DecodeLimits::default();
    decode.max_frame_bytes = frame;
    decode.max_string_bytes = limits::STRING_BYTES_MAX.min(frame);
    decode.max_bytes_bytes = frame;
    decode.max_array_elements = elements;
    decode.max_tagged_fields = tags;
    decode.max_tag_bytes = frame;
    decode.max_total_tag_bytes = frame;
    decode
}

/// Reads a request's header (K2); the version is served, or it is an ApiVersions too new.
pub(super) fn parse_head(
    frame: &Bytes,
) -> Result<(RequestHead, &'static ServedApi, Bytes), ConnectionError> {
    let mut reader = Reader::new(frame);
    let start = (reader.i16(), reader.i16(), reader.i32());
    let (Ok(api_key), Ok(version), Ok(correlation_id)) = start else {
        return Err(ConnectionError::FrameTooSmall { size: frame.len() });
    };
    let api = ServedApi::find(api_key).ok_or(ConnectionError::UnknownApi { api_key })?;
    let mut head = RequestHead {
        api_key,
        version,
        correlation_id,
        client_id: None,
        frame_bytes: u32::try_from(frame.len()).expect("a frame is within its limit"),
        work_ns: 0,
    };
    if !api.serves(version) {
        // The body and even the header of an ApiVersions to come are unknown: not looked at. Kafka
        // answers one of a negative version too.
        return if api.key == API_VERSIONS {
            Ok((head, api, Bytes::new()))
        } else {
            Err(ConnectionError::UnsupportedVersion {
                api: api.name,
                version,
            })
        };
    }
    let malformed = |error| ConnectionError::Malformed {
        api: api.name,
        version,
        error,
    };
    head.client_id = reader.nullable_string(false).map_err(malformed)?;
    if api.request_header_version(version) >= 2 {
        reader.skip_tagged_fields().map_err(malformed)?;
    }
    Ok((head, api, frame.slice(reader.offset()..)))
}

/// What an ApiVersions of a version too new is answered, at version 0: the one range that helps.
pub(super) fn too_new(api: &ServedApi) -> kafka_wire::ApiVersionsResponse {
    let mut range = kafka_wire::api_versions_response::ApiVersion::default();
    range.api_key = api.key;
    range.min_version = api.advertised_min();
    range.max_version = api.version_last;
    let mut response = kafka_wire::ApiVersionsResponse::default();
    response.error_code = ErrorCode::UnsupportedVersion.code();
    response.api_keys = vec![range];
    response
}

/// Encodes a whole frame: length, header, body.
pub(super) fn encode_frame(
    slot: &Slot,
    reply: &Reply,
    writer: &mut FrameWriter,
) -> Result<(), ConnectionError> {
    let Some(api_key) = reply.api_key() else {
        return Ok(());
    };
    assert!(api_key == slot.api.key, "a reply answers its own API");
    let unencodable = |reason: String| ConnectionError::Unencodable {
        api: slot.api.name,
        version: slot.version,
        reason,
    };
    let start = writer.begin();
    writer
        .buffer_mut()
        .extend_from_slice(&slot.correlation_id.to_be_bytes());
    if slot.api.response_header_version(slot.version) >= 1 {
        writer.buffer_mut().extend_from_slice(&[0]);
    }
    let encoded = reply
        .encode(slot.version, writer)
        .map_err(|error| unencodable(error.to_string()))
        .and_then(|()| {
            writer
                .end(&start)
                .map_err(|size| unencodable(format!("{size} bytes are too many for a frame")))
        });
    if encoded.is_err() {
        writer.abandon(&start);
    }
    encoded
}
