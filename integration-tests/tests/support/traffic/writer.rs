//! A caller that changes its accounts, one command after another.

use std::time::Duration;

use diptych_proto::{
    diptych::v1::{Outcome, Receipt},
    ledger::command::v1::OpenAccountRequest,
};
use diptych_runtime::{Shutdown, pause};
use rand::{Rng, rngs::SmallRng, seq::IndexedRandom};
use tokio::{sync::mpsc::UnboundedSender, time::Instant};
use tonic::{Code, Status};
use tonic_types::StatusExt;
use uuid::Uuid;

use super::{
    call_log::CallRecorder,
    connection::{EdgeConnection, call_with_retries, reason},
    requests::{CURRENCY, WriterCommand, deposit, transfer, withdraw},
};
use crate::support::account_model::{AccountModel, Posting};

/// Pause between two commands: callers keep the product busy, and leave it time to restart.
const PACE: Duration = Duration::from_millis(100);
const AMOUNT_MAX_MINOR: i64 = 10_000;

/// An acknowledged command, and the version of an account that it created.
#[derive(Clone, Debug)]
pub(super) struct AcknowledgedWrite {
    pub(super) account_id: String,
    pub(super) version: i64,
    pub(super) token: String,
    pub(super) acknowledged_at: Instant,
}

pub(super) struct Writer {
    pub(super) connection: EdgeConnection,
    pub(super) recorder: CallRecorder,
    pub(super) model: AccountModel,
    pub(super) account_ids: Vec<String>,
    pub(super) rng: SmallRng,
    /// Acknowledged commands, for the reader of own writes.
    pub(super) acknowledged: UnboundedSender<AcknowledgedWrite>,
}

impl Writer {
    /// Opens the accounts, then posts until it is stopped; then every requested command is acknowledged.
    pub(super) async fn run(mut self, stop: Shutdown) {
        for account_id in self.account_ids.clone() {
            self.open(account_id).await;
        }
        while !stop.has_begun() {
            match self.rng.random_range(0..20) {
                0 => self.overdraw().await,
                _ => self.post().await,
            }
            pause(PACE).await;
        }
    }

    async fn open(&mut self, account_id: String) {
        let request_id = Uuid::new_v4().to_string();
        let owner_id = "traffic".to_owned();
        let (id, currency_code) = (account_id.clone(), CURRENCY.to_owned());
        let open = OpenAccountRequest {
            request_id,
            account_id: id,
            owner_id,
            currency_code,
            overdraft_limit_minor: 0,
            options: None,
        };
        let (receipt, _) = self.execute(&WriterCommand::Open(open)).await.unwrap();
        self.record(&receipt, account_id, 1);
    }

    /// Withdraws more than the balance: refused, with the current balance (G8).
    async fn overdraw(&mut self) {
        let account_id = self.any_account();
        let balance_minor = self.model.balance_minor(&account_id);
        let withdraw = withdraw(&account_id, balance_minor + 1);
        let began_at = Instant::now();
        let status = self.execute(&WriterCommand::Withdraw(withdraw)).await.unwrap_err();
        let balance = status.get_details_error_info().and_then(|info| info.metadata.get("balance_minor").cloned());
        let actual = (status.code(), reason(&status), balance.as_deref().map(str::to_owned));
        let expected = (Code::FailedPrecondition, "INSUFFICIENT_FUNDS".to_owned(), Some(balance_minor.to_string()));
        assert_eq!(actual, expected, "{status:?}");
        self.recorder.succeeded(began_at);
    }

    /// Sends a deposit, a withdrawal or a transfer that no rule refuses.
    async fn post(&mut self) {
        let (command, postings) = self.random_posting();
        let began_at = Instant::now();
        let versions: Vec<i64> =
            postings.iter().map(|(account_id, posting)| self.model.expect(account_id, posting.clone())).collect();
        let (receipt, _) = self.execute(&command).await.unwrap_or_else(|status| panic!("refused: {status:?}"));
        self.recorder.succeeded(began_at);
        let expected: Vec<(String, i64)> = postings
            .iter()
            .zip(&versions)
            .map(|((account_id, _), version)| (stream_id(account_id), *version))
            .collect();
        assert_eq!(streams(&receipt), expected, "{receipt:?}");
        for ((account_id, _), version) in postings.into_iter().zip(versions) {
            self.record(&receipt, account_id, version);
        }
        // A repeated request is not executed again.
        if self.rng.random_bool(0.1) {
            // `repeated` is not checked: while the outcome of a commit is unknown, it counts as the commit of the call
            // that asks.
            let (again, _) = self.execute(&command).await.unwrap();
            assert_eq!(again, receipt, "the same request gets the same receipt");
        }
    }

    fn random_posting(&mut self) -> (WriterCommand, Vec<(String, Posting)>) {
        let account_id = self.any_account();
        let balance_minor = self.model.balance_minor(&account_id);
        if balance_minor == 0 || self.rng.random_bool(0.5) {
            let amount = self.rng.random_range(1..=AMOUNT_MAX_MINOR);
            let request = deposit(&account_id, amount);
            let posting = Posting::new(&request.request_id, amount, false);
            return (WriterCommand::Deposit(request), vec![(account_id, posting)]);
        }
        let amount = self.rng.random_range(1..=balance_minor.min(AMOUNT_MAX_MINOR));
        let other_id = self.any_account();
        if other_id == account_id {
            let request = withdraw(&account_id, amount);
            let posting = Posting::new(&request.request_id, -amount, false);
            return (WriterCommand::Withdraw(request), vec![(account_id, posting)]);
        }
        let request = transfer(&account_id, &other_id, amount);
        let [sent, received] = [-amount, amount].map(|amount| Posting::new(&request.request_id, amount, true));
        (WriterCommand::Transfer(request), vec![(account_id, sent), (other_id, received)])
    }

    fn any_account(&mut self) -> String {
        self.account_ids.choose(&mut self.rng).unwrap().clone()
    }

    fn record(&self, receipt: &Receipt, account_id: String, version: i64) {
        let token = receipt.written_at.as_ref().unwrap().value.clone();
        assert_eq!(receipt.outcome(), Outcome::Committed, "{receipt:?}");
        self.model.acknowledge(&account_id, version, &token);
        // The reader has ended if it got a wrong answer.
        let _ =
            self.acknowledged.send(AcknowledgedWrite { account_id, version, token, acknowledged_at: Instant::now() });
    }

    /// Sends a command with the same request id until it is acknowledged or refused. Returns the receipt, and whether
    /// it had been stored before.
    async fn execute(&self, command: &WriterCommand) -> Result<(Receipt, bool), Status> {
        macro_rules! send {
            ($request:expr, $method:ident) => {{
                let call = |request| {
                    let mut commands = self.connection.commands.clone();
                    async move { commands.$method(request).await }
                };
                call_with_retries(&self.recorder, $request, call)
                    .await
                    .map(|answer| (answer.receipt.unwrap(), answer.repeated))
            }};
        }
        match command {
            WriterCommand::Open(request) => send!(request, open_account),
            WriterCommand::Deposit(request) => send!(request, deposit),
            WriterCommand::Withdraw(request) => send!(request, withdraw),
            WriterCommand::Transfer(request) => send!(request, transfer),
        }
    }
}

fn stream_id(account_id: &str) -> String {
    format!("account-{account_id}")
}

fn streams(receipt: &Receipt) -> Vec<(String, i64)> {
    receipt.streams.iter().map(|stream| (stream.stream_id.clone(), stream.version)).collect()
}
