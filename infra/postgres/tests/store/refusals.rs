//! Refusals claim their request ids, also against appends that are not committed yet.

use std::time::Duration;

use diptych_kernel::{
    Timestamp, Version,
    ports::{AppendUnit, EventStore, RefusalOutcome, RefusalUnit, StoredOutcome, StoredRequest},
};
use diptych_postgres::{PostgresConfig, PostgresEventStore};
use futures::future::{join, join3};

use crate::support::{
    Database, HORIZON,
    appends::{append_one, append_rejected, find_request, stream, try_append, unit},
    with_database,
};

/// A refusal of a unit's request, decided on a stream that does not exist.
fn refusal_of(unit: &AppendUnit) -> RefusalUnit {
    RefusalUnit {
        request_id: unit.request_id,
        fingerprint: unit.fingerprint,
        streams: vec![(stream("absent"), Version::NONE)],
        refusal: vec![0xff, 0].into(),
    }
}

fn stored(refusal: &RefusalUnit) -> StoredRequest {
    let RefusalUnit { request_id, fingerprint, refusal, .. } = refusal.clone();
    StoredRequest { request_id, fingerprint, outcome: StoredOutcome::Refused(refusal) }
}

/// Makes every append wait before its commit for an advisory lock, which the client of the test holds.
async fn hold_commits(database: &Database) {
    database
        .execute(
            "CREATE FUNCTION test.hold() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN
                 PERFORM pg_advisory_xact_lock_shared(1);
                 RETURN NULL;
             END $$;
             CREATE CONSTRAINT TRIGGER hold AFTER INSERT ON events DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW EXECUTE FUNCTION test.hold();
             SELECT pg_advisory_lock(1)",
        )
        .await;
}

/// Returns whether a statement of this database waits for a lock of this kind.
fn waits_for(wait_event: &str) -> String {
    format!(
        "SELECT count(*) > 0 FROM pg_stat_activity
         WHERE datname = current_database() AND wait_event_type = 'Lock' AND wait_event = '{wait_event}'"
    )
}

#[test]
fn a_refusal_waits_for_an_append_of_the_same_request_and_finds_it_committed() {
    with_database(|database| async move {
        let _guard = HORIZON.read().await;
        let (mine, other) = (database.open().await, database.open().await);
        hold_commits(&database).await;
        let unit = unit("in-flight", 1);
        let refusals = [refusal_of(&unit)];
        let refuse = async {
            database.wait_until(&waits_for("advisory")).await;
            other.refuse(&refusals).await.unwrap()
        };
        let release = async {
            database.wait_until(&waits_for("transactionid")).await;
            database.execute("SELECT pg_advisory_unlock(1)").await;
        };
        let (receipt, outcomes, ()) = join3(append_one(&mine, &unit), refuse, release).await;
        let committed = StoredRequest::committed(unit.fingerprint, receipt);
        assert_eq!(outcomes, [RefusalOutcome::Done(committed.clone())]);
        assert_eq!(find_request(&other, &unit).await, Some(committed));
    });
}

#[test]
fn a_refusal_waits_for_an_append_of_the_same_request_and_is_stored_if_that_fails() {
    with_database(|database| async move {
        let _guard = HORIZON.read().await;
        let (mine, other) = (database.open().await, database.open().await);
        hold_commits(&database).await;
        let unit = unit("in-flight", 1);
        let refusals = [refusal_of(&unit)];
        let refuse = async {
            database.wait_until(&waits_for("advisory")).await;
            other.refuse(&refusals).await.unwrap()
        };
        let kill = async {
            database.wait_until(&waits_for("transactionid")).await;
            let statement = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
                WHERE datname = current_database() AND wait_event = 'advisory'";
            database.execute(statement).await;
        };
        let (append, outcomes, ()) = join3(try_append(&mine, &unit), refuse, kill).await;
        assert!(append.is_err());
        assert_eq!(outcomes, [RefusalOutcome::Stored]);
        database.execute("SELECT pg_advisory_unlock(1)").await;
        // The caller of the append repeats it.
        let (conflicts, done) = append_rejected(&mine, &unit).await;
        assert_eq!((conflicts, done), (Vec::new(), vec![stored(&refusals[0])]));
    });
}

#[test]
fn an_append_waits_for_a_refusal_of_the_same_request() {
    with_database(|database| async move {
        let _guard = HORIZON.read().await;
        let (mine, other) = (database.open().await, database.open().await);
        // Holds the refusal of the first request, by an append of the second one, which is not committed.
        hold_commits(&database).await;
        let mut units = [unit("first", 1), unit("second", 1)];
        units.sort_by_key(|unit| unit.request_id);
        let refusals = units.each_ref().map(refusal_of);
        let second = async { try_append(&mine, &units[1]).await.unwrap() };
        let refuse = async {
            database.wait_until(&waits_for("advisory")).await;
            other.refuse(&refusals).await.unwrap()
        };
        let first = async {
            database.wait_until(&waits_for("transactionid")).await;
            let append = append_rejected(&mine, &units[0]);
            let release = async {
                let two_wait = waits_for("transactionid").replace("> 0", "> 1");
                database.wait_until(&two_wait).await;
                database.execute("SELECT pg_advisory_unlock(1)").await;
            };
            join(append, release).await.0
        };
        let (_, outcomes, (conflicts, done)) = join3(second, refuse, first).await;
        assert_eq!(outcomes[0], RefusalOutcome::Stored);
        assert!(matches!(&outcomes[1], RefusalOutcome::Done(stored) if stored.receipt().is_some()), "{outcomes:?}");
        assert_eq!((conflicts, done), (Vec::new(), vec![stored(&refusals[0])]));
    });
}

#[test]
fn request_ids_in_an_older_partition_are_refused_and_committed_once() {
    with_database(|database| async move {
        let config = PostgresConfig { request_partition_interval: Duration::ZERO, ..database.config() };
        let handle = PostgresEventStore::open(config).await.unwrap();
        let (refused, committed) = (unit("refused", 1), unit("committed", 1));
        let refusal = refusal_of(&refused);
        assert_eq!(handle.refuse(std::slice::from_ref(&refusal)).await.unwrap(), [RefusalOutcome::Stored]);
        let receipt = append_one(&handle, &committed).await;
        handle.forget_requests(Timestamp::from_micros(0), 100).await.unwrap();

        let done = RefusalOutcome::Done(StoredRequest::committed(committed.fingerprint, receipt));
        let again = handle.refuse(&[refusal_of(&committed), refusal.clone()]).await.unwrap();
        assert_eq!(again, [done, RefusalOutcome::Done(stored(&refusal))]);
        assert_eq!(append_rejected(&handle, &refused).await, (Vec::new(), vec![stored(&refusal)]));
        // The partition is dropped with its refusals.
        let now: std::time::SystemTime = database.row("SELECT now()", &[]).await.get(0);
        let now = now.duration_since(std::time::UNIX_EPOCH).unwrap();
        let cutoff = Timestamp::from_micros(i64::try_from(now.as_micros()).unwrap() + 1_000_000);
        handle.forget_requests(cutoff, 100).await.unwrap();
        assert_eq!(find_request(&handle, &refused).await, None);
        append_one(&handle, &refused).await;
    });
}
