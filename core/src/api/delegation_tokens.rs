//! Create-, Renew-, Expire- and DescribeDelegationToken on a listener without authentication.
//!
//! Apache Kafka 4.3.1 looks at the listener before it looks at the token configuration: over
//! PLAINTEXT every one of these requests is `DELEGATION_TOKEN_REQUEST_NOT_ALLOWED`, whether tokens
//! are enabled or not. Nothing is stored (KIP-48 needs an authenticated principal).

use kafka_wire::{
    CreateDelegationTokenRequest, CreateDelegationTokenResponse, DescribeDelegationTokenResponse,
    ExpireDelegationTokenResponse, RenewDelegationTokenResponse,
};
use kafka_wire_core::StrBytes;

use crate::error::ErrorCode;

/// First version whose answer tells who asked from who will own (KIP-373).
const REQUESTER_VERSION: i16 = 3;

/// Type and name of the principal of a client that did not authenticate.
const PRINCIPAL_ANONYMOUS: (&str, &str) = ("User", "ANONYMOUS");

/// A time that does not exist.
const NO_TIME_MS: i64 = -1;

/// Answers a CreateDelegationToken; the reply names the owner that was asked for, or the requester.
#[must_use]
pub fn create(
    version: i16,
    request: &CreateDelegationTokenRequest,
) -> CreateDelegationTokenResponse {
    let (kind, name) = PRINCIPAL_ANONYMOUS;
    let owner = |asked: &Option<StrBytes>, own: &str| match asked {
        Some(asked) if !asked.is_empty() => asked.clone(),
        Some(_) | None => StrBytes::from(own),
    };
    let mut response = CreateDelegationTokenResponse::default();
    response.error_code = ErrorCode::DelegationTokenRequestNotAllowed.code();
    response.principal_type = owner(&request.owner_principal_type, kind);
    response.principal_name = owner(&request.owner_principal_name, name);
    if version >= REQUESTER_VERSION {
        response.token_requester_principal_type = StrBytes::from(kind);
        response.token_requester_principal_name = StrBytes::from(name);
    }
    response.issue_timestamp_ms = NO_TIME_MS;
    response.expiry_timestamp_ms = NO_TIME_MS;
    response.max_timestamp_ms = NO_TIME_MS;
    response
}

/// Answers a RenewDelegationToken.
#[must_use]
pub fn renew() -> RenewDelegationTokenResponse {
    let mut response = RenewDelegationTokenResponse::default();
    response.error_code = ErrorCode::DelegationTokenRequestNotAllowed.code();
    response.expiry_timestamp_ms = NO_TIME_MS;
    response
}

/// Answers an ExpireDelegationToken.
#[must_use]
pub fn expire() -> ExpireDelegationTokenResponse {
    let mut response = ExpireDelegationTokenResponse::default();
    response.error_code = ErrorCode::DelegationTokenRequestNotAllowed.code();
    response.expiry_timestamp_ms = NO_TIME_MS;
    response
}

/// Answers a DescribeDelegationToken.
#[must_use]
pub fn describe() -> DescribeDelegationTokenResponse {
    let mut response = DescribeDelegationTokenResponse::default();
    response.error_code = ErrorCode::DelegationTokenRequestNotAllowed.code();
    response
}
