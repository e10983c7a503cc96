//! A command and, at once, a query with its token: what `lag` and `own-writes` have in common.

use std::time::Duration;

use diptych_proto::{
    diptych::v1::Receipt,
    ledger::{
        command::v1::command_service_client::CommandServiceClient,
        query::v1::{GetAccountRequest, ListEntriesRequest, query_service_client::QueryServiceClient},
    },
};
use tokio::time::Instant;
use tonic::Status;

use super::{
    measured::Measured,
    workload::{Workload, reason, version_of, with_deadline},
};
use crate::client::{
    Connection, Connections,
    tokens::{at_least_as_fresh, receipt_token},
};

/// What is asked after a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Query {
    /// GetAccount: fresh when it has the version of the command.
    Account,
    /// ListEntries: fresh when the first page has the entry of the command.
    Entries,
}

/// Calls both services.
#[derive(Clone, Debug)]
pub(crate) struct Both {
    commands: CommandServiceClient<Connection>,
    queries: QueryServiceClient<Connection>,
}

/// What came of commands and the queries after them.
#[derive(Clone, Debug)]
pub(crate) struct Visible {
    /// From sending to the receipt.
    pub(crate) commands: Measured,
    /// From the receipt to the answer that shows the command.
    pub(crate) queries: Measured,
    /// Answers that came without an error and did not show it. There must be none.
    pub(crate) stale: u64,
}

impl Visible {
    pub(crate) fn new() -> anyhow::Result<Self> {
        Ok(Self { commands: Measured::new()?, queries: Measured::new()?, stale: 0 })
    }

    /// Takes in the outcome of a command that was to be sent at `planned_at`.
    pub(crate) fn add(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::NotCommitted { reason } => self.commands.failed(reason.as_str()),
            Outcome::Committed { command, query } => {
                self.commands.answered(*command);
                match query {
                    Ok(Shown { after, fresh: true }) => self.queries.answered(*after),
                    Ok(_) => self.stale += 1,
                    Err(reason) => self.queries.failed(reason.as_str()),
                }
            }
        }
    }
}

/// What came of one command and its query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The command failed, for this reason.
    NotCommitted {
        /// In one word.
        reason: String,
    },
    /// There is a receipt.
    Committed {
        /// How long after the planned moment it came.
        command: Duration,
        /// The answer to the query, or why it failed.
        query: Result<Shown, String>,
    },
}

impl Outcome {
    /// Why the command or its query failed, if one did.
    pub(crate) fn failure(&self) -> Option<&str> {
        match self {
            Self::NotCommitted { reason } | Self::Committed { query: Err(reason), .. } => Some(reason),
            Self::Committed { .. } => None,
        }
    }
}

/// An answer to a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    /// How long after the receipt it came.
    pub(crate) after: Duration,
    /// Whether it shows the command.
    pub(crate) fresh: bool,
}

impl Both {
    pub(crate) fn new(link: &Connections) -> Self {
        Self {
            commands: CommandServiceClient::new(link.commands.clone()),
            queries: QueryServiceClient::new(link.queries.clone()),
        }
    }

    /// Deposits into an account and asks for it.
    pub(crate) async fn deposit_and_ask(
        &mut self,
        workload: &Workload,
        account_id: String,
        query: Query,
        planned_at: Instant,
    ) -> Outcome {
        let request = with_deadline(workload.deposit(account_id.clone()));
        let receipt = match self.commands.deposit(request).await {
            Ok(answer) => answer.into_inner().receipt.unwrap_or_default(),
            Err(status) => return Outcome::NotCommitted { reason: reason(&status) },
        };
        let committed_at = Instant::now();
        let shown = match query {
            Query::Account => self.shows_account(account_id, &receipt).await,
            Query::Entries => self.shows_entry(account_id, &receipt).await,
        };
        let query = shown.map(|fresh| Shown { after: committed_at.elapsed(), fresh }).map_err(|status| reason(&status));
        Outcome::Committed { command: committed_at - planned_at, query }
    }

    async fn shows_account(&mut self, account_id: String, receipt: &Receipt) -> Result<bool, Status> {
        let request = GetAccountRequest { account_id, consistency: at_least_as_fresh(receipt_token(receipt)) };
        let answer = self.queries.get_account(with_deadline(request)).await?.into_inner();
        let wanted = version_of(receipt);
        Ok(wanted > 0 && answer.account.is_some_and(|account| account.version >= wanted))
    }

    async fn shows_entry(&mut self, account_id: String, receipt: &Receipt) -> Result<bool, Status> {
        let consistency = at_least_as_fresh(receipt_token(receipt));
        let request = ListEntriesRequest { account_id, page_size: 0, page_token: String::new(), consistency };
        let answer = self.queries.list_entries(with_deadline(request)).await?.into_inner();
        // A page holds as many of the newest entries as lanes may write at once to one account, unless someone else
        // writes too.
        let wanted = version_of(receipt);
        let oldest = answer.entries.last().map_or(i64::MAX, |entry| entry.version);
        Ok(wanted > 0 && (wanted < oldest || answer.entries.iter().any(|entry| entry.request_id == receipt.request_id)))
    }
}
