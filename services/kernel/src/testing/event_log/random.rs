//! Members that join and leave at random while entries are appended.

use std::{collections::BTreeMap, sync::Arc};

use super::fixture::{Member, event, position, watermark};
use crate::{
    ports::{EventLog, LogEntry},
    testing::{TestEnv, support::SuiteRun},
    vocabulary::{Partition, Partitions},
};

const STEPS: usize = 60;
const GROUP: &str = "random";
const NAMES: [&str; 3] = ["ada", "bob", "eve"];

/// Entries that were appended, and entries that the group has processed.
#[derive(Default)]
struct Model {
    next_position: i64,
    appended: BTreeMap<Partition, Vec<LogEntry>>,
    /// Entries that the group has stored elsewhere, in the order of reading.
    kept: BTreeMap<Partition, Vec<LogEntry>>,
}

impl Model {
    /// Stores what a member has read. Repeats are recognized by position.
    fn keep<P: TestEnv<Handle: EventLog>>(&mut self, member: &mut Member<P>) {
        for record in member.read.drain(..) {
            let kept = self.kept.entry(record.entry.partition()).or_default();
            if !kept.contains(&record.entry) {
                kept.push(record.entry);
            }
        }
    }

    fn check(&self) {
        for (partition, appended) in &self.appended {
            let kept: Vec<_> = self
                .kept
                .get(partition)
                .into_iter()
                .flatten()
                .filter(|entry| appended.contains(entry))
                .cloned()
                .collect();
            assert_eq!(kept, *appended, "partition {partition}: every entry once, in the order of appending");
            assert!(kept.is_sorted_by_key(position));
        }
    }
}

pub(super) async fn members_come_and_go_and_nothing_is_lost<P: TestEnv<Handle: EventLog>>(run: &SuiteRun<'_, P>) {
    let handles = [run.env.handle().await, run.env.handle().await];
    let partitions = handles[0].partitions();
    let mut model = Model { next_position: 10_000, ..Model::default() };
    let mut members: Vec<Member<P>> = Vec::new();
    for _ in 0..STEPS {
        match run.random_below(10) {
            0..3 => append(run, run.pick(&handles), partitions, &mut model).await,
            3..7 if !members.is_empty() => {
                let chosen = run.random_below(members.len());
                let member = &mut members[chosen];
                run.poll(member, 1 + run.random_below(5)).await;
                // A member may crash before it stores what it has read.
                if run.random_bool(0.7) {
                    model.keep(member);
                }
            }
            7 if !members.is_empty() => {
                let chosen = run.random_below(members.len());
                let member = &mut members[chosen];
                model.keep(member);
                // Entries stay stored even if the commit is fenced.
                run.commit_all(member).await;
            }
            8 if !members.is_empty() => drop(members.swap_remove(run.random_below(members.len()))),
            _ => join(run, run.pick(&handles), &mut members).await,
        }
    }
    finish(run, &handles[0], members, &mut model).await;
    model.check();
}

async fn append<P: TestEnv<Handle: EventLog>>(
    run: &SuiteRun<'_, P>,
    log: &Arc<P::Handle>,
    partitions: Partitions,
    model: &mut Model,
) {
    let all: Vec<_> = partitions.iter().collect();
    let mut batch = Vec::new();
    for _ in 0..=run.random_below(4) {
        let partition = *run.pick(&all);
        model.next_position += 1;
        let entry = if run.random_bool(0.2) {
            watermark(partition, model.next_position)
        } else {
            event(partitions, partition, model.next_position)
        };
        model.appended.entry(partition).or_default().push(entry.clone());
        batch.push(entry);
    }
    run.append(log, &batch).await;
}

async fn join<P: TestEnv<Handle: EventLog>>(run: &SuiteRun<'_, P>, log: &Arc<P::Handle>, members: &mut Vec<Member<P>>) {
    if let Some(name) = NAMES.iter().find(|name| members.iter().all(|member| member.name != **name)) {
        members.push(run.join(log, GROUP, name).await);
    }
}

/// Lets all members but one leave, until the last one owns all partitions and has read to their ends.
async fn finish<P: TestEnv<Handle: EventLog>>(
    run: &SuiteRun<'_, P>,
    log: &Arc<P::Handle>,
    mut members: Vec<Member<P>>,
    model: &mut Model,
) {
    join(run, log, &mut members).await;
    for member in &mut members {
        model.keep(member);
    }
    let mut last = members.swap_remove(0);
    drop(members);
    let ends = run.ends(log).await;
    for _ in 0..10 {
        run.env.advance(run.env.session_timeout() / 4).await;
        run.poll(&mut last, 100).await;
    }
    run.poll_until("the last member reads to the end", &mut [&mut last], |members| {
        members[0].own.len() == ends.len()
            && ends.iter().zip(members[0].own.values()).all(|(end, next)| *next >= end.next_offset)
    })
    .await;
    model.keep(&mut last);
}
