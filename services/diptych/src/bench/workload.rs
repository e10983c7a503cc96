//! What is sent.

use std::{cell::Cell, time::Duration};

use diptych_proto::{
    diptych::v1::Receipt,
    ledger::command::v1::{DepositRequest, OpenAccountRequest},
};
use rand::Rng;
use tonic::{Request, Status};
use uuid::Uuid;

use crate::client::call_error::CallError;

const CURRENCY_CODE: &str = "EUR";
/// The deadline of every call: how long a command may wait for its commit, and a query for its token.
const DEADLINE: Duration = Duration::from_secs(10);

/// Deposits of one minor unit into accounts of this run, one account after another.
#[derive(Debug)]
pub(crate) struct Workload {
    run: u64,
    accounts: Vec<String>,
    commands: Cell<u64>,
}

impl Workload {
    /// With accounts that no other run has.
    pub(crate) fn new(accounts: u64) -> Self {
        let run: u64 = rand::rng().random();
        let accounts = (0..accounts).map(|number| format!("bench-{run:016x}-{number}")).collect();
        Self { run, accounts, commands: Cell::new(0) }
    }

    /// All accounts.
    pub(crate) fn accounts(&self) -> &[String] {
        &self.accounts
    }

    /// The account whose turn it is. There is always one.
    pub(crate) fn account(&self, turn: u64) -> String {
        let count = self.accounts.len().max(1) as u64;
        usize::try_from(turn % count).ok().and_then(|index| self.accounts.get(index)).cloned().unwrap_or_default()
    }

    /// A command that opens an account of this run.
    pub(crate) fn opening(&self, account_id: &str) -> OpenAccountRequest {
        OpenAccountRequest {
            request_id: self.request_id(),
            account_id: account_id.to_owned(),
            owner_id: format!("bench-{:016x}", self.run),
            currency_code: CURRENCY_CODE.to_owned(),
            overdraft_limit_minor: 0,
        }
    }

    /// A deposit.
    pub(crate) fn deposit(&self, account_id: String) -> DepositRequest {
        DepositRequest {
            request_id: self.request_id(),
            account_id,
            amount_minor: 1,
            currency_code: CURRENCY_CODE.to_owned(),
            details: None,
            expected_version: None,
        }
    }

    /// A UUID that no other command has: the run is random, the rest counts. Asking the system for randomness each time
    /// would cost more than the call to be measured can spare.
    fn request_id(&self) -> String {
        let number = self.commands.get() + 1;
        self.commands.set(number);
        Uuid::from_u64_pair(self.run, number).to_string()
    }
}

/// The version of the account after the command; 0 where the receipt names none.
pub(crate) fn version_of(receipt: &Receipt) -> i64 {
    receipt.streams.first().map_or(0, |stream| stream.version)
}

/// Why a call failed, in one word.
pub(crate) fn reason(status: &Status) -> String {
    CallError::from(status).reason
}

/// A call that ends, whatever happens to it on the way.
pub(crate) fn with_deadline<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(DEADLINE);
    request
}
