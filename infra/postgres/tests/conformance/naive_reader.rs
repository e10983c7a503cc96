//! The tests for missed events fail with a naive reader, and pass with the reader of this crate.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use diptych_kernel::{
    ports::EventStore,
    testing::{TestEnv, event_store, with_seed},
};
use diptych_postgres::{
    PostgresEventStore,
    testing::{MissedEventsReport, MissedEventsRun, NaiveReader, delay_commits, find_missed_events},
};
use futures::future::join_all;
use tokio::{sync::Mutex, time::Instant};

use crate::support::{Database, ReturnWhen, SettledStore, test_server_url, with_database};

/// Long enough for writers to overlap, short enough for many batches.
const DELAY_MAX: Duration = Duration::from_millis(4);

const WRITERS: usize = 16;
const READERS: usize = 2;

/// A database with delayed commits.
struct DelayedCommitTestEnv<R> {
    database: Arc<Database>,
    reader: R,
}

impl<H: Send + Sync + 'static, F: Future<Output = H>, R: Fn(Arc<Database>) -> F + Sync> TestEnv
    for DelayedCommitTestEnv<R>
{
    type Handle = H;

    async fn handle(&self) -> Arc<H> {
        Arc::new((self.reader)(Arc::clone(&self.database)).await)
    }

    async fn advance(&self, by: Duration) {
        self.database.advance(by).await;
    }

    async fn timeout<T>(&self, bound: Duration, future: impl Future<Output = T>) -> Option<T> {
        tokio::time::timeout(bound, future).await.ok()
    }
}

async fn delay(database: &Database) {
    delay_commits(&database.config(), DELAY_MAX).await.unwrap();
}

#[test]
fn the_reader_misses_no_event() {
    with_database(|database| async move {
        delay(&database).await;
        let reader = |database: Arc<Database>| async move {
            SettledStore::new(database.open().await, database.connect().await, ReturnWhen::NonEmpty)
        };
        let env = DelayedCommitTestEnv { database, reader };
        with_seed(1, event_store::none_missed(&env, 1, 8, 10)).await;
    });
}

#[test]
fn the_suite_catches_a_naive_reader() {
    let passes = |seed| {
        let run = || {
            with_database(|database| async move {
                delay(&database).await;
                let reader = |database: Arc<Database>| async move { NaiveReader(database.open().await) };
                let env = DelayedCommitTestEnv { database, reader };
                event_store::none_missed(&env, seed, 8, 10).await;
            });
        };
        catch_unwind(AssertUnwindSafe(run)).is_ok()
    };
    if test_server_url().is_some() {
        assert!(!(0..5).all(passes), "the suite passes with a reader that skips uncommitted events");
    }
}

/// A run of the size of `DIPTYCH_MISSED_EVENTS_RUN_SIZE`. Each seed gives another run.
async fn run<S: EventStore>(
    database: &Database,
    seed: u32,
    reader: impl Fn(PostgresEventStore) -> S,
) -> MissedEventsReport {
    // Each run uses dozens of connections, and a server allows a hundred.
    static RUN_LOCK: Mutex<()> = Mutex::const_new(());
    let _guard = RUN_LOCK.lock().await;
    delay(database).await;
    let open = async || Arc::new(reader(database.open().await));
    let writers = join_all((0..WRITERS).map(|_| open())).await;
    let readers = join_all((0..READERS).map(|_| open())).await;
    let size = MissedEventsRun { seed, ..MissedEventsRun::from_env() };
    let started_at = Instant::now();
    let report = find_missed_events(&writers, &readers, &size).await.unwrap();
    println!("{:?}: {report:?}", started_at.elapsed());
    assert!(report.stored >= size.events);
    report
}

#[test]
fn the_run_is_clean() {
    with_database(|database| async move {
        let report = run(&database, 1, |store| store).await;
        assert!(report.is_clean(), "{report:?}");
        assert_eq!(report.delivered, READERS * report.stored);
    });
}

#[test]
fn the_run_catches_a_naive_reader() {
    with_database(|database| async move {
        let mut missed = 0;
        // On a busy machine a reader may lag so far behind that everything is committed when it reads.
        for seed in 1..=5 {
            let report = run(&database, seed, NaiveReader).await;
            missed += report.missed;
            let others = MissedEventsReport { missed: 0, ..report };
            assert!(others.is_clean(), "the run reports other faults than missed events: {others:?}");
            if missed > 0 {
                return;
            }
        }
        panic!("the run passes with a reader that skips uncommitted events");
    });
}
