//! Before the measurement: connections and accounts.

use anyhow::{Context, anyhow, bail};
use diptych_proto::ledger::command::v1::{
    ExecuteCommandsRequest, command_service_client::CommandServiceClient, execute_commands_request::Command,
    execute_commands_response,
};
use futures::stream;
use tonic::transport::Channel;

use super::workload::Workload;
use crate::client::{connect, failure::Failure, tokens::Tokens, tokens::token_of};

/// Connections, used in turn.
#[derive(Debug)]
pub(crate) struct Channels {
    channels: Vec<Channel>,
}

impl Channels {
    /// Opens so many connections.
    pub(crate) async fn open(url: &str, count: u64) -> anyhow::Result<Self> {
        let mut channels = Vec::new();
        for _ in 0..count.max(1) {
            channels.push(connect(url).await?);
        }
        Ok(Self { channels })
    }

    /// So many clients, spread over the connections.
    pub(crate) fn clients<C>(&self, count: u64, new: impl Fn(Channel) -> C) -> anyhow::Result<Vec<C>> {
        Ok(self.channels.iter().cycle().take(usize::try_from(count)?).map(|channel| new(channel.clone())).collect())
    }

    /// The first of them.
    pub(crate) fn first(&self) -> anyhow::Result<Channel> {
        self.channels.first().cloned().ok_or_else(|| anyhow!("there is no connection"))
    }

    /// All of them.
    pub(crate) fn all(&self) -> &[Channel] {
        &self.channels
    }
}

/// Opens the accounts of the workload; returns tokens with which a query sees all of them.
pub(crate) async fn open_accounts(channels: &Channels, workload: &Workload) -> anyhow::Result<Vec<String>> {
    let openings: Vec<_> = workload.accounts().iter().map(|account_id| workload.opening(account_id)).collect();
    let mut unanswered = openings.len();
    let requests =
        openings.into_iter().map(|open| ExecuteCommandsRequest { command: Some(Command::OpenAccount(open)) });
    let mut client = CommandServiceClient::new(channels.first()?);
    let call = client.execute_commands(stream::iter(requests)).await.context("cannot open the accounts")?;
    let mut answers = call.into_inner();
    let mut tokens = Tokens::default();
    while let Some(answer) = answers.message().await.context("cannot open the accounts")? {
        match answer.result {
            Some(execute_commands_response::Result::Receipt(receipt)) => tokens.add(token_of(&receipt))?,
            Some(execute_commands_response::Result::Error(status)) => {
                let failure = Failure::from(&status);
                bail!("cannot open an account: {}: {}", failure.reason, failure.message);
            }
            None => bail!("cannot open an account: the answer is empty"),
        }
        unanswered = unanswered.saturating_sub(1);
    }
    if unanswered > 0 {
        bail!("cannot open the accounts: {unanswered} commands were not answered");
    }
    Ok(tokens.texts())
}
