//! Tests of `verify` on databases in memory.

use std::sync::Arc;

use diptych_kernel::{
    EventMetadata, Fingerprint, NewEvent, Partition, Position, RequestId, StreamId, Version,
    domain::{RowKey, ViewId},
    ports::{
        AppendUnit, Damage, EventStore, Progress, ProgressStore, ProgressUpdate, Row, RowWrite, Snapshot, ViewStore,
    },
};
use diptych_ledger::views::{ACCOUNTS, TOTALS};
use diptych_proto::ledger::{
    event::v1::AccountOpened,
    query::v1::{Account, Totals},
};
use prost::Message;

use diptych_embedded::Storage;

use super::*;
use checksums::ChecksumComparison;
use sums::{SumComparison, compare};

fn partitions() -> Partitions {
    Partitions::new(4).unwrap()
}

async fn views() -> EmbeddedViewStore {
    let views = EmbeddedViewStore::open(&Storage::Memory, partitions(), Arc::new(SystemClock)).unwrap();
    let ids: Vec<ViewId> = diptych_ledger::views::all().iter().map(|view| view.id()).collect();
    views.ensure_views(&ids).await.unwrap();
    views
}

fn position(number: i64) -> Position {
    Position::from_i64(number).unwrap()
}

fn write(view: ViewId, key: RowKey, at: i64, body: Vec<u8>) -> RowWrite {
    RowWrite { view, key, row: Row { position: position(at), body: Some(body.into()) } }
}

fn account(id: &str, balance_minor: i64) -> RowWrite {
    let account = Account {
        account_id: id.to_owned(),
        currency_code: "CZK".to_owned(),
        balance_minor,
        entry_count: 2,
        ..Account::default()
    };
    write(ACCOUNTS, RowKey::single(id), 7, account.encode_to_vec())
}

fn totals(partition: u16, balance: i64, deposits: i64, withdrawals: i64) -> RowWrite {
    let totals = Totals {
        currency_code: "CZK".to_owned(),
        balance_minor: balance.to_string(),
        deposits_minor: deposits.to_string(),
        withdrawals_minor: withdrawals.to_string(),
        transfers_minor: "0".to_owned(),
        accounts_opened_count: 1,
        entry_count: 2,
        ..Totals::default()
    };
    write(TOTALS, RowKey::new("CZK", partition.to_be_bytes().to_vec()), 7, totals.encode_to_vec())
}

async fn progress(views: &EmbeddedViewStore, view: ViewId, at: i64) {
    let progress = Progress { position: position(at), ..Progress::default() };
    views.save(&[ProgressUpdate { view, partition: Partition::new(0), progress }]).await.unwrap();
}

#[tokio::test]
async fn sums_of_two_views_are_compared() {
    let views = views().await;
    views.write(&[account("a", 70), account("b", -20), totals(0, 70, 100, 30), totals(1, -20, 5, 25)]).await.unwrap();
    progress(&views, ACCOUNTS, 7).await;
    progress(&views, TOTALS, 7).await;
    let SumComparison::Compared(sums) = compare(&views, &views).await.unwrap() else { panic!("not compared") };
    assert!(sums["CZK"].is_equal(), "{sums:?}");
    assert_eq!((sums["CZK"].balances_minor, sums["CZK"].accounts, sums["CZK"].entries), (50, 2, 4));

    views.write(&[account("c", 1)]).await.unwrap();
    let SumComparison::Compared(sums) = compare(&views, &views).await.unwrap() else { panic!("not compared") };
    assert!(!sums["CZK"].is_equal());
    assert_eq!((sums["CZK"].balances_minor, sums["CZK"].deposits_minus_withdrawals_minor), (51, 50));
}

#[tokio::test(start_paused = true)]
async fn views_at_different_positions_are_not_compared() {
    let views = views().await;
    views.write(&[account("a", 70)]).await.unwrap();
    progress(&views, ACCOUNTS, 7).await;
    assert_eq!(compare(&views, &views).await.unwrap(), SumComparison::ViewsChanging);
}

#[tokio::test]
async fn a_row_that_cannot_be_decoded_is_named() {
    let views = views().await;
    views.write(&[write(ACCOUNTS, RowKey::single("broken"), 7, vec![0xff])]).await.unwrap();
    let error = format!("{:#}", compare(&views, &views).await.unwrap_err());
    assert!(error.contains("row broken of view accounts_g2"), "{error}");
}

