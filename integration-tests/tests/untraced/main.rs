//! No endpoint is configured: no span is made anywhere, and contexts travel as callers sent them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic here is the report of a test")]

#[path = "../traces/installation.rs"]
mod installation;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use diptych_integration_tests::spans::Caller;
use diptych_kernel::{
    Position,
    ports::{Consumer, EventLog, EventStore, LogEntry, LogSignal, Offset},
};
use diptych_runtime::{Shutdown, Tasks, trace};
use installation::{Installation, get_account, serve};
use tracing::{Metadata, Subscriber, span};

const COMMANDS: usize = 20;

/// Takes every span of a trace that somebody makes, and counts them.
#[derive(Clone, Default)]
struct Counting(Arc<AtomicU64>);

impl Subscriber for Counting {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_span() && metadata.target() == trace::TARGET
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(self.0.fetch_add(1, Ordering::SeqCst) + 1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, _: &tracing::Event<'_>) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

#[tokio::test]
async fn no_span_is_made_and_the_callers_context_goes_all_the_way() {
    let counting = Counting::default();
    let _here = tracing::subscriber::set_default(counting.clone());
    let tasks = Tasks::new(Shutdown::new());
    let installation = serve(&tasks).await;
    let (account_id, caller) = (installation.account().await, Caller::sampled());
    for _ in 0..COMMANDS {
        installation.deposit(&account_id, &caller.headers()).await;
    }
    while installation.queries().get_account(caller.request(get_account(&account_id))).await.is_err() {
        tokio::task::yield_now().await;
    }

    let rows = installation.stores.events.read_after(Position::START, 100).await.unwrap().events;
    let stored = rows.iter().filter(|row| row.metadata.traceparent.as_deref() == Some(caller.traceparent.as_str()));
    assert_eq!(stored.count(), COMMANDS);
    assert_eq!(published_with(&installation, &caller.traceparent, COMMANDS).await, COMMANDS);
    assert_eq!(counting.0.load(Ordering::SeqCst), 0, "spans were made");
    tasks.shutdown().begin();
    tasks.finish(Duration::from_secs(20)).await.unwrap();
}

/// How many records on the log have this context, once there are so many.
async fn published_with(installation: &Installation, traceparent: &str, wanted: usize) -> usize {
    let mut consumer = installation.stores.log.join("onlooker", "onlooker-1").await.unwrap();
    let mut found = 0;
    while found < wanted {
        match consumer.poll(100, Duration::from_secs(1)).await.unwrap() {
            LogSignal::Assigned(assigned) => {
                for given in assigned {
                    consumer.seek(given.partition, Offset(0)).await.unwrap();
                }
            }
            LogSignal::Records(records) => {
                let has_it = |entry: &LogEntry| match entry {
                    LogEntry::Event(event) => event.metadata.traceparent.as_deref() == Some(traceparent),
                    LogEntry::Watermark(..) => false,
                };
                found += records.iter().filter(|record| has_it(&record.entry)).count();
            }
            LogSignal::Revoked(..) | LogSignal::Idle => {}
        }
    }
    found
}
