//! Conformance suite of [`ProgressStore`].

mod readers;

use std::{collections::BTreeMap, slice, time::Duration};

use futures::future::join;

use super::{
    TestEnv,
    support::{SuiteRun, TIMEOUT},
    theatre::seat,
    yield_now,
};
use crate::{
    domain::ViewId,
    ports::{Offset, Parked, Progress, ProgressStore, ProgressUpdate},
    vocabulary::{Partition, Position, Timestamp, Version},
};

/// Checks every rule of the contract of [`ProgressStore`] on a fresh database, including random saves against a model.
///
/// # Panics
/// If the adapter breaks the contract.
pub async fn suite<P: TestEnv<Handle: ProgressStore>>(env: &P, seed: u64) {
    let run = &SuiteRun::new(env, seed);
    saved_progress_is_loaded_through_every_handle(run).await;
    progress_never_goes_back(run).await;
    the_list_of_parked_streams_is_replaced(run).await;
    views_and_partitions_are_separate(run).await;
    views_can_be_saved_together_or_separately(run).await;
    tables_of_all_views_are_listed(run).await;
    readers::suite(run).await;
    a_save_ends_the_wait(run).await;
    random_saves_agree_with_a_model(run).await;
}

fn view(name: &'static str) -> ViewId {
    ViewId { name, generation: 1 }
}

/// Shorthand for progress with a position, time, offset and parked seats.
fn progress(position: i64, as_of: i64, next_offset: u64, parked: &[&str]) -> Progress {
    let park = |name: &&str| Parked {
        stream_id: seat(name),
        version: Version::new(7),
        reason: format!("cannot project {name}: größer?"),
    };
    Progress {
        position: Position::from_i64(position).unwrap(),
        as_of: Timestamp::from_micros(as_of),
        next_offset: Offset(next_offset),
        parked: parked.iter().map(park).collect(),
    }
}

impl<P: TestEnv<Handle: ProgressStore>> SuiteRun<'_, P> {
    async fn save(&self, store: &P::Handle, view: ViewId, partition: u16, progress: &Progress) {
        let update = ProgressUpdate { view, partition: Partition::new(partition), progress: progress.clone() };
        self.retry("save", async || store.save(slice::from_ref(&update)).await).await;
    }

    async fn load_all(&self, store: &P::Handle, views: &[ViewId]) -> BTreeMap<(ViewId, u16), Progress> {
        let updates = self.retry("load", async || store.load(views).await).await;
        let count = updates.len();
        let all: BTreeMap<_, _> =
            updates.into_iter().map(|update| ((update.view, update.partition.number()), update.progress)).collect();
        assert_eq!(all.len(), count, "each view and partition once");
        all
    }

    async fn load_one(&self, store: &P::Handle, view: ViewId, partition: u16) -> Option<Progress> {
        self.load_all(store, &[view]).await.remove(&(view, partition))
    }
}

async fn saved_progress_is_loaded_through_every_handle<P: TestEnv<Handle: ProgressStore>>(run: &SuiteRun<'_, P>) {
    let (mine, other) = (run.env.handle().await, run.env.handle().await);
    let table = view("saved");
    assert_eq!(run.load_all(&mine, &[table]).await.len(), 0, "progress that was never saved is left out");
    let saved = progress(i64::MAX, 1_767_225_600_000_000, 9, &["A1", "B2"]);
    run.save(&mine, table, 3, &saved).await;
    for store in [&mine, &other, &run.env.handle().await] {
        let all = run.load_all(store, &[table]).await;
        assert_eq!(all, BTreeMap::from([((table, 3), saved.clone())]));
        assert_eq!(run.load_all(store, &[]).await.len(), 0);
    }
    // An empty save is not an error.
    run.retry("save", async || mine.save(&[]).await).await;
}

