//! Telling others of appends.

use std::time::Duration;

use tokio::{sync::watch, time::Instant};

use super::{CHANNEL, RECONNECT_DELAY, SideLine};
use crate::wire::Wire;

const NOTIFY: &str = include_str!("../../queries/notify.sql");

/// Appends that come closer together than this are told of together.
const NOTIFY_INTERVAL: Duration = Duration::from_millis(1);

/// Nobody can append any more.
struct Over;

/// Tells of the newest position whenever there is one, until nobody can append any more.
pub(super) async fn run(line: SideLine, mut appended: watch::Receiver<i64>) {
    while line.with(async |wire| tell(&line, wire, &mut appended).await).await.is_none() {
        tracing::debug!("the connection that tells others of events ended");
        tokio::time::sleep(RECONNECT_DELAY).await;
    }
}

/// Tells until the connection fails, or all is over.
async fn tell(line: &SideLine, wire: &Wire, appended: &mut watch::Receiver<i64>) -> Option<Over> {
    // It holds no data: nobody needs to wait for the disk.
    line.answer(wire.client.batch_execute("SET synchronous_commit = off")).await?;
    let statement = line.answer(wire.client.prepare(NOTIFY)).await?;
    loop {
        let (last, told) = (appended.borrow_and_update().to_string(), Instant::now());
        line.answer(async { wire.client.query(&statement, &[&CHANNEL, &last]).await }).await?;
        tokio::time::sleep_until(told + NOTIFY_INTERVAL).await;
        if appended.changed().await.is_err() {
            return Some(Over);
        }
    }
}
