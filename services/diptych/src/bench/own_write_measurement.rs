//! The measurement of commands and the queries of their own writes.

use std::{cell::RefCell, time::Duration};

use tokio::time::Instant;

use super::{
    concurrent_callers,
    connection_pool::ConnectionPool,
    measurement::Measurement,
    own_write_client::{OwnWriteClient, OwnWriteResult, Query, QueryAnswer},
    pacer::Pacer,
    workload::Workload,
};

/// The measurement of commands, each followed by a query with its token.
#[derive(Clone, Debug)]
pub(crate) struct OwnWriteMeasurement {
    /// From when a command was due to its receipt.
    pub(crate) commands: Measurement,
    /// From the receipt of a command to the answer that includes it.
    pub(crate) queries: Measurement,
    /// Answers that did not include the command of their token. G6 forbids them.
    pub(crate) stale_count: u64,
}

impl OwnWriteMeasurement {
    /// Creates an empty measurement.
    pub(crate) fn new() -> anyhow::Result<Self> {
        Ok(Self { commands: Measurement::new()?, queries: Measurement::new()?, stale_count: 0 })
    }

    /// Records the result of one command and its query.
    pub(crate) fn record(&mut self, result: &OwnWriteResult) {
        match result {
            OwnWriteResult::CommandFailed { reason } => self.commands.record_failure(reason.as_str()),
            OwnWriteResult::Committed { receipt_latency, query } => {
                self.commands.record_success(*receipt_latency);
                match query {
                    Ok(QueryAnswer { after_receipt, is_fresh: true }) => self.queries.record_success(*after_receipt),
                    Ok(_) => self.stale_count += 1,
                    Err(reason) => self.queries.record_failure(reason.as_str()),
                }
            }
        }
    }

    /// Adds to the time during which calls were made.
    pub(crate) fn add_elapsed(&mut self, elapsed: Duration) {
        self.commands.add_elapsed(elapsed);
        self.queries.add_elapsed(elapsed);
    }
}

/// Sends pairs of a deposit and a query with its token until the pacer ends, `in_flight` pairs at a time.
pub(crate) async fn run_pairs(
    pool: &ConnectionPool,
    workload: &Workload,
    in_flight: u64,
    query: Query,
    pacer: &Pacer,
) -> anyhow::Result<OwnWriteMeasurement> {
    let measurement = RefCell::new(OwnWriteMeasurement::new()?);
    let clients = pool.clients(in_flight, OwnWriteClient::new)?;
    let pairs = concurrent_callers::run(clients, pacer, |mut client| {
        let measurement = &measurement;
        async move |call| {
            let account_id = workload.account_id(call);
            let result = client.deposit_and_query(workload, account_id, query, Instant::now()).await;
            measurement.borrow_mut().record(&result);
            result.failure().map_or(Ok(()), |reason| Err(reason.to_owned()))
        }
    })
    .await?;
    let mut measurement = measurement.into_inner();
    measurement.add_elapsed(pairs.elapsed());
    Ok(measurement)
}