async fn progress_never_goes_back<P: TestEnv<Handle: ProgressStore>>(run: &SuiteRun<'_, P>) {
    let (mine, other) = (run.env.handle().await, run.env.handle().await);
    let table = view("forward");
    let newest = progress(100, 50, 10, &["A1"]);
    run.save(&mine, table, 0, &newest).await;
    run.save(&other, table, 0, &progress(99, 60, 20, &[])).await;
    assert_eq!(run.load_one(&mine, table, 0).await, Some(newest.clone()), "an older position changes nothing");
    run.save(&other, table, 0, &newest).await;
    assert_eq!(run.load_one(&mine, table, 0).await, Some(newest));

    let idle = progress(100, 55, 11, &["A1"]);
    run.save(&mine, table, 0, &idle).await;
    assert_eq!(run.load_one(&other, table, 0).await, Some(idle), "time and offset advance at the same position");
    let knows_less = progress(101, 54, 10, &[]);
    run.save(&mine, table, 0, &knows_less).await;
    assert_eq!(run.load_one(&other, table, 0).await, Some(knows_less), "a save replaces the progress as a whole");

    // Also within one call.
    let update = |position| ProgressUpdate {
        view: table,
        partition: Partition::new(1),
        progress: progress(position, 1, 1, &[]),
    };
    run.retry("save", async || mine.save(&[update(6), update(5)]).await).await;
    assert_eq!(run.load_one(&other, table, 1).await, Some(progress(6, 1, 1, &[])));
}

async fn the_list_of_parked_streams_is_replaced<P: TestEnv<Handle: ProgressStore>>(run: &SuiteRun<'_, P>) {
    let (store, table) = (run.env.handle().await, view("parked"));
    let steps: [(i64, &[&str], &[&str]); 6] = [
        (5, &["A1"], &["A1"]),
        (5, &["A1", "B2"], &["A1", "B2"]),
        (4, &[], &["A1", "B2"]),
        (6, &["B2"], &["B2"]),
        (6, &[], &[]),
        (5, &["A1"], &[]),
    ];
    for (position, parked, expected) in steps {
        run.save(&store, table, 0, &progress(position, 1, 1, parked)).await;
        let loaded = run.load_one(&store, table, 0).await.unwrap();
        assert_eq!(loaded.parked, progress(1, 1, 1, expected).parked, "after a save at {position}");
    }
}

async fn views_and_partitions_are_separate<P: TestEnv<Handle: ProgressStore>>(run: &SuiteRun<'_, P>) {
    let store = run.env.handle().await;
    let tables = [view("apart"), ViewId { name: "apart", generation: 2 }, view("apart_too")];
    let mut expected = BTreeMap::new();
    let mut updates = Vec::new();
    for (number, table) in tables.iter().enumerate() {
        for partition in 0..3_u16 {
            let position = i64::try_from(10 * number).unwrap() + i64::from(partition) + 1;
            let progress = progress(position, position, 1, &[]);
            expected.insert((*table, partition), progress.clone());
            updates.push(ProgressUpdate { view: *table, partition: Partition::new(partition), progress });
        }
    }
    run.retry("save", async || store.save(&updates).await).await;
    assert_eq!(run.load_all(&store, &tables).await, expected);
    expected.retain(|key, _| key.0 == tables[1]);
    assert_eq!(run.load_all(&store, &tables[1..2]).await, expected, "only the requested views are loaded");
}

/// An adapter may store the progress of several views together, as long as the result is the same.
async fn views_can_be_saved_together_or_separately<P: TestEnv<Handle: ProgressStore>>(run: &SuiteRun<'_, P>) {
    let handles = [run.env.handle().await, run.env.handle().await];
    let tables @ [one, other, third] = [view("one"), view("other"), view("third")];
    let steps = [
        (vec![one, other, third], progress(5, 1, 1, &[])),
        (vec![other], progress(6, 2, 1, &["A1"])),
        (vec![one, third], progress(6, 2, 2, &[])),
        // The same again, and then for some of the views.
        (vec![one, other, third], progress(7, 3, 3, &[])),
        (vec![other, third], progress(7, 3, 3, &["B2"])),
        (vec![one, other, third], progress(7, 3, 3, &[])),
        (vec![one], progress(8, 4, 4, &[])),
        // An older position for some of the views.
        (vec![one, third], progress(7, 4, 4, &["A1"])),
        (vec![one, other, third], progress(6, 9, 9, &[])),
    ];
    let mut expected = BTreeMap::<(ViewId, u16), Progress>::new();
    for ((views, progress), store) in steps.into_iter().zip(handles.iter().cycle()) {
        let update = |view| ProgressUpdate { view, partition: Partition::new(2), progress: progress.clone() };
        let updates: Vec<_> = views.into_iter().map(update).collect();
        run.retry("save", async || store.save(&updates).await).await;
        for update in updates {
            let kept = expected.entry((update.view, 2)).or_default();
            if update.progress.position >= kept.position {
                *kept = update.progress;
            }
        }
        for reader in &handles {
            assert_eq!(run.load_all(reader, &tables).await, expected);
        }
    }
}

