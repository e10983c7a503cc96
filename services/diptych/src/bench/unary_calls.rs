//! Unary calls of one kind, by concurrent callers.

use diptych_proto::{
    diptych::v1::Receipt,
    ledger::{
        command::v1::{command_service_client::CommandServiceClient, execute_commands_request::Command},
        query::v1::{GetAccountRequest, query_service_client::QueryServiceClient},
    },
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use super::{
    concurrent_callers,
    connection_pool::ConnectionPool,
    measurement::Measurement,
    pacer::Pacer,
    workload::{Workload, failure_reason, with_deadline},
};
use crate::client::Connection;

/// Calls Deposit, or Transfer, until the pacer ends, and passes on every receipt.
pub(super) async fn commands(
    pool: &ConnectionPool,
    workload: &Workload,
    in_flight: u64,
    pacer: &Pacer,
    on_receipt: &dyn Fn(Receipt),
) -> anyhow::Result<Measurement> {
    let clients = pool.clients(in_flight, |connections| CommandServiceClient::new(connections.commands.clone()))?;
    concurrent_callers::run(clients, pacer, |mut client| {
        async move |call| {
            let receipt = match workload.command(call) {
                Command::Transfer(transfer) => {
                    client.transfer(with_deadline(transfer)).await.map(|answer| answer.into_inner().receipt)
                }
                Command::Deposit(deposit) => {
                    client.deposit(with_deadline(deposit)).await.map(|answer| answer.into_inner().receipt)
                }
                _ => Ok(None),
            };
            receipt.map_err(|status| failure_reason(&status))?.into_iter().for_each(on_receipt);
            Ok(())
        }
    })
    .await
}

/// Calls GetAccount until the pacer ends.
pub(super) async fn get_accounts(
    pool: &ConnectionPool,
    workload: &Workload,
    in_flight: u64,
    pacer: &Pacer,
) -> anyhow::Result<Measurement> {
    let clients = pool.clients(in_flight, |connections| QueryServiceClient::new(connections.queries.clone()))?;
    concurrent_callers::run(clients, pacer, |mut client| {
        async move |call| {
            let request = GetAccountRequest { account_id: workload.account_id(call), consistency: None };
            client.get_account(with_deadline(request)).await.map(drop).map_err(|status| failure_reason(&status))
        }
    })
    .await
}

/// Calls an rpc of the command service that does nothing (grpc.health.v1.Health/Check) until the pacer ends.
pub(super) async fn empty_commands(
    pool: &ConnectionPool,
    in_flight: u64,
    pacer: &Pacer,
) -> anyhow::Result<Measurement> {
    let clients = pool.clients(in_flight, |connections| HealthClient::new(connections.commands.clone()))?;
    empty_calls(clients, pacer).await
}

/// Calls an rpc of the query service that does nothing (grpc.health.v1.Health/Check) until the pacer ends.
pub(super) async fn empty_queries(pool: &ConnectionPool, in_flight: u64, pacer: &Pacer) -> anyhow::Result<Measurement> {
    let clients = pool.clients(in_flight, |connections| HealthClient::new(connections.queries.clone()))?;
    empty_calls(clients, pacer).await
}

async fn empty_calls(clients: Vec<HealthClient<Connection>>, pacer: &Pacer) -> anyhow::Result<Measurement> {
    concurrent_callers::run(clients, pacer, |mut client| {
        async move |_| {
            let request = HealthCheckRequest { service: String::new() };
            client.check(with_deadline(request)).await.map(drop).map_err(|status| failure_reason(&status))
        }
    })
    .await
}
