//! Converts refusals and failures to gRPC statuses.

use diptych_command::CommandError;
use diptych_proto::{
    google::rpc::{self, ResourceInfo},
    ledger::{command::v1 as command, query::v1 as query},
};
use diptych_runtime::{DomainRefusal, Failure};
use prost::Message;
use prost_types::Any;
use tonic::{Code, Status};

use crate::domain::{
    AccountId, Refusal,
    refusal_codec::{metadata_of, reason_of},
};

/// The domain of the reasons in `ledger.command.v1.ErrorReason`.
pub(super) const COMMAND_DOMAIN: &str = "ledger.command.v1";

/// The domain of the reasons in `ledger.query.v1.ErrorReason`.
pub(super) const QUERY_DOMAIN: &str = "ledger.query.v1";

/// Converts the error of a command.
pub(super) fn command_failure(error: CommandError<Refusal>) -> Failure {
    error.into_failure(|refusal| refused(&refusal))
}

/// Converts a refusal, with the metadata that the comments of the reasons name.
pub(super) fn refused(refusal: &Refusal) -> Failure {
    let reason = reason_of(refusal);
    let code = match reason {
        command::ErrorReason::AccountNotFound => Code::NotFound,
        _ => Code::FailedPrecondition,
    };
    Failure::Refused(DomainRefusal {
        domain: COMMAND_DOMAIN,
        reason: reason_name(reason.as_str_name()),
        code,
        message: refusal.to_string(),
        metadata: metadata_of(refusal),
    })
}

/// The failure of a query for an account that the view does not have.
pub(super) fn account_not_found(account_id: &AccountId) -> Failure {
    Failure::Refused(DomainRefusal {
        domain: QUERY_DOMAIN,
        reason: reason_name(query::ErrorReason::AccountNotFound.as_str_name()),
        code: Code::NotFound,
        message: format!("there is no account {account_id}, or the view has not seen it opened yet"),
        metadata: vec![("account_id", account_id.to_string())],
    })
}

/// Converts a failure to an item of a stream, with the same code, message and details as [`status`].
pub(super) fn rpc_status(failure: &Failure) -> rpc::Status {
    let mut status = failure.to_rpc_status();
    if let Some(account_id) = account_not_found_id(failure) {
        let resource = ResourceInfo {
            resource_type: "account".to_owned(),
            resource_name: account_id.to_owned(),
            ..ResourceInfo::default()
        };
        status.details.push(Any {
            type_url: "type.googleapis.com/google.rpc.ResourceInfo".to_owned(),
            value: resource.encode_to_vec(),
        });
    }
    status
}

/// Converts a failure to the status that ends a call.
pub(super) fn status(failure: &Failure) -> Status {
    failure.to_tonic_status(&rpc_status(failure))
}

/// The id of the account that was not found, where that is the failure.
fn account_not_found_id(failure: &Failure) -> Option<&str> {
    let Failure::Refused(DomainRefusal { code: Code::NotFound, metadata, .. }) = failure else { return None };
    metadata.iter().find(|(key, _)| *key == "account_id").map(|(_, account_id)| account_id.as_str())
}

/// The name of a reason as in `ErrorInfo.reason`.
fn reason_name(name: &'static str) -> &'static str {
    name.strip_prefix("ERROR_REASON_").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use diptych_runtime::reasons;

    use super::*;
    use crate::domain::refusal_codec::tests::refusals;

    /// The reasons of a domain with their codes, from the proto file.
    fn documented(domain: &str) -> BTreeMap<String, String> {
        let all = reasons::all().unwrap().into_iter().filter(|explanation| explanation.domain == domain);
        all.map(|explanation| (explanation.reason, explanation.code)).collect()
    }

    fn sent(failure: &Failure) -> (String, String) {
        let code = match failure.code() {
            Code::NotFound => "NOT_FOUND",
            Code::FailedPrecondition => "FAILED_PRECONDITION",
            other => panic!("not the code of a refusal: {other:?}"),
        };
        (failure.reason().to_owned(), code.to_owned())
    }

    #[test]
    fn every_reason_is_sent_with_its_documented_code() {
        let of_commands: BTreeMap<_, _> = refusals().into_iter().map(|refusal| sent(&refused(&refusal))).collect();
        assert_eq!(of_commands, documented(COMMAND_DOMAIN));
        let not_found = account_not_found(&AccountId::parse("a").unwrap());
        assert_eq!(BTreeMap::from([sent(&not_found)]), documented(QUERY_DOMAIN));
    }

    #[test]
    fn only_a_missing_account_is_named_as_a_resource() {
        for refusal in refusals() {
            let is_missing = matches!(refusal, Refusal::AccountNotFound { .. });
            let status = rpc_status(&refused(&refusal));
            let named = status.details.iter().any(|detail| detail.type_url.ends_with("google.rpc.ResourceInfo"));
            assert_eq!(named, is_missing, "{}", status.message);
        }
    }
}
