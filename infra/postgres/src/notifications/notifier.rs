//! The task that notifies other handles of appends.

use std::time::Duration;

use tokio::{sync::watch, time::Instant};

use super::auxiliary::{AuxiliaryConnection, CHANNEL};
use crate::driver::DriverConnection;

const NOTIFY: &str = include_str!("../../queries/notify.sql");

/// The least time between two notifications. Appends within it share one.
const NOTIFY_INTERVAL: Duration = Duration::from_millis(1);

/// The handle is dropped, so there are no more appends.
struct StoreClosed;

/// Sends the newest position whenever it changes, until the handle is dropped.
pub(super) async fn run(auxiliary: AuxiliaryConnection, mut appended: watch::Receiver<i64>) {
    while auxiliary.run(async |connection| notify(&auxiliary, connection, &mut appended).await).await.is_none() {
        tracing::debug!("the connection that sends notifications ended");
        AuxiliaryConnection::delay_reconnect().await;
    }
}

/// Sends notifications until the connection fails, or the handle is dropped.
async fn notify(
    auxiliary: &AuxiliaryConnection,
    connection: &DriverConnection,
    appended: &mut watch::Receiver<i64>,
) -> Option<StoreClosed> {
    // It writes no data, so its commits need not wait for the disk.
    auxiliary.answer(connection.client.batch_execute("SET synchronous_commit = off")).await?;
    let statement = auxiliary.answer(connection.client.prepare(NOTIFY)).await?;
    loop {
        let (last, sent_at) = (appended.borrow_and_update().to_string(), Instant::now());
        auxiliary.answer(async { connection.client.query(&statement, &[&CHANNEL, &last]).await }).await?;
        tokio::time::sleep_until(sent_at + NOTIFY_INTERVAL).await;
        if appended.changed().await.is_err() {
            return Some(StoreClosed);
        }
    }
}
