//! The reader that suggests itself is caught, and the one of this crate is not.

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
    testing::{NaiveReader, NoneMissed, NoneMissedReport, delay_commits, none_missed},
};
use futures::future::join_all;
use tokio::{sync::Mutex, time::Instant};

use crate::support::{Database, Satisfied, Settled, server_url, with_database};

/// Long enough for several writers to overlap, short enough for many batches.
const DELAY_MAX: Duration = Duration::from_millis(4);

const WRITERS: usize = 16;
const READERS: usize = 2;

/// A database where commits take their time.
struct SlowTestEnv<R> {
    database: Arc<Database>,
    reader: R,
}

impl<H: Send + Sync + 'static, F: Future<Output = H>, R: Fn(Arc<Database>) -> F + Sync> TestEnv for SlowTestEnv<R> {
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

async fn slow(database: &Database) {
    delay_commits(&database.config(), DELAY_MAX).await.unwrap();
}

#[test]
fn none_missed_by_the_reader() {
    with_database(|database| async move {
        slow(&database).await;
        let reader = |database: Arc<Database>| async move {
            Settled::new(database.open().await, database.connect().await, Satisfied::WithAny)
        };
        let env = SlowTestEnv { database, reader };
        with_seed(1, event_store::none_missed(&env, 1, 8, 10)).await;
    });
}

#[test]
fn the_suite_catches_a_naive_reader() {
    let is_content = |seed| {
        let run = || {
            with_database(|database| async move {
                slow(&database).await;
                let reader = |database: Arc<Database>| async move { NaiveReader(database.open().await) };
                let env = SlowTestEnv { database, reader };
                event_store::none_missed(&env, seed, 8, 10).await;
            });
        };
        catch_unwind(AssertUnwindSafe(run)).is_ok()
    };
    if server_url().is_some() {
        assert!(!(0..5).all(is_content), "the suite is content with a reader that passes what is not committed");
    }
}

/// The long run, where `DIPTYCH_NONE_MISSED_EVENTS` says so. Each seed is another run.
async fn run<S: EventStore>(
    database: &Database,
    seed: u32,
    reader: impl Fn(PostgresEventStore) -> S,
) -> NoneMissedReport {
    // Each run has dozens of connections, and a server has a hundred.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());
    let _turn = ONE_AT_A_TIME.lock().await;
    slow(database).await;
    let open = async || Arc::new(reader(database.open().await));
    let writers = join_all((0..WRITERS).map(|_| open())).await;
    let readers = join_all((0..READERS).map(|_| open())).await;
    let size = NoneMissed { seed, ..NoneMissed::from_env() };
    let begun = Instant::now();
    let report = none_missed(&writers, &readers, &size).await.unwrap();
    println!("{:?}: {report:?}", begun.elapsed());
    assert!(report.stored >= size.events);
    report
}

#[test]
fn the_run_is_clean() {
    with_database(|database| async move {
        let report = run(&database, 1, |store| store).await;
        assert!(report.is_clean(), "{report:?}");
        assert_eq!(report.told, READERS * report.stored);
    });
}

#[test]
fn the_run_catches_a_naive_reader() {
    with_database(|database| async move {
        let mut missed = 0;
        // On a busy machine a reader may be so far behind that all is committed when it comes to it.
        for seed in 1..=5 {
            let report = run(&database, seed, NaiveReader).await;
            missed += report.missed;
            let others = NoneMissedReport { missed: 0, ..report };
            assert!(others.is_clean(), "only the reader is broken: {others:?}");
            if missed > 0 {
                return;
            }
        }
        panic!("the run is content with a reader that passes what is not committed");
    });
}
