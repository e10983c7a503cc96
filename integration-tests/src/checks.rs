//! Checks of the guarantees after a run.

use std::{collections::HashSet, time::Duration};

use diptych_kernel::{
    Partition, Partitions, Position, Token,
    domain::RowKey,
    ports::EventStore,
    testing::theatre::{GUESTS, HOUSES, HouseRow, SEATS, SeatRow, Theatre, house_key},
};
use diptych_projector::audit::audit;
use diptych_query::QueryError;
use diptych_runtime::pause;
use tokio::time::{Instant, timeout};

use crate::{
    cluster::{ClusterStores, PARTITIONS, SimulatedProcess},
    command_history::{CommandAnswer, CommandHistory},
};

/// Timeout of a reader that waits for its own writes: longer than any pause of any component.
const WAIT_MAX: Duration = Duration::from_secs(120);

/// Poll interval of the audit.
const AUDIT_INTERVAL: Duration = Duration::from_millis(10);

/// G1, G2: an acknowledged command is stored once, with the receipt that its caller got; a refused command is stored
/// as refused.
///
/// # Panics
/// If the guarantee is violated.
pub async fn receipts(stores: &ClusterStores, history: &CommandHistory) {
    for (sent, answer) in history.entries() {
        let found = stores.adapters.events.load(&[], 0, &[sent.request_id]).await.unwrap().requests;
        match answer {
            CommandAnswer::Stored(receipt) => {
                assert_eq!(found.len(), 1, "acknowledged, but not stored once: {sent:?}");
                assert_eq!(found.first().and_then(|stored| stored.receipt()), Some(receipt));
            }
            CommandAnswer::Refused(_) => {
                assert_eq!(found.len(), 1, "refused, but the request id is not claimed: {sent:?}");
                assert!(found.iter().all(|stored| stored.receipt().is_none()), "refused, but committed: {sent:?}");
            }
            CommandAnswer::Missing => panic!("no caller has retried {sent:?}"),
        }
    }
}

/// G2, G5: every event belongs to an acknowledged command, and no command has its events twice.
///
/// # Panics
/// If the guarantee is violated.
pub async fn events(stores: &ClusterStores, history: &CommandHistory) {
    let mut expected = HashSet::new();
    for (_, answer) in history.entries() {
        if let CommandAnswer::Stored(receipt) = answer {
            expected.extend(receipt.streams.iter().map(|s| (s.stream_id.clone(), s.version, receipt.request_id)));
        }
    }
    let tail = stores.adapters.events.read_after(Position::START, usize::MAX).await.unwrap();
    let mut last = HashSet::new();
    for event in &tail.events {
        let of_request = tail
            .events
            .iter()
            .filter(|other| other.request_id == event.request_id && other.stream_id == event.stream_id);
        let newest = of_request.map(|event| event.version).max().unwrap_or_default();
        last.insert((event.stream_id.clone(), newest, event.request_id));
    }
    assert_eq!(last, expected, "the stored events are not those of the acknowledged commands");
}

/// G6: with a token that covers every receipt, a reader gets rows, lists and sums that include all commands and are
/// consistent with each other.
///
/// # Panics
/// If the guarantee is violated.
pub async fn own_writes(process: &SimulatedProcess<Theatre>, history: &CommandHistory) {
    process.reader.ready().await;
    let token = history.token();
    let mut taken = 0;
    for (stream_id, version) in newest_versions(history) {
        let key = RowKey::single(stream_id.as_str());
        let answer = process.reader.get(SEATS, &stream_id, key, &token, Instant::now() + WAIT_MAX).await.unwrap();
        let row = SeatRow::decode(&answer.value.expect("a seat with events has a row")).unwrap();
        assert!(row.version.number() >= version, "{stream_id} is older than its receipt");
        taken += u32::from(row.guest.is_some());
        if let Some(guest) = row.guest {
            let deadline = Instant::now() + WAIT_MAX;
            let list = process.reader.scan(GUESTS, None, None, &guest, None, 100, &token, deadline).await.unwrap();
            let is_listed = list.value.rows.iter().any(|(seat, _)| stream_id.as_str().as_bytes().ends_with(seat));
            assert!(is_listed, "{stream_id} is missing in the list of {guest}");
        }
    }
    assert_eq!(seats_taken(process, &token).await.unwrap(), taken, "the sum differs from the rows");
}

/// Number of taken seats, by the view that counts them.
async fn seats_taken(process: &SimulatedProcess<Theatre>, token: &Token) -> Result<u32, QueryError> {
    let partitions: Vec<Partition> = Partitions::new(PARTITIONS).unwrap().iter().collect();
    let keys: Vec<_> = partitions.iter().map(|partition| (*partition, house_key(*partition))).collect();
    let answer = process.reader.get_partials(HOUSES, &keys, token, Instant::now() + WAIT_MAX).await?;
    let parts = answer.value.iter().flatten().map(|body| HouseRow::decode(body).unwrap().seats_taken);
    Ok(parts.sum())
}

fn newest_versions(history: &CommandHistory) -> std::collections::BTreeMap<diptych_kernel::StreamId, u32> {
    let mut newest = std::collections::BTreeMap::new();
    for (_, answer) in history.entries() {
        if let CommandAnswer::Stored(receipt) = answer {
            for stream in &receipt.streams {
                let version: &mut u32 = newest.entry(stream.stream_id.clone()).or_default();
                *version = (*version).max(stream.version.number());
            }
        }
    }
    newest
}

/// G4, G5, G7: every row of every view is the fold of its events. A reader relies on progress announcements; the audit
/// reads saved progress, which follows a moment later.
///
/// # Panics
/// If the guarantee is violated.
pub async fn views(stores: &ClusterStores) {
    let adapters = &stores.adapters;
    let all_saved = async {
        loop {
            let report =
                audit::<Theatre, _, _, _>(&*adapters.events, &*adapters.views, &*adapters.views, 5).await.unwrap();
            assert!(report.is_clean(), "{:#?} {:#?}", report.differences, report.parked);
            if report.events_not_yet_projected == 0 {
                return;
            }
            pause(AUDIT_INTERVAL).await;
        }
    };
    timeout(WAIT_MAX, all_saved).await.expect("the saved progress is behind the announced progress");
}