async fn tables_of_all_views_are_listed<P: TestEnv<Handle: ProgressStore>>(run: &SuiteRun<'_, P>) {
    let handles = [run.env.handle().await, run.env.handle().await];
    let tables = [view("listed"), ViewId { name: "listed", generation: 2 }];
    for (number, table) in (1..).zip(tables) {
        run.save(&handles[0], table, 1, &progress(number, 1, 1, &[])).await;
        run.save(&handles[1], table, 2, &progress(number + 5, 1, 1, &["A1"])).await;
    }
    for store in &handles {
        let mut listed = run.retry("table_positions", async || store.table_positions().await).await;
        listed.retain(|position| position.table.starts_with("listed_g"));
        listed.sort();
        let listed: Vec<_> = listed
            .iter()
            .map(|position| (position.table.as_str(), position.partition.number(), position.position.as_i64()))
            .collect();
        assert_eq!(listed, [("listed_g1", 1, 1), ("listed_g1", 2, 6), ("listed_g2", 1, 2), ("listed_g2", 2, 7)]);
    }
}

async fn a_save_ends_the_wait<P: TestEnv<Handle: ProgressStore>>(run: &SuiteRun<'_, P>) {
    let (store, table) = (run.env.handle().await, view("waiting"));
    let mut seen = 0;
    for position in 1..4 {
        let before = run.load_all(&store, &[table]).await;
        // The save comes after the load and before the wait.
        run.save(&store, table, 0, &progress(position, 1, 1, &[])).await;
        let already = run.env.timeout(TIMEOUT, store.wait_for_change(&mut seen, TIMEOUT * 100)).await;
        assert!(already.is_some(), "a save after the last load did not end the wait");
        assert_ne!(run.load_all(&store, &[table]).await, before);
    }
    store.wait_for_change(&mut seen, Duration::from_millis(1)).await;
    let wait = run.env.timeout(TIMEOUT, store.wait_for_change(&mut seen, TIMEOUT * 100));
    let save = async {
        yield_now().await;
        run.save(&store, table, 0, &progress(9, 1, 1, &[])).await;
    };
    assert!(join(wait, save).await.0.is_some(), "a save through the same handle did not end the wait");
    let returned = run.env.timeout(TIMEOUT, store.wait_for_change(&mut seen, Duration::from_millis(1))).await;
    assert!(returned.is_some(), "waited longer than wait_max");
}

async fn random_saves_agree_with_a_model<P: TestEnv<Handle: ProgressStore>>(run: &SuiteRun<'_, P>) {
    let handles = [run.env.handle().await, run.env.handle().await];
    let tables = [view("random"), view("random_too")];
    let mut model = BTreeMap::<(ViewId, u16), Progress>::new();
    for _ in 0..40 {
        let (table, partition) = (*run.pick(&tables), u16::try_from(run.random_below(3)).unwrap());
        let number = || i64::try_from(run.random_below(20)).unwrap();
        let parked: &[&str] = [&["A1", "B2"][..], &["A1"], &[]][run.random_below(3)];
        let saved = progress(number(), number(), number().unsigned_abs(), parked);
        run.save(&**run.pick(&handles), table, partition, &saved).await;
        let kept = model.entry((table, partition)).or_insert_with(|| saved.clone());
        if saved.position >= kept.position {
            *kept = saved;
        }
        assert_eq!(run.load_all(&**run.pick(&handles), &tables).await, model);
    }
}
