//! The suite of [`ProgressStore`].

use std::{collections::BTreeMap, slice, time::Duration};

use futures::future::join;

use super::{
    TestEnv,
    support::{BOUND, Trial},
    theatre::seat,
    yield_now,
};
use crate::{
    domain::ViewId,
    ports::{Offset, Parked, Progress, ProgressStore, ProgressUpdate},
    vocabulary::{Partition, Position, Timestamp, Version},
};

/// Checks every sentence of the contract of [`ProgressStore`] on a fresh place, random saves against a model among it.
///
/// # Panics
/// When the adapter breaks the contract.
pub async fn suite<P: TestEnv<Handle: ProgressStore>>(env: &P, seed: u64) {
    let trial = &Trial::new(env, seed);
    what_is_saved_is_loaded_by_everybody(trial).await;
    progress_never_goes_back(trial).await;
    the_list_of_parked_streams_is_replaced(trial).await;
    views_and_partitions_are_apart(trial).await;
    views_go_together_and_apart(trial).await;
    waiting_ends_with_a_save(trial).await;
    random_saves_agree_with_a_model(trial).await;
}

fn view(name: &'static str) -> ViewId {
    ViewId { name, generation: 1 }
}

/// Progress in short: position, time, offset, and parked seats.
fn progress(position: i64, as_of: i64, next_offset: u64, parked: &[&str]) -> Progress {
    let park = |name: &&str| Parked {
        stream_id: seat(name),
        version: Version::new(7),
        reason: format!("no idea what to do with {name}: größer?"),
    };
    Progress {
        position: Position::from_i64(position).unwrap(),
        as_of: Timestamp::from_micros(as_of),
        next_offset: Offset(next_offset),
        parked: parked.iter().map(park).collect(),
    }
}

