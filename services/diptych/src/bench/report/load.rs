//! The load of a report: deposits into accounts of its own, by unary calls or by stream.

use std::{cell::Cell, time::Duration};

use diptych_kernel::StreamId;

use super::args::{ACCOUNTS, LoadArgs};
use crate::{
    bench::{
        command_stream,
        connection_pool::ConnectionPool,
        latest_receipts::{LatestReceipts, VisibleEvents},
        measurement::Measurement,
        open_accounts::{open_accounts, wait_until_readable},
        pacer::Pacer,
        unary_calls::commands,
        workload::Workload,
    },
    client::RequiredServices,
};

/// Events that commands by stream have just written, one for each command.
#[derive(Clone, Debug, Default)]
#[cfg_attr(not(feature = "servers"), allow(dead_code, reason = "only the bare INSERT reads them"))]
pub(super) struct WrittenEvents {
    pub(super) stream_ids: Vec<StreamId>,
    pub(super) events_count: u64,
}

/// The connections and parameters of all measurements.
#[derive(Debug)]
pub(super) struct Load {
    pub(super) pool: ConnectionPool,
    pub(super) in_flight: u64,
    pub(super) stream_in_flight: u64,
    /// Duration of each measurement.
    pub(super) duration: Duration,
    pub(super) warm_up: Duration,
    /// Stale answers while waiting for commands to be visible.
    stale_count: Cell<u64>,
}

impl Load {
    /// Connects to the server.
    pub(super) async fn connect(args: &LoadArgs) -> anyhow::Result<Self> {
        let connection = &args.connection;
        Ok(Self {
            pool: ConnectionPool::open(
                &connection.target,
                connection.connections,
                RequiredServices::CommandsAndQueries,
            )
            .await?,
            in_flight: args.in_flight,
            stream_in_flight: args.stream_in_flight,
            duration: Duration::from_secs(args.seconds.into()),
            warm_up: connection.warm_up(),
            stale_count: Cell::new(0),
        })
    }

    /// Opens new accounts, and waits until they can be read.
    pub(super) async fn open_accounts(&self, count: u64) -> anyhow::Result<Workload> {
        let workload = Workload::new(count);
        let tokens = open_accounts(&self.pool, &workload).await?;
        wait_until_readable(&self.pool, &workload, &tokens).await?;
        Ok(workload)
    }

    /// Opens the usual number of new accounts.
    pub(super) async fn open_many_accounts(&self) -> anyhow::Result<Workload> {
        self.open_accounts(ACCOUNTS).await
    }

    /// Deposits by unary calls, then waits until all are visible, so that no backlog slows down what is measured next.
    pub(super) async fn deposit_unary(&self, workload: &Workload, duration: Duration) -> anyhow::Result<Measurement> {
        let receipts = LatestReceipts::default();
        let pacer = Pacer::for_duration(duration);
        let measurement =
            commands(&self.pool, workload, self.in_flight, &pacer, &|receipt| receipts.record(receipt)).await?;
        self.wait_until_visible(&receipts).await?;
        Ok(measurement)
    }

    /// Deposits by stream, then waits until all are visible.
    pub(super) async fn deposit_by_stream(
        &self,
        workload: &Workload,
        duration: Duration,
    ) -> anyhow::Result<(Measurement, WrittenEvents)> {
        let (measurement, receipts) = self.send_by_stream(workload, duration).await?;
        self.wait_until_visible(&receipts).await?;
        let written = WrittenEvents { stream_ids: receipts.stream_ids(), events_count: measurement.success_count() };
        Ok((measurement, written))
    }

    /// Deposits by stream; does not wait until they are visible.
    pub(super) async fn send_by_stream(
        &self,
        workload: &Workload,
        duration: Duration,
    ) -> anyhow::Result<(Measurement, LatestReceipts)> {
        let receipts = LatestReceipts::default();
        let record = |receipt| receipts.record(receipt);
        let pacer = Pacer::for_duration(duration);
        let measurement = command_stream::run(&self.pool, workload, self.stream_in_flight, &pacer, &record).await?;
        Ok((measurement, receipts))
    }

    /// Waits until every command with a receipt is visible.
    ///
    /// # Errors
    /// When that takes longer than a minute and ten times the duration of a measurement.
    pub(super) async fn wait_until_visible(&self, receipts: &LatestReceipts) -> anyhow::Result<VisibleEvents> {
        let timeout = Duration::from_secs(60) + self.duration * 10;
        let visible = receipts.wait_until_visible(&self.pool, timeout).await?;
        self.stale_count.set(self.stale_count.get() + visible.stale_count);
        Ok(visible)
    }

    /// Stale answers so far.
    pub(super) fn stale_count(&self) -> u64 {
        self.stale_count.get()
    }
}
