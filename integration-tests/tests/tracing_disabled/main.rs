//! Without a configured OTLP endpoint no span is created, and trace contexts are passed on unchanged.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic fails the test")]

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
use installation::{EmbeddedInstallation, get_account, serve};
use tracing::{Metadata, Subscriber, span};

const COMMANDS: usize = 20;

/// Counts the spans that are created for traces.
#[derive(Clone, Default)]
struct SpanCounter(Arc<AtomicU64>);

impl Subscriber for SpanCounter {
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
async fn no_span_is_created_and_the_callers_context_is_passed_on() {
    let counter = SpanCounter::default();
    let _default = tracing::subscriber::set_default(counter.clone());
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
    assert_eq!(counter.0.load(Ordering::SeqCst), 0, "spans were created");
    tasks.shutdown().begin();
    tasks.finish(Duration::from_secs(20)).await.unwrap();
}

/// Counts the records with this trace context on the log, until there are as many as wanted.
async fn published_with(installation: &EmbeddedInstallation, traceparent: &str, wanted: usize) -> usize {
    let mut consumer = installation.stores.log.join("observer", "observer-1").await.unwrap();
    let mut found = 0;
    while found < wanted {
        match consumer.poll(100, Duration::from_secs(1)).await.unwrap() {
            LogSignal::Assigned(assigned) => {
                for assignment in assigned {
                    consumer.seek(assignment.partition, Offset(0)).await.unwrap();
                }
            }
            LogSignal::Records(records) => {
                let has_context = |entry: &LogEntry| match entry {
                    LogEntry::Event(event) => event.metadata.traceparent.as_deref() == Some(traceparent),
                    LogEntry::Watermark(..) => false,
                };
                found += records.iter().filter(|record| has_context(&record.entry)).count();
            }
            LogSignal::Revoked(..) | LogSignal::Idle => {}
        }
    }
    found
}
