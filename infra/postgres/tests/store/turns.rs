//! Turns of processes on contended partitions.

use diptych_kernel::{Partition, ports::EventStore};
use futures::{FutureExt, future::join};

use crate::support::with_database;

#[test]
fn a_turn_waits_for_that_of_another_process_on_a_common_partition_only() {
    with_database(|database| async move {
        let (mine, other) = (database.open().await, database.open().await);
        let partitions = |numbers: [u16; 2]| numbers.map(Partition::new);
        let first = mine.take_turn(&partitions([1, 0])).await.unwrap();
        // Of other partitions: at once.
        drop(other.take_turn(&partitions([3, 2])).await.unwrap());
        let second = async { other.take_turn(&partitions([2, 1])).await.unwrap() };
        let end_first = async {
            let waits = "SELECT count(*) > 0 FROM pg_stat_activity
                WHERE datname = current_database() AND wait_event_type = 'Lock' AND wait_event = 'advisory'";
            database.wait_until(waits).await;
            drop(first);
        };
        let (second, ()) = join(second, end_first).await;
        // A turn ends with its process.
        let contended = partitions([1, 1]);
        let third = mine.take_turn(&contended);
        let kill = async {
            let kill = "SELECT pg_terminate_backend(pid, 10000) FROM pg_locks
                WHERE locktype = 'advisory' AND granted AND classid = 1953854062
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) LIMIT 1";
            database.execute(kill).await;
        };
        let (third, ()) = join(third, kill).await;
        drop((second, third.unwrap()));
    });
}

#[test]
fn a_wait_for_a_turn_that_is_given_up_leaves_no_lock() {
    with_database(|database| async move {
        let (mine, other) = (database.open().await, database.open().await);
        let partitions = [Partition::new(0)];
        let first = mine.take_turn(&partitions).await.unwrap();
        {
            let mut given_up = Box::pin(other.take_turn(&partitions));
            let waits = "SELECT count(*) > 0 FROM pg_stat_activity
                WHERE datname = current_database() AND wait_event_type = 'Lock' AND wait_event = 'advisory'";
            tokio::select! {
                _ = &mut given_up => panic!("the turn is taken"),
                () = database.wait_until(waits) => {}
            }
            assert!((&mut given_up).now_or_never().is_none());
        }
        drop(first);
        drop(mine.take_turn(&partitions).await.unwrap());
    });
}
