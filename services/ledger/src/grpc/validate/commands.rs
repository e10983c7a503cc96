//! Validates the requests of the command service.

use std::mem;

use diptych_command::Queueable;
use diptych_kernel::{EventMetadata, Fingerprint, RequestId, Version, domain::DecodeError, ports::Offset};
use diptych_proto::{diptych::v1::CommandOptions, ledger::command::v1};
use diptych_runtime::{Failure, InvalidFields};
use prost::Message;

use super::{field, options};
use crate::{
    Ledger,
    domain::{Command, Deposit, Details, OpenAccount, StatusChange, Transfer, Withdraw},
};

/// A command request whose fields are all valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::grpc) struct ValidatedCommand {
    pub(in crate::grpc) request_id: RequestId,
    pub(in crate::grpc) fingerprint: Fingerprint,
    pub(in crate::grpc) expected_version: Option<Version>,
    pub(in crate::grpc) command: Command,
    /// Set if it may be queued while the write database does not answer.
    pub(in crate::grpc) queueable: Option<Queueable>,
    /// The place in the queue of an earlier command, which it must not overtake.
    pub(in crate::grpc) after_queued: Option<Offset>,
}

impl ValidatedCommand {
    /// Converts it to what the sequencer takes.
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

/// A request message that holds a command.
pub(in crate::grpc) trait CommandRequest: Message + Sized {
    /// The full name of the message. It is part of the fingerprint: the same fields in another message are another
    /// command.
    const KIND: &'static str;

    /// Removes and returns the field `request_id`.
    fn take_request_id(&mut self) -> String;

    /// Removes and returns the field `options`.
    fn take_options(&mut self) -> Option<CommandOptions>;

    /// The field `expected_version`, for messages that have it.
    fn expected_version(&self) -> Option<i64>;

