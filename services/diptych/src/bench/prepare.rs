//! Before the measurement: connections and accounts.

use std::time::Duration;

use anyhow::{anyhow, bail};
use diptych_proto::ledger::command::v1::{
    ExecuteCommandsRequest, ExecuteCommandsResponse, OpenAccountRequest, command_service_client::CommandServiceClient,
    execute_commands_request::Command, execute_commands_response,
};
use diptych_runtime::{Backoff, pause};
use futures::stream;
use tokio::time::Instant;
use tonic::{Status, Streaming};

use super::workload::Workload;
use crate::client::{
    Connection, Connections, RequiredServices, Target, call_error::CallError, tokens::JoinedTokens,
    tokens::receipt_token,
};

/// How long to go on while no account can be opened.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Connections, used in turn.
#[derive(Debug)]
pub(crate) struct Channels {
    links: Vec<Connections>,
}

impl Channels {
    /// Opens so many connections.
    pub(crate) async fn open(target: &Target, count: u64, required: RequiredServices) -> anyhow::Result<Self> {
        Ok(Self { links: target.connect_many(count, required).await? })
    }

    /// So many clients, spread over the connections.
    pub(crate) fn clients<C>(&self, count: u64, new: impl Fn(&Connections) -> C) -> anyhow::Result<Vec<C>> {
        Ok(self.links.iter().cycle().take(usize::try_from(count)?).map(new).collect())
    }

    /// The first of them.
    pub(crate) fn first(&self) -> anyhow::Result<Connections> {
        self.links.first().cloned().ok_or_else(|| anyhow!("there is no connection"))
    }

    /// All of them.
    pub(crate) fn all(&self) -> &[Connections] {
        &self.links
    }
}

/// Opens the accounts of the workload; returns tokens with which a query sees all of them. What fails and may pass is
/// tried again.
pub(crate) async fn open_accounts(channels: &Channels, workload: &Workload) -> anyhow::Result<Vec<String>> {
    let mut opening = Opening {
        commands: workload.accounts().iter().map(|account_id| workload.opening(account_id)).collect(),
        tokens: JoinedTokens::default(),
    };
    let mut client = CommandServiceClient::new(channels.first()?.commands);
    let mut backoff = Backoff::new(PAUSE_MIN, PAUSE_MAX);
    let mut opened_at = Instant::now();
    while !opening.commands.is_empty() {
        let left = opening.commands.len();
        let Err(failure) = opening.over_one_stream(&mut client).await else { continue };
        if opening.commands.len() < left {
            opened_at = Instant::now();
            backoff.reset();
        }
        if failure.is_final() || !failure.is_retryable_query() || opened_at.elapsed() >= PATIENCE {
            bail!("cannot open the accounts: {}: {}", failure.reason, failure.message);
        }
        pause(backoff.next_delay()).await;
    }
    Ok(opening.tokens.texts())
}

/// Accounts that are being opened.
struct Opening {
    /// What has no receipt yet. Sending one of them again is safe: its request id stays the same.
    commands: Vec<OpenAccountRequest>,
    tokens: JoinedTokens,
}

impl Opening {
    /// Sends what has no receipt yet, once. Fails with the last failure where something stays without.
    async fn over_one_stream(&mut self, client: &mut CommandServiceClient<Connection>) -> Result<(), CallError> {
        let commands = std::mem::take(&mut self.commands);
        let requests = commands
            .clone()
            .into_iter()
            .map(|open| ExecuteCommandsRequest { command: Some(Command::OpenAccount(open)) });
        let mut unanswered = commands.into_iter();
        let ended = match client.execute_commands(stream::iter(requests)).await {
            Ok(call) => self.take(call.into_inner(), &mut unanswered).await,
            Err(status) => Err(CallError::from(&status)),
        };
        let before = self.commands.len();
        self.commands.extend(unanswered);
        match ended {
            Ok(()) if self.commands.len() > before => {
                Err(CallError::from(&Status::unavailable("the server ended the stream")))
            }
            ended => ended,
        }
    }

    async fn take(
        &mut self,
        mut answers: Streaming<ExecuteCommandsResponse>,
        unanswered: &mut impl Iterator<Item = OpenAccountRequest>,
    ) -> Result<(), CallError> {
        let mut last = Ok(());
        while let Some(answer) = answers.message().await.map_err(|status| CallError::from(&status))? {
            let Some(command) = unanswered.next() else { break };
            let failure = match answer.result {
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
            last = Err(failure);
        }
        last
    }
}
