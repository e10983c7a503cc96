//! Two versions of the program with different generations of a view, side by side: each in its own group.

use std::sync::Arc;

use diptych_kernel::{
    RecordedEvent, Token,
    domain::{Domain, RowKey, ViewId, view_set_name},
    ports::{ProgressStore, TablePosition, ViewStore},
    testing::theatre::{HOUSES, SEATS, SeatRow, Theatre, VISITS},
};
use diptych_projector::ProjectorConfig;
use diptych_query::{QueryConfig, Reader, wait_until_filled};
use diptych_runtime::{Shutdown, Tasks};

use crate::{
    amended::{Amended, NextGeneration, ReadsUnknown, SEATS_NEXT},
    harness::{ProjectorHarness, config, partitions, run_projector_during, seat},
    workload::TheatreWorkload,
};

type Next = Amended<NextGeneration>;

fn views_of<D: Domain>() -> Vec<ViewId> {
    D::views().iter().map(|view| view.id()).collect()
}

/// A projector of a version: its group is named by its views.
fn config_of<D: Domain>() -> ProjectorConfig {
    ProjectorConfig { group: view_set_name(&views_of::<D>()), ..config("one") }
}

/// A query service of one of the versions, on the stores of the harness.
struct Queries {
    reader: Reader<
        diptych_embedded::EmbeddedViewStore,
        diptych_embedded::EmbeddedViewStore,
        diptych_embedded::EmbeddedViewCache,
    >,
    seats: ViewId,
    tasks: Tasks,
}

impl Queries {
    async fn start<D: Domain>(harness: &ProjectorHarness, seats: ViewId) -> Self {
        let (rows, progress, cache) =
            (Arc::clone(&harness.views), Arc::clone(&harness.views), Arc::clone(&harness.cache));
        let tasks = Tasks::new(Shutdown::new());
        let config = QueryConfig { jitter_seed: 1, ..QueryConfig::default() };
        let reader = Reader::start(rows, progress, cache, views_of::<D>(), partitions(), config, &tasks);
        reader.ready().await;
        Self { reader, seats, tasks }
    }

    /// Asks for the row of an event's stream with the token of the event, which must be answered, and have the event.
    async fn assert_own_write_is_seen(&self, event: &RecordedEvent) {
        let token: Token = [(event.partition, event.position)].into_iter().collect();
        let (stream, deadline) = (&event.stream_id, self.reader.deadline(None));
        let answer =
            self.reader.get(self.seats, stream, RowKey::single(stream.as_str()), &token, deadline).await.unwrap();
        let row = SeatRow::decode(&answer.value.unwrap()).unwrap();
        assert!(row.version >= event.version, "a stale row of {stream}: {row:?}");
    }
}

impl ProjectorHarness {
    async fn run_command(&self, workload: &mut TheatreWorkload) -> Vec<RecordedEvent> {
        let events = workload.next();
        self.append_and_publish(&events.iter().map(|(seat, event)| (seat, event.clone())).collect::<Vec<_>>()).await
    }

    /// Runs commands, and asks query services for the own writes of each.
    async fn run_commands(&self, workload: &mut TheatreWorkload, count: usize, queries: &[&Queries]) {
        for _ in 0..count {
            for event in self.run_command(workload).await {
                for queries in queries {
                    queries.assert_own_write_is_seen(&event).await;
                }
            }
        }
    }

    async fn rows(&self, view: ViewId) -> Vec<(RowKey, diptych_kernel::ports::Row)> {
        self.views.scan_all(view, None, 10_000).await.unwrap()
    }

    /// The tables of both versions are complete, and have the same rows where they should.
    async fn assert_both_are_complete(&self) {
        self.wait_until_projected::<Theatre>().await;
        self.wait_until_projected::<Next>().await;
        self.assert_views_correct_in::<Theatre>().await;
        self.assert_views_correct_in::<Next>().await;
        assert_eq!(self.rows(SEATS).await, self.rows(SEATS_NEXT).await);
    }
}

