//! Owners that do not know that they were replaced, and write what they had.

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
async fn zombies_change_nothing() {
    let Some(env) = ScyllaTestEnv::new().await else { return };
    the_largest_position_is_left(&env).await;
    a_row_is_whole_and_goes_forward_while_it_is_written(&env).await;
    a_deleted_row_does_not_come_back(&env).await;
    env.remove().await;
}

const SEEDS: u64 = 4;
const HANDLES: usize = 3;

/// Every fourth position deletes; the rest have bodies of many lengths. A row at a position is always the same one.
fn row_at(key: &RowKey, position: i64) -> RowWrite {
    let length = usize::try_from(position * 37 % 400).unwrap();
    let body = (position % 4 != 0).then(|| format!("{key:?} at {position} ").repeat(1 + length / 20).into_bytes());
    write(view("zombies"), key, position, body.as_deref())
}

/// G7: whatever order rows arrive in, from however many owners, and however often, the largest position is what is there.
async fn the_largest_position_is_left(env: &ScyllaTestEnv) {
    let mut handles = Vec::new();
    for _ in 0..HANDLES {
        handles.push(env.handle().await);
    }
    handles[0].ensure_views(&[view("zombies")]).await.unwrap();
    for seed in 0..SEEDS {
        let round = async {
            let mut dice = SmallRng::seed_from_u64(seed);
            // Alone in their groups, and together in one.
            let alone = (0..20).map(|number| RowKey::single(&format!("{seed} {number}")));
            let together = (0..20_u8).map(|number| RowKey::new(&format!("{seed} group"), vec![number]));
            let keys: Vec<_> = alone.chain(together).collect();
            let mut writes: Vec<_> =
                (0..10).flat_map(|_| &keys).map(|key| (key, dice.random_range(1..1_000))).collect();
            writes.extend_from_within(..keys.len());
            writes.shuffle(&mut dice);

            let rows: Vec<_> = writes.iter().map(|(key, position)| row_at(key, *position)).collect();
            let pieces = rows.chunks(rows.len().div_ceil(6)).zip(handles.iter().cycle());
            let written = join_all(pieces.map(|(piece, handle)| handle.write(piece))).await;
            assert!(written.iter().all(Result::is_ok), "{written:?}");

            let mut newest = BTreeMap::<&RowKey, i64>::new();
            for (key, position) in &writes {
                let newest = newest.entry(key).or_insert(*position);
                *newest = (*newest).max(*position);
            }
            let expected: Vec<_> = keys.iter().map(|key| Some(row_at(key, newest[key]).row)).collect();
            for handle in &handles {
                assert_eq!(handle.read(view("zombies"), &keys).await.unwrap(), expected);
            }
        };
        with_seed(seed, round).await;
    }
}

/// A reader never sees a row that is half of one write and half of another, nor one that goes back.
async fn a_row_is_whole_and_goes_forward_while_it_is_written(env: &ScyllaTestEnv) {
    let (one, other, reader) = (env.handle().await, env.handle().await, env.handle().await);
    one.ensure_views(&[view("zombies")]).await.unwrap();
    let key = RowKey::new("busy", &b"row"[..]);
    let owner = async {
        for position in 1..=200 {
            one.write(&[row_at(&key, position)]).await.unwrap();
        }
    };
    let zombie = async {
        for position in 1..=100 {
            other.write(&[row_at(&key, position)]).await.unwrap();
        }
    };
    let follow = async {
        let (mut seen, mut looks) = (0, 0);
        while seen < 200 {
            let Some(row) = reader.read(view("zombies"), std::slice::from_ref(&key)).await.unwrap().remove(0) else {
                continue;
            };
            let position = row.position.as_i64();
            assert!(position >= seen, "from {seen} back to {position}");
            assert_eq!(row, row_at(&key, position).row, "half a row");
            (seen, looks) = (position, looks + 1);
        }
        looks
    };
    let ((), (), looks) = futures::join!(owner, zombie, follow);
    assert!(looks > 10, "only {looks} looks");
}

/// A row that was deleted stays so when an older write comes, also one at the position before.
async fn a_deleted_row_does_not_come_back(env: &ScyllaTestEnv) {
    let (owner, zombie) = (env.handle().await, env.handle().await);
    let table = view("zombies");
    owner.ensure_views(&[table]).await.unwrap();
    for (key, order) in [("a", [8, 9, 7]), ("b", [9, 8, 7]), ("c", [9, 9, 8])] {
        let key = RowKey::single(key);
        for position in order {
            let body = (position != 9).then_some(&b"body"[..]);
            zombie.write(&[write(table, &key, position, body)]).await.unwrap();
        }
        let deleted = Row { position: crate::test_env::at(9), body: None };
        assert_eq!(owner.read(table, &[key]).await.unwrap(), [Some(deleted)]);
    }
}
