//! A client that sends a command and then queries its own write with the token of the receipt.

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

use super::workload::{Workload, failure_reason, receipt_version, with_deadline};
use crate::client::{
    Connection, Connections,
    tokens::{at_least_as_fresh, receipt_token},
};

/// The query after each command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Query {
    /// GetAccount: its answer must have the version of the command.
    Account,
    /// ListEntries: its first page must have the entry of the command.
    Entries,
}

/// A client of the command service and the query service.
#[derive(Clone, Debug)]
pub(crate) struct OwnWriteClient {
    commands: CommandServiceClient<Connection>,
    queries: QueryServiceClient<Connection>,
}

/// The result of one command and its query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OwnWriteResult {
    /// The command failed; no query was sent.
    CommandFailed {
        /// The reason, such as OVERLOADED.
        reason: String,
    },
    /// The command has a receipt.
    Committed {
        /// Time from when the command was due to its receipt.
        receipt_latency: Duration,
        /// The answer to the query, or the reason of its failure.
        query: Result<QueryAnswer, String>,
    },
}

/// The answer to a query with the token of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueryAnswer {
    /// Time from the receipt of the command to this answer.
    pub(crate) after_receipt: Duration,
    /// True if the answer includes the command. Otherwise it is stale.
    pub(crate) is_fresh: bool,
}

impl OwnWriteResult {
    /// The reason if the command or its query failed.
    pub(crate) fn failure(&self) -> Option<&str> {
        match self {
            Self::CommandFailed { reason } | Self::Committed { query: Err(reason), .. } => Some(reason),
            Self::Committed { .. } => None,
        }
    }
}

impl OwnWriteClient {
    /// Creates a client on this connection.
    pub(crate) fn new(connections: &Connections) -> Self {
        Self {
            commands: CommandServiceClient::new(connections.commands.clone()),
            queries: QueryServiceClient::new(connections.queries.clone()),
        }
    }

    /// Deposits into an account, then queries it with the token of the receipt.
    pub(crate) async fn deposit_and_query(
        &mut self,
        workload: &Workload,
        account_id: String,
        query: Query,
        due_at: Instant,
    ) -> OwnWriteResult {
        let request = with_deadline(workload.deposit(account_id.clone()));
        let receipt = match self.commands.deposit(request).await {
            Ok(answer) => answer.into_inner().receipt.unwrap_or_default(),
            Err(status) => return OwnWriteResult::CommandFailed { reason: failure_reason(&status) },
        };
        let committed_at = Instant::now();
        let is_fresh = match query {
            Query::Account => self.account_includes(account_id, &receipt).await,
            Query::Entries => self.entries_include(account_id, &receipt).await,
        };
        let query = is_fresh
            .map(|is_fresh| QueryAnswer { after_receipt: committed_at.elapsed(), is_fresh })
            .map_err(|status| failure_reason(&status));
        OwnWriteResult::Committed { receipt_latency: committed_at - due_at, query }
    }

    async fn account_includes(&mut self, account_id: String, receipt: &Receipt) -> Result<bool, Status> {
        let request = GetAccountRequest { account_id, consistency: at_least_as_fresh(receipt_token(receipt)) };
        let answer = self.queries.get_account(with_deadline(request)).await?.into_inner();
        let version = receipt_version(receipt);
        Ok(version > 0 && answer.account.is_some_and(|account| account.version >= version))
    }

    async fn entries_include(&mut self, account_id: String, receipt: &Receipt) -> Result<bool, Status> {
        let consistency = at_least_as_fresh(receipt_token(receipt));
        let request = ListEntriesRequest { account_id, page_size: 0, page_token: String::new(), consistency };
        let answer = self.queries.list_entries(with_deadline(request)).await?.into_inner();
        // Other callers may have added more entries than a page holds; then the entry is on a later page.
        let version = receipt_version(receipt);
        let oldest = answer.entries.last().map_or(i64::MAX, |entry| entry.version);
        let is_on_page = || answer.entries.iter().any(|entry| entry.request_id == receipt.request_id);
        Ok(version > 0 && (version < oldest || is_on_page()))
    }
}
