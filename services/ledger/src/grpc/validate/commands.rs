//! Requests of the command service.

use std::mem;

use diptych_kernel::{EventMetadata, Fingerprint, RequestId, Version};
use diptych_proto::ledger::command::v1;
use diptych_runtime::Failure;
use prost::Message;

use super::field;
use crate::{
    Ledger,
    domain::{Command, Deposit, Details, OpenAccount, StatusChange, Transfer, Withdraw},
};

/// A command with its name, checked for form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::grpc) struct ValidatedCommand {
    pub(in crate::grpc) request_id: RequestId,
    pub(in crate::grpc) fingerprint: Fingerprint,
    pub(in crate::grpc) expected_version: Option<Version>,
    pub(in crate::grpc) command: Command,
}

impl ValidatedCommand {
    /// As the write side takes it.
    pub(in crate::grpc) fn into_submission(self, metadata: EventMetadata) -> diptych_command::Submission<Ledger> {
        diptych_command::Submission {
            request_id: self.request_id,
            fingerprint: self.fingerprint,
            expected_version: self.expected_version,
            command: self.command,
            metadata,
        }
    }
}

/// A request that is a command.
pub(in crate::grpc) trait CommandRequest: Message + Sized {
    /// The full name of the message: a command of another kind is another command, even with the same fields.
    const KIND: &'static str;

    /// The field of the command's name.
    fn request_id_mut(&mut self) -> &mut String;

    /// The command, and the expected version that stands beside it.
    fn into_command(self) -> Result<(Command, Option<i64>), Failure>;
}

/// Checks every field. The content that is told apart by its fingerprint is the whole message but its `request_id`, whether it came
/// alone or on the stream.
pub(in crate::grpc) fn check<R: CommandRequest>(mut request: R) -> Result<ValidatedCommand, Failure> {
    let request_id = field::request_id(&mem::take(request.request_id_mut()))?;
    let fingerprint = Fingerprint::of(R::KIND, &request.encode_to_vec());
    let (command, expected_version) = request.into_command()?;
    let expected_version = field::expected_version(expected_version)?;
    Ok(ValidatedCommand { request_id, fingerprint, expected_version, command })
}

impl CommandRequest for v1::OpenAccountRequest {
    const KIND: &'static str = "ledger.command.v1.OpenAccountRequest";

    fn request_id_mut(&mut self) -> &mut String {
        &mut self.request_id
    }

    fn into_command(self) -> Result<(Command, Option<i64>), Failure> {
        let command = OpenAccount {
            account_id: field::account_id("account_id", &self.account_id)?,
            owner_id: field::owner_id("owner_id", &self.owner_id)?,
            currency: field::currency("currency_code", &self.currency_code)?,
            overdraft_limit: field::overdraft_limit("overdraft_limit_minor", self.overdraft_limit_minor)?,
        };
        Ok((Command::OpenAccount(command), None))
    }
}

impl CommandRequest for v1::DepositRequest {
    const KIND: &'static str = "ledger.command.v1.DepositRequest";

    fn request_id_mut(&mut self) -> &mut String {
        &mut self.request_id
    }

    fn into_command(self) -> Result<(Command, Option<i64>), Failure> {
        let command = Deposit {
            account_id: field::account_id("account_id", &self.account_id)?,
            amount: field::amount("amount_minor", self.amount_minor)?,
            currency: field::currency("currency_code", &self.currency_code)?,
            details: details(self.details)?,
        };
        Ok((Command::Deposit(command), self.expected_version))
    }
}

impl CommandRequest for v1::WithdrawRequest {
    const KIND: &'static str = "ledger.command.v1.WithdrawRequest";

    fn request_id_mut(&mut self) -> &mut String {
        &mut self.request_id
    }

    fn into_command(self) -> Result<(Command, Option<i64>), Failure> {
        let command = Withdraw {
            account_id: field::account_id("account_id", &self.account_id)?,
            amount: field::amount("amount_minor", self.amount_minor)?,
            currency: field::currency("currency_code", &self.currency_code)?,
            details: details(self.details)?,
        };
        Ok((Command::Withdraw(command), self.expected_version))
    }
}

impl CommandRequest for v1::TransferRequest {
    const KIND: &'static str = "ledger.command.v1.TransferRequest";

    fn request_id_mut(&mut self) -> &mut String {
        &mut self.request_id
    }

    fn into_command(self) -> Result<(Command, Option<i64>), Failure> {
        let command = Transfer {
            from_account_id: field::account_id("from_account_id", &self.from_account_id)?,
            to_account_id: field::account_id("to_account_id", &self.to_account_id)?,
            amount: field::amount("amount_minor", self.amount_minor)?,
            currency: field::currency("currency_code", &self.currency_code)?,
            details: details(self.details)?,
        };
        Ok((Command::Transfer(command), self.expected_version))
    }
}

impl CommandRequest for v1::FreezeAccountRequest {
    const KIND: &'static str = "ledger.command.v1.FreezeAccountRequest";

    fn request_id_mut(&mut self) -> &mut String {
        &mut self.request_id
    }

    fn into_command(self) -> Result<(Command, Option<i64>), Failure> {
        let change = status_change(&self.account_id, self.explanation)?;
        Ok((Command::FreezeAccount(change), self.expected_version))
    }
}

impl CommandRequest for v1::UnfreezeAccountRequest {
    const KIND: &'static str = "ledger.command.v1.UnfreezeAccountRequest";

    fn request_id_mut(&mut self) -> &mut String {
        &mut self.request_id
    }

    fn into_command(self) -> Result<(Command, Option<i64>), Failure> {
        let change = status_change(&self.account_id, self.explanation)?;
        Ok((Command::UnfreezeAccount(change), self.expected_version))
    }
}

impl CommandRequest for v1::CloseAccountRequest {
    const KIND: &'static str = "ledger.command.v1.CloseAccountRequest";

    fn request_id_mut(&mut self) -> &mut String {
        &mut self.request_id
    }

    fn into_command(self) -> Result<(Command, Option<i64>), Failure> {
        let change = status_change(&self.account_id, self.explanation)?;
        Ok((Command::CloseAccount(change), self.expected_version))
    }
}

fn status_change(account_id: &str, explanation: String) -> Result<StatusChange, Failure> {
    Ok(StatusChange {
        account_id: field::account_id("account_id", account_id)?,
        explanation: field::text("explanation", explanation)?,
    })
}

fn details(details: Option<v1::PostingDetails>) -> Result<Details, Failure> {
    let Some(details) = details else { return Ok(Details::default()) };
    Ok(Details {
        value_date: field::value_date("details.value_date", &details.value_date)?,
        reference: field::text("details.reference", details.reference)?,
        purpose: field::text("details.purpose", details.purpose)?,
        counterparty: field::text("details.counterparty", details.counterparty)?,
    })
}
