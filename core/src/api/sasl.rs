//! SaslHandshake and SaslAuthenticate on a listener without authentication.
//!
//! There is nothing to authenticate: Apache Kafka 4.3.1 answers `ILLEGAL_SASL_STATE`, whatever the
//! mechanism, and goes on with the connection. Both are told of in ApiVersions there too.

use kafka_wire::{SaslAuthenticateResponse, SaslHandshakeResponse};
use kafka_wire_core::StrBytes;

use crate::error::ErrorCode;

/// What Kafka says to credentials that nobody waits for.
const TOO_LATE: &str = "SaslAuthenticate request received after successful authentication";

/// Answers a SaslHandshake.
#[must_use]
pub fn handshake() -> SaslHandshakeResponse {
    let mut response = SaslHandshakeResponse::default();
    response.error_code = ErrorCode::IllegalSaslState.code();
    response
}

/// Answers a SaslAuthenticate; the credentials are not looked at.
#[must_use]
pub fn authenticate() -> SaslAuthenticateResponse {
    let mut response = SaslAuthenticateResponse::default();
    response.error_code = ErrorCode::IllegalSaslState.code();
    response.error_message = Some(StrBytes::from(TOO_LATE));
    response
}
