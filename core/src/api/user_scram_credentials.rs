//! DescribeUserScramCredentials and AlterUserScramCredentials (KIP-554).

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_wire::alter_user_scram_credentials_response::AlterUserScramCredentialsResult;
use kafka_wire::describe_user_scram_credentials_response::{
    CredentialInfo, DescribeUserScramCredentialsResult,
};
use kafka_wire::{
    AlterUserScramCredentialsRequest, AlterUserScramCredentialsResponse,
    DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse,
};
use kafka_wire_core::StrBytes;

use super::change::{Ground, propose};
use super::{Handled, Requester};
use crate::controller::scram::{Credential, CredentialChange, alter_credentials};
use crate::controller::{Decision, Refusal};
use crate::error::ErrorCode;
use crate::metadata::image::Image;
use crate::node::Broker;
use crate::node::door::Outbox;
use crate::time::Now;
use crate::wire::request::Reply;

/// Longest wait for a change: the request carries no timeout of its own.
const TIMEOUT_MS: i32 = 30_000;

/// Answers a DescribeUserScramCredentials: of the users named, or of all where none is.
pub(super) fn describe(
    image: &Image,
    request: &DescribeUserScramCredentialsRequest,
) -> DescribeUserScramCredentialsResponse {
    let mut known: BTreeMap<&str, Vec<CredentialInfo>> = BTreeMap::new();
    for ((user, mechanism), credential) in image.scram_credentials() {
        let mut info = CredentialInfo::default();
        info.mechanism = *mechanism;
        info.iterations = credential.iterations;
        known.entry(user).or_default().push(info);
    }
    let mut mentions: BTreeMap<&str, u32> = BTreeMap::new();
    for user in request.users.iter().flatten() {
        *mentions.entry(user.name.as_str()).or_default() += 1;
    }
    if mentions.is_empty() {
        mentions = known.keys().map(|user| (*user, 1)).collect();
    }
    let mut response = DescribeUserScramCredentialsResponse::default();
    response.error_message = Some(StrBytes::default());
    response.results = mentions
        .into_iter()
        .map(|(user, count)| {
            let refuse = |code: ErrorCode, text: &str| Err((code, format!("{text}: {user}")));
            let infos = match known.remove(user) {
                _any if count > 1 => refuse(
                    ErrorCode::DuplicateResource,
                    "Cannot describe SCRAM credentials for the same user twice in a single request",
                ),
                None => refuse(
                    ErrorCode::ResourceNotFound,
                    "Attempt to describe a user credential that does not exist",
                ),
                Some(infos) => Ok(infos),
            };
            let mut result = DescribeUserScramCredentialsResult::default();
            result.user = StrBytes::from(user);
            match infos {
                Ok(infos) => result.credential_infos = infos,
                Err((code, text)) => {
                    result.error_code = code.code();
                    result.error_message = Some(StrBytes::from(text));
                }
            }
            result
        })
        .collect();
    response
}

/// Sets and removes credentials, one of each user.
pub fn handle(
    broker: &mut Broker,
    now: Now,
    from: &Requester,
    request: &AlterUserScramCredentialsRequest,
    out: &mut Outbox,
) -> Handled {
    let deletions = request.deletions.iter().map(|deletion| CredentialChange {
        user: Arc::from(deletion.name.as_str()),
        mechanism: deletion.mechanism,
        credential: None,
    });
    let upsertions = request.upsertions.iter().map(|upsertion| CredentialChange {
        user: Arc::from(upsertion.name.as_str()),
        mechanism: upsertion.mechanism,
        credential: Some(Credential {
            iterations: upsertion.iterations,
            salt: Arc::from(&*upsertion.salt),
            salted_password: Arc::from(&*upsertion.salted_password),
        }),
    });
    let changes: Vec<CredentialChange> = deletions.chain(upsertions).collect();
    let Decision { records, results } = alter_credentials(&Ground::of(broker).scene(), &changes);
    let answer = |failure: Option<ErrorCode>| altered(&results, failure);
    propose(broker, now, from, (records, TIMEOUT_MS), answer, out)
}

fn altered(results: &[(Arc<str>, Result<(), Refusal>)], failure: Option<ErrorCode>) -> Reply {
    let mut response = AlterUserScramCredentialsResponse::default();
    response.results = results
        .iter()
        .map(|(user, outcome)| {
            let (code, message) = match (outcome, failure) {
                (Ok(()), None) => (ErrorCode::None, None),
                (Ok(()), Some(code)) => (code, None),
                (Err(refusal), _) => (refusal.code, refusal.message.as_deref()),
            };
            let mut result = AlterUserScramCredentialsResult::default();
            result.user = StrBytes::from(&**user);
            result.error_code = code.code();
            result.error_message = message.map(StrBytes::from);
            result
        })
        .collect();
    Reply::AlterUserScramCredentials(response)
}
