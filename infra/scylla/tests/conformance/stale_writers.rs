//! Writes of stale owners, which were replaced and do not know it.

use std::collections::BTreeMap;

use diptych_kernel::{
    domain::RowKey,
    ports::{Row, RowWrite, ViewStore},
    testing::{TestEnv, with_seed},
};
use futures::future::join_all;
use rand::{Rng, SeedableRng, rngs::SmallRng, seq::SliceRandom};

use crate::test_env::{ScyllaTestEnv, view, write};

#[tokio::test]
async fn stale_writers_change_nothing() {
    let Some(env) = ScyllaTestEnv::new().await else { return };
    the_largest_position_remains(&env).await;
    a_row_is_whole_and_never_goes_back_under_concurrent_writes(&env).await;
    a_deleted_row_does_not_come_back(&env).await;
    env.remove().await;
}

const SEEDS: u64 = 4;
const HANDLES: usize = 3;

/// The row at a position: deleted at every fourth one, with bodies of many lengths at the others.
fn row_at(key: &RowKey, position: i64) -> RowWrite {
    let length = usize::try_from(position * 37 % 400).unwrap();
    let body = (position % 4 != 0).then(|| format!("{key:?} at {position} ").repeat(1 + length / 20).into_bytes());
    write(view("stale_writers"), key, position, body.as_deref())
}

/// G7: in whatever order rows arrive, from any number of owners and any number of times, the one with the largest
/// position remains.
async fn the_largest_position_remains(env: &ScyllaTestEnv) {
    let mut handles = Vec::new();
    for _ in 0..HANDLES {
        handles.push(env.handle().await);
    }
    handles[0].ensure_views(&[view("stale_writers")]).await.unwrap();
    for seed in 0..SEEDS {
        let round = async {
            let mut rng = SmallRng::seed_from_u64(seed);
            // Some with partition keys of their own, and some with a common one.
            let alone = (0..20).map(|number| RowKey::single(&format!("{seed} {number}")));
            let together = (0..20_u8).map(|number| RowKey::new(&format!("{seed} group"), vec![number]));
            let keys: Vec<_> = alone.chain(together).collect();
            let mut writes: Vec<_> = (0..10).flat_map(|_| &keys).map(|key| (key, rng.random_range(1..1_000))).collect();
            writes.extend_from_within(..keys.len());
            writes.shuffle(&mut rng);

            let rows: Vec<_> = writes.iter().map(|(key, position)| row_at(key, *position)).collect();
            let chunks = rows.chunks(rows.len().div_ceil(6)).zip(handles.iter().cycle());
            let written = join_all(chunks.map(|(chunk, handle)| handle.write(chunk))).await;
            assert!(written.iter().all(Result::is_ok), "{written:?}");

            let mut newest = BTreeMap::<&RowKey, i64>::new();
            for (key, position) in &writes {
                let newest = newest.entry(key).or_insert(*position);
                *newest = (*newest).max(*position);
            }
            let expected: Vec<_> = keys.iter().map(|key| Some(row_at(key, newest[key]).row)).collect();
            for handle in &handles {
                assert_eq!(handle.read(view("stale_writers"), &keys).await.unwrap(), expected);
            }
        };
        with_seed(seed, round).await;
    }
}

/// A reader never sees a mixture of two writes, or a position that goes back.
async fn a_row_is_whole_and_never_goes_back_under_concurrent_writes(env: &ScyllaTestEnv) {
    let (one, other, reader) = (env.handle().await, env.handle().await, env.handle().await);
    one.ensure_views(&[view("stale_writers")]).await.unwrap();
    let key = RowKey::new("busy", &b"row"[..]);
    let owner = async {
        for position in 1..=200 {
            one.write(&[row_at(&key, position)]).await.unwrap();
        }
    };
    let stale = async {
        for position in 1..=100 {
            other.write(&[row_at(&key, position)]).await.unwrap();
        }
    };
    let follow = async {
        let (mut seen, mut reads_count) = (0, 0);
        while seen < 200 {
            let Some(row) = reader.read(view("stale_writers"), std::slice::from_ref(&key)).await.unwrap().remove(0)
            else {
                continue;
            };
            let position = row.position.as_i64();
            assert!(position >= seen, "from {seen} back to {position}");
            assert_eq!(row, row_at(&key, position).row, "a mixture of two writes");
            (seen, reads_count) = (position, reads_count + 1);
        }
        reads_count
    };
    let ((), (), reads_count) = futures::join!(owner, stale, follow);
    assert!(reads_count > 10, "only {reads_count} reads");
}

/// A deleted row stays deleted when an older write arrives, even one at the previous position.
async fn a_deleted_row_does_not_come_back(env: &ScyllaTestEnv) {
    let (owner, stale) = (env.handle().await, env.handle().await);
    let table = view("stale_writers");
    owner.ensure_views(&[table]).await.unwrap();
    for (key, order) in [("a", [8, 9, 7]), ("b", [9, 8, 7]), ("c", [9, 9, 8])] {
        let key = RowKey::single(key);
        for position in order {
            let body = (position != 9).then_some(&b"body"[..]);
            stale.write(&[write(table, &key, position, body)]).await.unwrap();
        }
        let deleted = Row { position: crate::test_env::at(9), body: None };
        assert_eq!(owner.read(table, &[key]).await.unwrap(), [Some(deleted)]);
    }
}
