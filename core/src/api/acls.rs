//! DescribeAcls, CreateAcls and DeleteAcls, as a Kafka without an authorizer answers them.
//!
//! Nothing is stored: every item fails with `SECURITY_DISABLED`. The requests are served all the
//! same, because old clients infer a broker's age from whether they are (K119, kafka-python 2.0).
//! Checked against Apache Kafka 4.3.1, whose request classes refuse the value 0 (unknown) before
//! anything else and close the connection.

use kafka_wire::create_acls_response::AclCreationResult;
use kafka_wire::delete_acls_response::DeleteAclsFilterResult;
use kafka_wire::{
    CreateAclsRequest, CreateAclsResponse, DeleteAclsRequest, DeleteAclsResponse,
    DescribeAclsRequest, DescribeAclsResponse,
};
use kafka_wire_core::StrBytes;

use super::Handled;
use crate::error::ErrorCode;
use crate::wire::request::Reply;

/// The number of "unknown" in every enumeration of an ACL.
const UNKNOWN: i8 = 0;

/// Why the connection is closed.
const UNKNOWN_ELEMENT: &str = "an ACL request names an unknown type, pattern or operation";

/// Answers a DescribeAcls.
#[must_use]
pub fn describe(request: &DescribeAclsRequest) -> Handled {
    let elements = [
        request.resource_type_filter,
        request.pattern_type_filter,
        request.operation,
        request.permission_type,
    ];
    if elements.contains(&UNKNOWN) {
        return Handled::Close(UNKNOWN_ELEMENT);
    }
    let mut response = DescribeAclsResponse::default();
    response.error_code = ErrorCode::SecurityDisabled.code();
    response.error_message = Some(StrBytes::from("No Authorizer is configured on the broker"));
    Handled::Reply(Reply::DescribeAcls(response))
}

/// Answers a CreateAcls.
#[must_use]
pub fn create(request: &CreateAclsRequest) -> Handled {
    let is_malformed = request.creations.iter().any(|creation| {
        [
            creation.resource_type,
            creation.resource_pattern_type,
            creation.operation,
            creation.permission_type,
        ]
        .contains(&UNKNOWN)
    });
    if is_malformed {
        return Handled::Close(UNKNOWN_ELEMENT);
    }
    let mut refusal = AclCreationResult::default();
    refusal.error_code = ErrorCode::SecurityDisabled.code();
    refusal.error_message = Some(disabled());
    let mut response = CreateAclsResponse::default();
    response.results = vec![refusal; request.creations.len()];
    Handled::Reply(Reply::CreateAcls(response))
}

/// Answers a DeleteAcls.
#[must_use]
pub fn delete(request: &DeleteAclsRequest) -> Handled {
    let is_malformed = request.filters.iter().any(|filter| {
        [
            filter.resource_type_filter,
            filter.pattern_type_filter,
            filter.operation,
            filter.permission_type,
        ]
        .contains(&UNKNOWN)
    });
    if is_malformed {
        return Handled::Close(UNKNOWN_ELEMENT);
    }
    let mut refusal = DeleteAclsFilterResult::default();
    refusal.error_code = ErrorCode::SecurityDisabled.code();
    refusal.error_message = Some(disabled());
    let mut response = DeleteAclsResponse::default();
    response.filter_results = vec![refusal; request.filters.len()];
    Handled::Reply(Reply::DeleteAcls(response))
}

fn disabled() -> StrBytes {
    StrBytes::from("No Authorizer is configured.")
}
