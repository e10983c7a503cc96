//! Being told of others' appends.

use std::{sync::Arc, time::Duration};

use super::{CHANNEL, Known, RECONNECT_DELAY, SideLine};
use crate::wire::Wire;

/// How often a silent connection is asked whether it still works. A server that stands still tells nobody.
const TEST_INTERVAL: Duration = Duration::from_secs(2);

/// Listens, and connects again where that ends. Never returns.
pub(super) async fn run(mut line: SideLine, known: Arc<Known>) {
    let heard = Arc::clone(&known);
    line.connector = line.connector.listening(move |notification| {
        // Whoever may connect may notify, so anything can come.
        match notification.payload().parse() {
            Ok(position) if notification.channel() == CHANNEL => heard.raise(position),
            _ => {}
        }
    });
    loop {
        let _ended: Option<()> = line.with(async |wire| listen(&line, wire, &known).await).await;
        known.set_told(false);
        tracing::debug!("the connection that listens for events ended");
        tokio::time::sleep(RECONNECT_DELAY).await;
    }
}

/// Listens until the connection fails.
async fn listen(line: &SideLine, wire: &Wire, known: &Known) -> Option<()> {
    line.answer(wire.client.batch_execute(&format!("LISTEN {CHANNEL}"))).await?;
    known.set_told(true);
    loop {
        tokio::time::sleep(TEST_INTERVAL).await;
        line.answer(wire.client.batch_execute("SELECT")).await?;
    }
}