impl<P: TestEnv<Handle: ProgressStore>> Trial<'_, P> {
    async fn save(&self, store: &P::Handle, view: ViewId, partition: u16, progress: &Progress) {
        let update = ProgressUpdate { view, partition: Partition::new(partition), progress: progress.clone() };
        self.ask("save", async || store.save(slice::from_ref(&update)).await).await;
    }

    async fn load_all(&self, store: &P::Handle, views: &[ViewId]) -> BTreeMap<(ViewId, u16), Progress> {
        let updates = self.ask("load", async || store.load(views).await).await;
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

async fn what_is_saved_is_loaded_by_everybody<P: TestEnv<Handle: ProgressStore>>(trial: &Trial<'_, P>) {
    let (mine, other) = (trial.env.handle().await, trial.env.handle().await);
    let table = view("saved");
    assert_eq!(trial.load_all(&mine, &[table]).await.len(), 0, "what was never saved is left out");
    let saved = progress(i64::MAX, 1_767_225_600_000_000, 9, &["A1", "B2"]);
    trial.save(&mine, table, 3, &saved).await;
    for store in [&mine, &other, &trial.env.handle().await] {
        let all = trial.load_all(store, &[table]).await;
        assert_eq!(all, BTreeMap::from([((table, 3), saved.clone())]));
        assert_eq!(trial.load_all(store, &[]).await.len(), 0);
    }
    // Nothing to save is no error.
    trial.ask("save", async || mine.save(&[]).await).await;
}

async fn progress_never_goes_back<P: TestEnv<Handle: ProgressStore>>(trial: &Trial<'_, P>) {
    let (mine, other) = (trial.env.handle().await, trial.env.handle().await);
    let table = view("forward");
    let newest = progress(100, 50, 10, &["A1"]);
    trial.save(&mine, table, 0, &newest).await;
    trial.save(&other, table, 0, &progress(99, 60, 20, &[])).await;
    assert_eq!(trial.load_one(&mine, table, 0).await, Some(newest.clone()), "an older position changes nothing");
    trial.save(&other, table, 0, &newest).await;
    assert_eq!(trial.load_one(&mine, table, 0).await, Some(newest));

    let idle = progress(100, 55, 11, &["A1"]);
    trial.save(&mine, table, 0, &idle).await;
    assert_eq!(trial.load_one(&other, table, 0).await, Some(idle), "time and offset go on while nothing happens");
    let knows_less = progress(101, 54, 10, &[]);
    trial.save(&mine, table, 0, &knows_less).await;
    assert_eq!(trial.load_one(&other, table, 0).await, Some(knows_less), "a save is kept as a whole");

    // In one call too.
    let update = |position| ProgressUpdate {
        view: table,
        partition: Partition::new(1),
        progress: progress(position, 1, 1, &[]),
    };
    trial.ask("save", async || mine.save(&[update(6), update(5)]).await).await;
    assert_eq!(trial.load_one(&other, table, 1).await, Some(progress(6, 1, 1, &[])));
}

async fn the_list_of_parked_streams_is_replaced<P: TestEnv<Handle: ProgressStore>>(trial: &Trial<'_, P>) {
    let (store, table) = (trial.env.handle().await, view("parked"));
    let steps: [(i64, &[&str], &[&str]); 6] = [
        (5, &["A1"], &["A1"]),
        (5, &["A1", "B2"], &["A1", "B2"]),
        (4, &[], &["A1", "B2"]),
        (6, &["B2"], &["B2"]),
        (6, &[], &[]),
        (5, &["A1"], &[]),
    ];
    for (position, parked, expected) in steps {
        trial.save(&store, table, 0, &progress(position, 1, 1, parked)).await;
        let loaded = trial.load_one(&store, table, 0).await.unwrap();
        assert_eq!(loaded.parked, progress(1, 1, 1, expected).parked, "after a save at {position}");
    }
}

async fn views_and_partitions_are_apart<P: TestEnv<Handle: ProgressStore>>(trial: &Trial<'_, P>) {
    let store = trial.env.handle().await;
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
    trial.ask("save", async || store.save(&updates).await).await;
    assert_eq!(trial.load_all(&store, &tables).await, expected);
    expected.retain(|key, _| key.0 == tables[1]);
    assert_eq!(trial.load_all(&store, &tables[1..2]).await, expected, "only the views that were asked for");
}

/// Views may be saved together, as long as nobody sees a difference.
async fn views_go_together_and_apart<P: TestEnv<Handle: ProgressStore>>(trial: &Trial<'_, P>) {
    let handles = [trial.env.handle().await, trial.env.handle().await];
    let tables @ [one, other, third] = [view("one"), view("other"), view("third")];
    let steps = [
        (vec![one, other, third], progress(5, 1, 1, &[])),
        (vec![other], progress(6, 2, 1, &["A1"])),
        (vec![one, third], progress(6, 2, 2, &[])),
        // Again as before, and once more with a part of it.
        (vec![one, other, third], progress(7, 3, 3, &[])),
        (vec![other, third], progress(7, 3, 3, &["B2"])),
        (vec![one, other, third], progress(7, 3, 3, &[])),
        (vec![one], progress(8, 4, 4, &[])),
        // From before.
        (vec![one, third], progress(7, 4, 4, &["A1"])),
        (vec![one, other, third], progress(6, 9, 9, &[])),
    ];
    let mut expected = BTreeMap::<(ViewId, u16), Progress>::new();
    for ((views, progress), store) in steps.into_iter().zip(handles.iter().cycle()) {
        let update = |view| ProgressUpdate { view, partition: Partition::new(2), progress: progress.clone() };
        let updates: Vec<_> = views.into_iter().map(update).collect();
        trial.ask("save", async || store.save(&updates).await).await;
        for update in updates {
            let kept = expected.entry((update.view, 2)).or_default();
            if update.progress.position >= kept.position {
                *kept = update.progress;
            }
        }
        for reader in &handles {
            assert_eq!(trial.load_all(reader, &tables).await, expected);
        }
    }
}

async fn waiting_ends_with_a_save<P: TestEnv<Handle: ProgressStore>>(trial: &Trial<'_, P>) {
    let (store, table) = (trial.env.handle().await, view("waiting"));
    let mut seen = 0;
    for position in 1..4 {
        let before = trial.load_all(&store, &[table]).await;
        // Saved after the load and before the wait.
        trial.save(&store, table, 0, &progress(position, 1, 1, &[])).await;
        let there = trial.env.timeout(BOUND, store.wait_for_change(&mut seen, BOUND * 100)).await;
        assert!(there.is_some(), "a save after the last load was slept through");
        assert_ne!(trial.load_all(&store, &[table]).await, before);
    }
    store.wait_for_change(&mut seen, Duration::from_millis(1)).await;
    let wait = trial.env.timeout(BOUND, store.wait_for_change(&mut seen, BOUND * 100));
    let save = async {
        yield_now().await;
        trial.save(&store, table, 0, &progress(9, 1, 1, &[])).await;
    };
    assert!(join(wait, save).await.0.is_some(), "a save of the same handle was slept through");
    let bored = trial.env.timeout(BOUND, store.wait_for_change(&mut seen, Duration::from_millis(1))).await;
    assert!(bored.is_some(), "waited longer than its wait_max");
}

async fn random_saves_agree_with_a_model<P: TestEnv<Handle: ProgressStore>>(trial: &Trial<'_, P>) {
    let handles = [trial.env.handle().await, trial.env.handle().await];
    let tables = [view("random"), view("random_too")];
    let mut model = BTreeMap::<(ViewId, u16), Progress>::new();
    for _ in 0..40 {
        let (table, partition) = (*trial.pick(&tables), u16::try_from(trial.below(3)).unwrap());
        let number = || i64::try_from(trial.below(20)).unwrap();
        let parked: &[&str] = [&["A1", "B2"][..], &["A1"], &[]][trial.below(3)];
        let saved = progress(number(), number(), number().unsigned_abs(), parked);
        trial.save(&**trial.pick(&handles), table, partition, &saved).await;
        let kept = model.entry((table, partition)).or_insert_with(|| saved.clone());
        if saved.position >= kept.position {
            *kept = saved;
        }
        assert_eq!(trial.load_all(&**trial.pick(&handles), &tables).await, model);
    }
}
