//! DescribeUserScramCredentials and AlterUserScramCredentials (KIP-554) where no credential can be
//! stored yet.
//!
//! Describing and deleting answer truthfully for a cluster without SCRAM users, item by item as
//! Apache Kafka 4.3.1 does. An upsertion that Kafka would accept is refused with
//! `UNSUPPORTED_VERSION`, which is what Kafka says where the cluster's metadata cannot hold it;
//! success without storing would be a lie.

use std::collections::BTreeMap;

use kafka_wire::alter_user_scram_credentials_response::AlterUserScramCredentialsResult;
use kafka_wire::describe_user_scram_credentials_response::DescribeUserScramCredentialsResult;
use kafka_wire::{
    AlterUserScramCredentialsRequest, AlterUserScramCredentialsResponse,
    DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse,
};
use kafka_wire_core::StrBytes;

use crate::error::ErrorCode;

/// SCRAM-SHA-256 and SCRAM-SHA-512 by their numbers on the wire.
const MECHANISMS: [i8; 2] = [1, 2];

/// Fewest iterations of either mechanism (RFC 7677).
const ITERATIONS_MIN: i32 = 4_096;

/// Most iterations that Kafka takes.
const ITERATIONS_MAX: i32 = 16_384;

/// Answers a DescribeUserScramCredentials.
#[must_use]
pub fn describe(
    request: &DescribeUserScramCredentialsRequest,
) -> DescribeUserScramCredentialsResponse {
    let mut mentions: BTreeMap<&StrBytes, u32> = BTreeMap::new();
    for user in request.users.iter().flatten() {
        *mentions.entry(&user.name).or_default() += 1;
    }
    let mut response = DescribeUserScramCredentialsResponse::default();
    response.error_message = Some(StrBytes::default());
    response.results = mentions
        .into_iter()
        .map(|(name, count)| {
            let (code, message) = if count > 1 {
                let message = "Cannot describe SCRAM credentials for the same user twice in a \
                               single request: ";
                (ErrorCode::DuplicateResource, message)
            } else {
                let message = "Attempt to describe a user credential that does not exist: ";
                (ErrorCode::ResourceNotFound, message)
            };
            let mut result = DescribeUserScramCredentialsResult::default();
            result.user = name.clone();
            result.error_code = code.code();
            result.error_message = Some(StrBytes::from(format!("{message}{name}")));
            result
        })
        .collect();
    response
}

/// Answers an AlterUserScramCredentials.
///
/// One result for each user; the first thing wrong with a user is what is said of it.
#[must_use]
pub fn alter(request: &AlterUserScramCredentialsRequest) -> AlterUserScramCredentialsResponse {
    let mut refusals: BTreeMap<&StrBytes, (ErrorCode, &str)> = BTreeMap::new();
    for upsertion in &request.upsertions {
        let refusal = check_upsertion(&upsertion.name, upsertion.mechanism, upsertion.iterations);
        refusals.entry(&upsertion.name).or_insert(refusal);
    }
    for deletion in &request.deletions {
        let refusal = check_deletion(&deletion.name, deletion.mechanism);
        // A user that is to be deleted and is not there: Kafka says so before anything else.
        refusals.insert(&deletion.name, refusal);
    }
    let mut response = AlterUserScramCredentialsResponse::default();
    response.results = refusals
        .into_iter()
        .map(|(name, (code, message))| {
            let mut result = AlterUserScramCredentialsResult::default();
            result.user = name.clone();
            result.error_code = code.code();
            result.error_message = Some(StrBytes::from(message));
            result
        })
        .collect();
    response
}

fn check_deletion(name: &StrBytes, mechanism: i8) -> (ErrorCode, &'static str) {
    let missing = (
        ErrorCode::ResourceNotFound,
        "Attempt to delete a user credential that does not exist",
    );
    check_user(name, mechanism).unwrap_or(missing)
}

fn check_upsertion(name: &StrBytes, mechanism: i8, iterations: i32) -> (ErrorCode, &'static str) {
    let unacceptable = ErrorCode::UnacceptableCredential;
    if let Some(refusal) = check_user(name, mechanism) {
        refusal
    } else if iterations < ITERATIONS_MIN {
        (unacceptable, "Too few iterations")
    } else if iterations > ITERATIONS_MAX {
        (unacceptable, "Too many iterations")
    } else {
        (
            ErrorCode::UnsupportedVersion,
            "This cluster does not store SCRAM credentials.",
        )
    }
}

fn check_user(name: &StrBytes, mechanism: i8) -> Option<(ErrorCode, &'static str)> {
    if name.is_empty() {
        let message = "Username must not be empty";
        return Some((ErrorCode::UnacceptableCredential, message));
    }
    let unknown = !MECHANISMS.contains(&mechanism);
    unknown.then_some((
        ErrorCode::UnsupportedSaslMechanism,
        "Unknown SCRAM mechanism",
    ))
}
