//! Requests of writers, each with a new request id.

use diptych_proto::ledger::command::v1::{DepositRequest, OpenAccountRequest, TransferRequest, WithdrawRequest};
use uuid::Uuid;

/// A currency of this traffic only: ISO 4217 reserves it for tests.
pub(crate) const CURRENCY: &str = "XTS";

/// A command of a writer.
#[derive(Clone)]
pub(super) enum WriterCommand {
    Open(OpenAccountRequest),
    Deposit(DepositRequest),
    Withdraw(WithdrawRequest),
    Transfer(TransferRequest),
}

pub(super) fn deposit(account_id: &str, amount_minor: i64) -> DepositRequest {
    DepositRequest {
        request_id: Uuid::new_v4().to_string(),
        account_id: account_id.to_owned(),
        amount_minor,
        currency_code: CURRENCY.to_owned(),
        ..DepositRequest::default()
    }
}

pub(super) fn withdraw(account_id: &str, amount_minor: i64) -> WithdrawRequest {
    WithdrawRequest {
        request_id: Uuid::new_v4().to_string(),
        account_id: account_id.to_owned(),
        amount_minor,
        currency_code: CURRENCY.to_owned(),
        ..WithdrawRequest::default()
    }
}

pub(super) fn transfer(from: &str, to: &str, amount_minor: i64) -> TransferRequest {
    TransferRequest {
        request_id: Uuid::new_v4().to_string(),
        from_account_id: from.to_owned(),
        to_account_id: to.to_owned(),
        amount_minor,
        currency_code: CURRENCY.to_owned(),
        ..TransferRequest::default()
    }
}
