//! Opens the accounts of a benchmark, before it starts.

use std::time::Duration;

use anyhow::bail;
use diptych_proto::ledger::{
    command::v1::{
        ExecuteCommandsRequest, ExecuteCommandsResponse, OpenAccountRequest,
        command_service_client::CommandServiceClient, execute_commands_request::Command, execute_commands_response,
    },
    query::v1::{GetAccountRequest, query_service_client::QueryServiceClient},
};
use diptych_runtime::{Backoff, pause};
use futures::stream;
use tokio::time::Instant;
use tonic::{Status, Streaming};

use super::{connection_pool::ConnectionPool, workload::Workload};
use crate::client::{
    Connection,
    call_error::CallError,
    retry::QueryRetry,
    tokens::{JoinedTokens, at_least_as_fresh, receipt_token},
};

/// The longest time without a newly opened account, and the longest wait until the accounts can be read.
const TIMEOUT: Duration = Duration::from_secs(30);
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Opens the accounts of the workload, and retries after temporary errors. Returns tokens that together cover all of
/// them.
///
/// # Errors
/// When an error is permanent, or no account could be opened for 30 seconds.
pub(crate) async fn open_accounts(pool: &ConnectionPool, workload: &Workload) -> anyhow::Result<Vec<String>> {
    let mut pending = PendingAccounts {
        commands: workload.account_ids().iter().map(|account_id| workload.open_account(account_id)).collect(),
        tokens: JoinedTokens::default(),
    };
    let mut client = CommandServiceClient::new(pool.first()?.commands);
    let mut backoff = Backoff::new(PAUSE_MIN, PAUSE_MAX);
    let mut opened_at = Instant::now();
    while !pending.commands.is_empty() {
        let count_before = pending.commands.len();
        let Err(error) = pending.send_all(&mut client).await else { continue };
        if pending.commands.len() < count_before {
            opened_at = Instant::now();
            backoff.reset();
        }
        if error.is_final() || !error.is_retryable_query() || opened_at.elapsed() >= TIMEOUT {
            bail!("cannot open the accounts: {}: {}", error.reason, error.message);
        }
        pause(backoff.next_delay()).await;
    }
    Ok(pending.tokens.texts())
}

/// Waits until a query with these tokens is answered: queries that are measured must not wait for the new accounts.
///
/// # Errors
/// When a query fails for good, or for 30 seconds.
pub(crate) async fn wait_until_readable(
    pool: &ConnectionPool,
    workload: &Workload,
    tokens: &[String],
) -> anyhow::Result<()> {
    let client = QueryServiceClient::new(pool.first()?.queries);
    for token in tokens {
        let request = GetAccountRequest { account_id: workload.account_id(0), consistency: at_least_as_fresh(token) };
        let call = |request| {
            let mut client = client.clone();
            async move { client.get_account(request).await }
        };
        QueryRetry::new(TIMEOUT).call(request, call).await?;
    }
    Ok(())
}

/// Accounts that are being opened.
struct PendingAccounts {
    /// Commands without a receipt. Each keeps its request id, so it can be sent again.
    commands: Vec<OpenAccountRequest>,
    tokens: JoinedTokens,
}

impl PendingAccounts {
    /// Sends all commands without a receipt once, over one stream. Returns the last error if any command still has no
    /// receipt.
    async fn send_all(&mut self, client: &mut CommandServiceClient<Connection>) -> Result<(), CallError> {
        let commands = std::mem::take(&mut self.commands);
        let requests = commands
            .clone()
            .into_iter()
            .map(|open| ExecuteCommandsRequest { command: Some(Command::OpenAccount(open)) });
        let mut unanswered = commands.into_iter();
        let result = match client.execute_commands(stream::iter(requests)).await {
            Ok(call) => self.read_answers(call.into_inner(), &mut unanswered).await,
            Err(status) => Err(CallError::from(&status)),
        };
        let failed_count = self.commands.len();
        self.commands.extend(unanswered);
        match result {
            Ok(()) if self.commands.len() > failed_count => {
                Err(CallError::from(&Status::unavailable("the server ended the stream")))
            }
            result => result,
        }
    }

    async fn read_answers(
        &mut self,
        mut answers: Streaming<ExecuteCommandsResponse>,
        unanswered: &mut impl Iterator<Item = OpenAccountRequest>,
    ) -> Result<(), CallError> {
        let mut result = Ok(());
        while let Some(answer) = answers.message().await.map_err(|status| CallError::from(&status))? {
            let Some(command) = unanswered.next() else { break };
            let error = match answer.result {
                Some(execute_commands_response::Result::Receipt(receipt)) => {
                    match self.tokens.add(receipt_token(&receipt)) {
                        Ok(()) => continue,
                        Err(error) => CallError::from(&Status::data_loss(format!("{error:#}"))),
                    }
                }
                Some(execute_commands_response::Result::Error(status)) => CallError::from(&status),
                None => CallError::from(&Status::data_loss("the answer is empty")),
            };
            self.commands.push(command);
            result = Err(error);
        }
        result
    }
}