#[tokio::test]
async fn an_event_not_yet_projected_is_no_difference_and_a_row_without_events_is_one() {
    let events = EmbeddedEventStore::open(&Storage::Memory, partitions(), Arc::new(SystemClock)).unwrap();
    let views = views().await;
    let opened = AccountOpened { account_id: "a".to_owned(), ..AccountOpened::default() };
    let event = NewEvent {
        stream_id: StreamId::new("account-a").unwrap(),
        version: Version::new(1),
        event_type: "ledger.event.v1.AccountOpened".into(),
        payload: opened.encode_to_vec().into(),
    };
    let unit = AppendUnit {
        request_id: RequestId::from_bytes([7; 16]),
        fingerprint: Fingerprint::of("test", b""),
        events: vec![event],
        metadata: EventMetadata::default(),
    };
    events.append(&[unit], &[]).await.unwrap();
    let report = verify(&events, &views, 20).await.unwrap();
    assert!(report.is_clean(), "{}", report.table().render());
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!((&json["events"], &json["events_not_yet_projected"]), (&1.into(), &1.into()));

    views.write(&[account("nobody", 0)]).await.unwrap();
    let report = verify(&events, &views, 20).await.unwrap();
    assert!(!report.is_clean());
    let text = report.table().render();
    assert!(text.contains("row nobody") && text.contains("\nNOT clean: "), "{text}");
}

#[tokio::test]
async fn an_error_of_a_folder_names_the_flag_that_has_the_cause() {
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage::Directory(folder.path().to_owned());
    drop(EmbeddedEventStore::open(&storage, partitions(), Arc::new(SystemClock)).unwrap());
    drop(EmbeddedViewStore::open(&storage, partitions(), Arc::new(SystemClock)).unwrap());
    let error = format!("{:#}", verify_folder(folder.path(), 5, 1).await.unwrap_err());
    assert!(error.contains("--data /") && error.ends_with("set it with --partitions"), "{error}");

    let file = folder.path().join("events.db");
    let error = format!("{:#}", verify_folder(&file, 4, 1).await.unwrap_err());
    assert!(error.contains("--data /") && error.contains("is a file"), "{error}");

    for companion in ["events.db-wal", "events.db-shm"] {
        let _ = std::fs::remove_file(folder.path().join(companion));
    }
    std::fs::write(&file, "this is not a database".repeat(400)).unwrap();
    let error = format!("{:#}", verify_folder(folder.path(), 4, 1).await.unwrap_err());
    assert!(error.contains("events.db") && !error.contains("--partitions"), "{error}");
    assert_eq!(error.matches("not a database").count(), 1, "{error}");
}

fn opened(version: u32) -> AppendUnit {
    let opened = AccountOpened { account_id: "a".to_owned(), ..AccountOpened::default() };
    let event = NewEvent {
        stream_id: StreamId::new("account-a").unwrap(),
        version: Version::new(version),
        event_type: "ledger.event.v1.AccountOpened".into(),
        payload: opened.encode_to_vec().into(),
    };
    AppendUnit {
        request_id: RequestId::from_bytes(u128::from(version).to_be_bytes()),
        fingerprint: Fingerprint::of("test", b""),
        events: vec![event],
        metadata: EventMetadata::default(),
    }
}

#[tokio::test]
async fn the_checksums_of_all_events_and_snapshots_are_compared() {
    let events = EmbeddedEventStore::open(&Storage::Memory, partitions(), Arc::new(SystemClock)).unwrap();
    let snapshot = Snapshot {
        stream_id: StreamId::new("account-a").unwrap(),
        version: Version::new(1),
        format: 1,
        state: "open".into(),
    };
    let units: Vec<_> = (1..=2_500).map(opened).collect();
    events.append(&units, &[snapshot]).await.unwrap();
    let compared = checksums::compare(&events, 20).await.unwrap();
    assert_eq!((compared.events_compared, compared.snapshots_compared), (2_500, 1));
    assert_eq!((compared.damaged_count, compared.damaged), (0, Vec::new()));
}

#[tokio::test]
async fn a_damaged_snapshot_is_a_difference() {
    let events = EmbeddedEventStore::open(&Storage::Memory, partitions(), Arc::new(SystemClock)).unwrap();
    let views = views().await;
    let audit = diptych_projector::audit::audit::<Ledger, _, _, _>(&events, &views, &views, 20).await.unwrap();
    let damage = Damage::Snapshot { stream_id: StreamId::new("account-a").unwrap(), version: Version::new(7) };
    let checksums = ChecksumComparison { damaged_count: 1, damaged: vec![damage], ..ChecksumComparison::default() };
    let report = Report::new(&audit, &checksums, compare(&views, &views).await.unwrap());
    assert!(!report.is_clean());
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["differences_count"], 1);
    assert_eq!(json["differences"][0], "the snapshot of stream account-a, at version 7, differs from its checksum");
}
