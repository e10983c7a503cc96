//! Random writes against a model.

use std::collections::BTreeMap;

use super::{deleted, row, view};
use crate::{
    domain::RowKey,
    ports::{Row, ViewStore},
    testing::{TestEnv, support::SuiteRun},
};

const STEPS: usize = 30;

pub(super) async fn random_writes_agree_with_a_model<P: TestEnv<Handle: ViewStore>>(run: &SuiteRun<'_, P>) {
    let handles = [run.env.handle().await, run.env.handle().await];
    let table = view("random");
    run.ensure(&handles[0], &[table]).await;
    let groups = ["g", "gg", "h"];
    let keys: Vec<_> =
        groups.iter().flat_map(|group| (0..5_u8).map(move |number| RowKey::new(group, vec![number * 60]))).collect();
    // Every fifth position deletes the row, so that the row at a position is always the same.
    let row_at = |key: &RowKey, position: i64| if position % 5 == 0 { deleted(position) } else { row(key, position) };
    let mut model = BTreeMap::<RowKey, Row>::new();

    for _ in 0..STEPS {
        let store = run.pick(&handles);
        match run.random_below(6) {
            0..3 => {
                let batch: Vec<_> = (0..=run.random_below(5))
                    .map(|_| {
                        let key = run.pick(&keys);
                        (key, row_at(key, i64::try_from(1 + run.random_below(40)).unwrap()))
                    })
                    .collect();
                run.write(store, table, &batch).await;
                for (key, row) in batch {
                    let kept = model.entry(key.clone()).or_insert_with(|| row.clone());
                    if row.position > kept.position {
                        *kept = row;
                    }
                }
            }
            3 => {
                let requested: Vec<_> = (0..4).map(|_| run.pick(&keys).clone()).collect();
                let expected: Vec<_> = requested.iter().map(|key| model.get(key).cloned()).collect();
                assert_eq!(run.read(store, table, &requested).await, expected);
            }
            4 => {
                let group = *run.pick(&groups);
                let mut expected: Vec<_> = model.iter().filter(|(key, _)| &*key.partition_key == group).collect();
                expected.retain(|(_, row)| row.body.is_some());
                let expected: Vec<_> =
                    expected.into_iter().map(|(key, row)| (key.sort_key.clone(), row.clone())).collect();
                assert_eq!(run.scan_group(store, table, group, 1 + run.random_below(4)).await, expected);
            }
            _ => {
                let all = run.scan_table(store, table, 1 + run.random_below(6)).await;
                assert_eq!(all.len(), model.len(), "each row is returned once");
                assert_eq!(all.into_iter().collect::<BTreeMap<_, _>>(), model);
            }
        }
    }
}