    /// The command; `None` where a field is invalid, which `invalid` has recorded.
    fn into_command(self, invalid: &mut InvalidFields) -> Option<Command>;
}

/// Validates every field, and names all invalid ones in one failure. The fingerprint covers the whole message without
/// its `request_id` and `options`, whether it came as its own call or on the stream.
pub(in crate::grpc) fn command<R: CommandRequest>(mut request: R) -> Result<ValidatedCommand, Failure> {
    let mut invalid = InvalidFields::default();
    let request_id = invalid.check(field::request_id(&request.take_request_id()));
    let options = options::validate(request.take_options(), &mut invalid);
    let content = request.encode_to_vec();
    let fingerprint = Fingerprint::of(R::KIND, &content);
    let expected_version = field::expected_version(request.expected_version());
    let command = request.into_command(&mut invalid);
    let expected_version = invalid.check(expected_version);
    let validated = match (request_id, expected_version, command, options) {
        (Some(request_id), Some(expected_version), Some(command), Some(options)) => {
            let queueable = options.may_queue.then(|| Queueable {
                command_type: R::KIND,
                payload: content.into(),
                expires_after: options.expires_after,
            });
            let after_queued = options.after_queued;
            Some(ValidatedCommand { request_id, fingerprint, expected_version, command, queueable, after_queued })
        }
        _ => None,
    };
    invalid.finish(validated)
}

/// Decodes a command that was queued.
pub(crate) fn decode(command_type: &str, payload: &[u8]) -> Result<Command, DecodeError> {
    match command_type {
        v1::OpenAccountRequest::KIND => decode_request::<v1::OpenAccountRequest>(payload),
        v1::DepositRequest::KIND => decode_request::<v1::DepositRequest>(payload),
        v1::WithdrawRequest::KIND => decode_request::<v1::WithdrawRequest>(payload),
        v1::TransferRequest::KIND => decode_request::<v1::TransferRequest>(payload),
        v1::FreezeAccountRequest::KIND => decode_request::<v1::FreezeAccountRequest>(payload),
        v1::UnfreezeAccountRequest::KIND => decode_request::<v1::UnfreezeAccountRequest>(payload),
        v1::CloseAccountRequest::KIND => decode_request::<v1::CloseAccountRequest>(payload),
        _ => Err(DecodeError::new(command_type, "unknown command type")),
    }
}

fn decode_request<R: CommandRequest + Default>(payload: &[u8]) -> Result<Command, DecodeError> {
    let request = R::decode(payload).map_err(|error| DecodeError::new(R::KIND, error))?;
    let mut invalid = InvalidFields::default();
    let command = request.into_command(&mut invalid);
    invalid.finish(command).map_err(|failure| DecodeError::new(R::KIND, failure.to_rpc_status().message))
}

/// Implements [`CommandRequest`] for a message: `|request, invalid| command`, and whether the message has
/// `expected_version`.
macro_rules! command_request {
    ($message:ident, $has_version:tt, |$request:ident, $invalid:ident| $into_command:expr) => {
        impl CommandRequest for v1::$message {
            const KIND: &'static str = concat!("ledger.command.v1.", stringify!($message));

            fn take_request_id(&mut self) -> String {
                mem::take(&mut self.request_id)
            }

            fn take_options(&mut self) -> Option<CommandOptions> {
                self.options.take()
            }

            fn expected_version(&self) -> Option<i64> {
                command_request!(@version $has_version self)
            }

            fn into_command(self, $invalid: &mut InvalidFields) -> Option<Command> {
                let $request = self;
                $into_command
            }
        }
    };
    (@version versioned $request:ident) => { $request.expected_version };
    (@version unversioned $request:ident) => { None };
}

command_request!(OpenAccountRequest, unversioned, |request, invalid| {
    let account_id = invalid.check(field::account_id("account_id", &request.account_id));
    let owner_id = invalid.check(field::owner_id("owner_id", &request.owner_id));
    let currency = invalid.check(field::currency("currency_code", &request.currency_code));
    let overdraft_limit = invalid.check(field::overdraft_limit("overdraft_limit_minor", request.overdraft_limit_minor));
    Some(Command::OpenAccount(OpenAccount {
        account_id: account_id?,
        owner_id: owner_id?,
        currency: currency?,
        overdraft_limit: overdraft_limit?,
    }))
});

command_request!(DepositRequest, versioned, |request, invalid| {
    let account_id = invalid.check(field::account_id("account_id", &request.account_id));
    let amount = invalid.check(field::amount("amount_minor", request.amount_minor));
    let currency = invalid.check(field::currency("currency_code", &request.currency_code));
    let details = details(request.details, invalid);
    Some(Command::Deposit(Deposit { account_id: account_id?, amount: amount?, currency: currency?, details: details? }))
});

command_request!(WithdrawRequest, versioned, |request, invalid| {
    let account_id = invalid.check(field::account_id("account_id", &request.account_id));
    let amount = invalid.check(field::amount("amount_minor", request.amount_minor));
    let currency = invalid.check(field::currency("currency_code", &request.currency_code));
    let details = details(request.details, invalid);
    Some(Command::Withdraw(Withdraw {
        account_id: account_id?,
        amount: amount?,
        currency: currency?,
        details: details?,
    }))
});

command_request!(TransferRequest, versioned, |request, invalid| {
    let from_account_id = invalid.check(field::account_id("from_account_id", &request.from_account_id));
    let to_account_id = invalid.check(field::account_id("to_account_id", &request.to_account_id));
    let amount = invalid.check(field::amount("amount_minor", request.amount_minor));
    let currency = invalid.check(field::currency("currency_code", &request.currency_code));
    let details = details(request.details, invalid);
    Some(Command::Transfer(Transfer {
        from_account_id: from_account_id?,
        to_account_id: to_account_id?,
        amount: amount?,
        currency: currency?,
        details: details?,
    }))
});

command_request!(FreezeAccountRequest, versioned, |request, invalid| {
    status_change(&request.account_id, request.explanation, invalid).map(Command::FreezeAccount)
});

command_request!(UnfreezeAccountRequest, versioned, |request, invalid| {
    status_change(&request.account_id, request.explanation, invalid).map(Command::UnfreezeAccount)
});

command_request!(CloseAccountRequest, versioned, |request, invalid| {
    status_change(&request.account_id, request.explanation, invalid).map(Command::CloseAccount)
});

fn status_change(account_id: &str, explanation: String, invalid: &mut InvalidFields) -> Option<StatusChange> {
    let account_id = invalid.check(field::account_id("account_id", account_id));
    let explanation = invalid.check(field::text("explanation", explanation));
    Some(StatusChange { account_id: account_id?, explanation: explanation? })
}

fn details(details: Option<v1::PostingDetails>, invalid: &mut InvalidFields) -> Option<Details> {
    let Some(details) = details else { return Some(Details::default()) };
    let value_date = invalid.check(field::value_date("details.value_date", &details.value_date));
    let reference = invalid.check(field::text("details.reference", details.reference));
    let purpose = invalid.check(field::text("details.purpose", details.purpose));
    let counterparty = invalid.check(field::text("details.counterparty", details.counterparty));
    Some(Details { value_date: value_date?, reference: reference?, purpose: purpose?, counterparty: counterparty? })
}
