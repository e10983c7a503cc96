//! Whether it came out.

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
    cluster::{PARTITIONS, Process, Site},
    model::{Knowledge, Told},
};

/// How long a reader waits for its own writes: longer than any pause of any stage.
const WAIT: Duration = Duration::from_secs(120);

/// How long until it is looked again what is saved.
const AUDIT_INTERVAL: Duration = Duration::from_millis(10);

/// G1, G2: what callers were told to be stored is, once, with the receipt that they got; what was refused is not.
///
/// # Panics
/// When it is otherwise.
pub async fn receipts(site: &Site, knowledge: &Knowledge) {
    for (asked, told) in knowledge.entries() {
        let found = site.stores.events.load(&[], 0, &[asked.request_id]).await.unwrap().requests;
        match told {
            Told::Stored(receipt) => {
                assert_eq!(found.len(), 1, "stored, and not there: {asked:?}");
                assert_eq!(found.first().map(|stored| &stored.receipt), Some(receipt));
            }
            Told::Refused(_) => assert!(found.is_empty(), "refused, and there: {asked:?}"),
            Told::Nothing => panic!("nobody asked again for {asked:?}"),
        }
    }
}

/// G2, G5: every event belongs to a command that somebody was told of, and no command has events twice.
///
/// # Panics
/// When it is otherwise.
pub async fn events(site: &Site, knowledge: &Knowledge) {
    let mut expected = HashSet::new();
    for (_, told) in knowledge.entries() {
        if let Told::Stored(receipt) = told {
            expected.extend(receipt.streams.iter().map(|s| (s.stream_id.clone(), s.version, receipt.request_id)));
        }
    }
    let tail = site.stores.events.read_after(Position::START, usize::MAX).await.unwrap();
    let mut last = HashSet::new();
    for event in &tail.events {
        let of_request = tail
            .events
            .iter()
            .filter(|other| other.request_id == event.request_id && other.stream_id == event.stream_id);
        let newest = of_request.map(|event| event.version).max().unwrap_or_default();
        last.insert((event.stream_id.clone(), newest, event.request_id));
    }
    assert_eq!(last, expected, "the events stored are not those that callers know of");
}

/// G6: a reader with a token of every receipt sees seats, lists and sums that include them all, and that agree with each other.
///
/// # Panics
/// When it is otherwise.
pub async fn own_writes(process: &Process<Theatre>, knowledge: &Knowledge) {
    process.reader.ready().await;
    let token = knowledge.token();
    let mut taken = 0;
    for (stream_id, version) in newest_versions(knowledge) {
        let key = RowKey::single(stream_id.as_str());
        let answer = process.reader.get(SEATS, &stream_id, key, &token, Instant::now() + WAIT).await.unwrap();
        let row = SeatRow::decode(&answer.value.expect("a seat with events has a row")).unwrap();
        assert!(row.version.number() >= version, "{stream_id} is older than its receipt");
        taken += u32::from(row.guest.is_some());
        if let Some(guest) = row.guest {
            let deadline = Instant::now() + WAIT;
            let list = process.reader.scan(GUESTS, None, None, &guest, None, 100, &token, deadline).await.unwrap();
            let is_listed = list.value.rows.iter().any(|(seat, _)| stream_id.as_str().as_bytes().ends_with(seat));
            assert!(is_listed, "{guest} has {stream_id}, and is not listed with it");
        }
    }
    assert_eq!(seats_taken(process, &token).await.unwrap(), taken, "the sum is not that of its parts");
}

/// How many seats are taken, by the view that counts them.
async fn seats_taken(process: &Process<Theatre>, token: &Token) -> Result<u32, QueryError> {
    let partitions: Vec<Partition> = Partitions::new(PARTITIONS).unwrap().iter().collect();
    let keys: Vec<_> = partitions.iter().map(|partition| (*partition, house_key(*partition))).collect();
    let answer = process.reader.get_partials(HOUSES, &keys, token, Instant::now() + WAIT).await?;
    let parts = answer.value.iter().flatten().map(|body| HouseRow::decode(body).unwrap().seats_taken);
    Ok(parts.sum())
}

fn newest_versions(knowledge: &Knowledge) -> std::collections::BTreeMap<diptych_kernel::StreamId, u32> {
    let mut newest = std::collections::BTreeMap::new();
    for (_, told) in knowledge.entries() {
        if let Told::Stored(receipt) = told {
            for stream in &receipt.streams {
                let version: &mut u32 = newest.entry(stream.stream_id.clone()).or_default();
                *version = (*version).max(stream.version.number());
            }
        }
    }
    newest
}

/// G4, G5, G7: every row of every view is the fold of its events. A reader goes by what projectors tell; the audit goes by what they have saved,
/// a moment later.
///
/// # Panics
/// When it is otherwise.
pub async fn views(site: &Site) {
    let stores = &site.stores;
    let saved = async {
        loop {
            let report = audit::<Theatre, _, _, _>(&*stores.events, &*stores.views, &*stores.views, 5).await.unwrap();
            assert!(report.is_clean(), "{:#?} {:#?}", report.differences, report.parked);
            if report.events_not_yet_projected == 0 {
                return;
            }
            pause(AUDIT_INTERVAL).await;
        }
    };
    timeout(WAIT, saved).await.expect("the views are behind though a reader was told otherwise");
}
