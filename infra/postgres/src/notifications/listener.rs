//! The task that listens for the notifications of other handles.

use std::{sync::Arc, time::Duration};

use super::{
    auxiliary::{AuxiliaryConnection, CHANNEL},
    tail::TailState,
};
use crate::driver::DriverConnection;

/// Interval of the tests of an idle connection: a server that hangs does not close it.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2);

/// Listens, and reconnects when the connection ends. Never returns.
pub(super) async fn run(mut auxiliary: AuxiliaryConnection, tail: Arc<TailState>) {
    let notified = Arc::clone(&tail);
    auxiliary.connections = auxiliary.connections.with_notifications(move |notification| {
        // Every client of the database may notify, so any payload is possible.
        match notification.payload().parse() {
            Ok(position) if notification.channel() == CHANNEL => notified.advance(position),
            _ => {}
        }
    });
    loop {
        let _ended: Option<()> = auxiliary.run(async |connection| listen(&auxiliary, connection, &tail).await).await;
        tail.set_listening(false);
        tracing::debug!("the connection that listens for notifications ended");
        AuxiliaryConnection::delay_reconnect().await;
    }
}

/// Listens until the connection fails.
async fn listen(auxiliary: &AuxiliaryConnection, connection: &DriverConnection, tail: &TailState) -> Option<()> {
    auxiliary.answer(connection.client.batch_execute(&format!("LISTEN {CHANNEL}"))).await?;
    tail.set_listening(true);
    loop {
        tokio::time::sleep(KEEPALIVE_INTERVAL).await;
        auxiliary.answer(connection.client.batch_execute("SELECT")).await?;
    }
}