/// An upgrade, and going back.
#[tokio::test(start_paused = true)]
async fn own_writes_are_seen_in_both_versions_while_they_replace_each_other() {
    let harness = ProjectorHarness::new();
    let mut workload = TheatreWorkload::new(21);
    let upgrade = async {
        harness.run_commands(&mut workload, 30, &[]).await;
        harness.wait_until_projected::<Theatre>().await;
        let old = Queries::start::<Theatre>(&harness, SEATS).await;
        let new_projector = async {
            wait_until_filled(&*harness.views, &views_of::<Next>()).await;
            let new = Queries::start::<Next>(&harness, SEATS_NEXT).await;
            harness.run_commands(&mut workload, 40, &[&old, &new]).await;
            harness.assert_both_are_complete().await;
            new
        };
        let ports = harness.ports();
        run_projector_during::<Next, _, _, _, _, _, _>(ports, config_of::<Next>(), new_projector).await
    };
    let new = run_projector_during::<Theatre, _, _, _, _, _, _>(harness.ports(), config_of::<Theatre>(), upgrade).await;
    // Both projectors have stopped. The old version comes back beside the new one, which goes on.
    let back = async {
        harness.run_commands(&mut workload, 20, &[&new]).await;
        let old_projector = async {
            wait_until_filled(&*harness.views, &views_of::<Theatre>()).await;
            let old = Queries::start::<Theatre>(&harness, SEATS).await;
            harness.run_commands(&mut workload, 40, &[&new, &old]).await;
            harness.assert_both_are_complete().await;
            old.tasks.shutdown().begin();
        };
        let ports = harness.ports();
        run_projector_during::<Theatre, _, _, _, _, _, _>(ports, config_of::<Theatre>(), old_projector).await;
    };
    run_projector_during::<Next, _, _, _, _, _, _>(harness.ports(), config_of::<Next>(), back).await;
    new.tasks.shutdown().begin();
}

/// The tables that both write are complete although each of them may be ahead of the other.
#[tokio::test(start_paused = true)]
async fn a_projector_continues_from_the_progress_of_another_group() {
    let harness = ProjectorHarness::new();
    let mut workload = TheatreWorkload::new(22);
    for round in 0..6 {
        let scenario = async {
            harness.run_commands(&mut workload, 15, &[]).await;
            // Not waited for: the projector is dropped in the middle of its work.
            harness.views.wait_for_change(&mut 1, std::time::Duration::from_millis(3)).await;
        };
        if round % 2 == 0 {
            run_projector_during::<Theatre, _, _, _, _, _, _>(harness.ports(), config_of::<Theatre>(), scenario).await;
        } else {
            run_projector_during::<Next, _, _, _, _, _, _>(harness.ports(), config_of::<Next>(), scenario).await;
        }
    }
    let both = run_projector_during::<Next, _, _, _, _, _, _>(
        harness.ports(),
        config_of::<Next>(),
        harness.assert_both_are_complete(),
    );
    run_projector_during::<Theatre, _, _, _, _, _, _>(harness.ports(), config_of::<Theatre>(), both).await;
}

/// The old version cannot decode an event and parks its stream in tables of both. The new one can: its progress is
/// true, and the last one to run leaves nothing parked.
#[tokio::test(start_paused = true)]
async fn a_stream_that_only_one_version_parks_is_complete_by_the_other() {
    let harness = ProjectorHarness::new();
    let mut workload = TheatreWorkload::new(23);
    harness.run_commands(&mut workload, 10, &[]).await;
    let unknown = seat(0, 50);
    let stored = harness.store_unknown(&unknown).await;
    harness.publish(&stored).await;
    let is_parked = async || !harness.parked(SEATS, stored[0].partition).await.is_empty();
    let scenario = async {
        harness.wait_until("the old version parks the stream", is_parked).await;
        let newer = async {
            harness.run_commands(&mut workload, 20, &[]).await;
            let has_event = async || {
                let visits = harness.views.scan(VISITS, unknown.as_str(), None, 10).await.unwrap();
                !visits.rows.is_empty()
            };
            harness.wait_until("the new version has the event in a table of both", has_event).await;
        };
        let mut newer_config = config_of::<Theatre>();
        newer_config.group.push_str("-newer");
        run_projector_during::<Amended<ReadsUnknown>, _, _, _, _, _, _>(harness.ports(), newer_config, newer).await;
    };
    run_projector_during::<Theatre, _, _, _, _, _, _>(harness.ports(), config_of::<Theatre>(), scenario).await;
    let alone = harness.wait_until_projected::<Amended<ReadsUnknown>>();
    let config = config_of::<Theatre>();
    run_projector_during::<Amended<ReadsUnknown>, _, _, _, _, _, _>(harness.ports(), config, alone).await;
    harness.assert_views_correct_in::<Amended<ReadsUnknown>>().await;
    let positions = harness.views.table_positions().await.unwrap();
    let reached = |TablePosition { table, .. }: &&TablePosition| *table == HOUSES.to_string();
    assert_eq!(positions.iter().filter(reached).count(), usize::from(partitions().count()));
}
