//! The commands of a benchmark.

use std::{
    cell::{Cell, RefCell},
    time::Duration,
};

use diptych_proto::{
    diptych::v1::Receipt,
    ledger::command::v1::{DepositRequest, OpenAccountRequest, TransferRequest, execute_commands_request::Command},
};
use rand::{Rng, SeedableRng, rngs::SmallRng};
use tonic::{Request, Status};
use uuid::Uuid;

use super::zipf::Zipf;
use crate::client::call_error::CallError;

const CURRENCY_CODE: &str = "EUR";
/// The deadline of every call. It includes the wait of a command for its commit, and of a query for its token.
const DEADLINE: Duration = Duration::from_secs(10);

/// Overdraft limit of accounts that transfer: the largest, so that no transfer is refused.
const OVERDRAFT_LIMIT_MINOR: i64 = 1_000_000_000_000_000;

/// Generates deposits of one minor unit into accounts of its own, round robin, or transfers among them.
#[derive(Debug)]
pub(crate) struct Workload {
    /// Random number that makes account ids and request ids unique.
    run_id: u64,
    account_ids: Vec<String>,
    commands_count: Cell<u64>,
    transfers: Option<RefCell<Transfers>>,
}

/// Random accounts of transfers.
#[derive(Debug)]
struct Transfers {
    accounts: Zipf,
    rng: SmallRng,
}

impl Workload {
    /// Creates a workload with this number of accounts, whose ids no other workload has.
    pub(crate) fn new(accounts_count: u64) -> Self {
        let run_id: u64 = rand::rng().random();
        let account_ids = (0..accounts_count).map(|number| format!("bench-{run_id:016x}-{number}")).collect();
        Self { run_id, account_ids, commands_count: Cell::new(0), transfers: None }
    }

    /// The same with transfers in the place of deposits, among accounts drawn by Zipf's law with this exponent.
    pub(crate) fn with_transfers(self, zipf_exponent: f64) -> Self {
        let accounts = Zipf::new(self.account_ids.len(), zipf_exponent);
        let rng = SmallRng::seed_from_u64(self.run_id);
        Self { transfers: Some(RefCell::new(Transfers { accounts, rng })), ..self }
    }

    /// Creates the command of the call with this number.
    pub(crate) fn command(&self, call: u64) -> Command {
        let Some(transfers) = &self.transfers else { return Command::Deposit(self.deposit(self.account_id(call))) };
        let Transfers { accounts, rng } = &mut *transfers.borrow_mut();
        let from = accounts.draw(rng);
        let to = loop {
            let to = accounts.draw(rng);
            if to != from || self.account_ids.len() < 2 {
                break to;
            }
        };
        let account_id = |index: usize| self.account_ids.get(index).cloned().unwrap_or_default();
        Command::Transfer(TransferRequest {
            request_id: self.new_request_id(),
            from_account_id: account_id(from),
            to_account_id: account_id(to),
            amount_minor: 1,
            currency_code: CURRENCY_CODE.to_owned(),
            ..TransferRequest::default()
        })
    }

    /// The ids of all accounts.
    pub(crate) fn account_ids(&self) -> &[String] {
        &self.account_ids
    }

    /// The id of the account that the call with this number goes to; empty if the workload has no accounts.
    pub(crate) fn account_id(&self, call: u64) -> String {
        let count = self.account_ids.len().max(1) as u64;
        usize::try_from(call % count).ok().and_then(|index| self.account_ids.get(index)).cloned().unwrap_or_default()
    }

    /// Creates a command that opens an account.
    pub(crate) fn open_account(&self, account_id: &str) -> OpenAccountRequest {
        OpenAccountRequest {
            request_id: self.new_request_id(),
            account_id: account_id.to_owned(),
            owner_id: format!("bench-{:016x}", self.run_id),
            currency_code: CURRENCY_CODE.to_owned(),
            overdraft_limit_minor: if self.transfers.is_some() { OVERDRAFT_LIMIT_MINOR } else { 0 },
            options: None,
        }
    }

    /// Creates a deposit.
    pub(crate) fn deposit(&self, account_id: String) -> DepositRequest {
        DepositRequest {
            request_id: self.new_request_id(),
            account_id,
            amount_minor: 1,
            currency_code: CURRENCY_CODE.to_owned(),
            details: None,
            expected_version: None,
            options: None,
        }
    }

    /// Creates a UUID from the run id and a counter: a random UUID for each command would cost too much time.
    fn new_request_id(&self) -> String {
        let number = self.commands_count.get() + 1;
        self.commands_count.set(number);
        Uuid::from_u64_pair(self.run_id, number).to_string()
    }
}

/// The version of the account after the command; 0 if the receipt has none.
pub(crate) fn receipt_version(receipt: &Receipt) -> i64 {
    receipt.streams.first().map_or(0, |stream| stream.version)
}

/// The reason of a failed call, such as OVERLOADED; the gRPC code if the answer has no reason.
pub(crate) fn failure_reason(status: &Status) -> String {
    CallError::from(status).reason
}

/// Creates a request with the deadline of the benchmark's calls, 10 seconds.
pub(crate) fn with_deadline<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(DEADLINE);
    request
}
