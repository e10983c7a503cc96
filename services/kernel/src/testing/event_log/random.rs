//! Members that come and go while others append.

use std::{collections::BTreeMap, sync::Arc};

use super::fixture::{Member, event, position, watermark};
use crate::{
    ports::{EventLog, LogEntry},
    testing::{TestEnv, support::Trial},
    vocabulary::{Partition, Partitions},
};

const STEPS: usize = 60;
const GROUP: &str = "random";
const NAMES: [&str; 3] = ["ada", "bob", "eve"];

/// What was put on the log, and what a group has made of it.
#[derive(Default)]
struct Model {
    next_position: i64,
    appended: BTreeMap<Partition, Vec<LogEntry>>,
    /// What the group keeps elsewhere, in the order of reading.
    kept: BTreeMap<Partition, Vec<LogEntry>>,
}

impl Model {
    /// What a member has read becomes durable. Repeats are known by position.
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
            assert_eq!(kept, *appended, "partition {partition}: everything, once, in the order of appending");
            assert!(kept.is_sorted_by_key(position));
        }
    }
}

pub(super) async fn members_come_and_go_and_nothing_is_lost<P: TestEnv<Handle: EventLog>>(trial: &Trial<'_, P>) {
    let handles = [trial.env.handle().await, trial.env.handle().await];
    let partitions = handles[0].partitions();
    let mut model = Model { next_position: 10_000, ..Model::default() };
    let mut members: Vec<Member<P>> = Vec::new();
    for _ in 0..STEPS {
        match trial.below(10) {
            0..3 => append(trial, trial.pick(&handles), partitions, &mut model).await,
            3..7 if !members.is_empty() => {
                let chosen = trial.below(members.len());
                let member = &mut members[chosen];
                trial.poll(member, 1 + trial.below(5)).await;
                // Not every read is followed by the work on it: the member may die before.
                if trial.chance(0.7) {
                    model.keep(member);
                }
            }
            7 if !members.is_empty() => {
                let chosen = trial.below(members.len());
                let member = &mut members[chosen];
                model.keep(member);
                // Fenced or not, what was kept is kept.
                trial.commit_all(member).await;
            }
            8 if !members.is_empty() => drop(members.swap_remove(trial.below(members.len()))),
            _ => join(trial, trial.pick(&handles), &mut members).await,
        }
    }
    finish(trial, &handles[0], members, &mut model).await;
    model.check();
}

async fn append<P: TestEnv<Handle: EventLog>>(
    trial: &Trial<'_, P>,
    log: &Arc<P::Handle>,
    partitions: Partitions,
    model: &mut Model,
) {
    let all: Vec<_> = partitions.iter().collect();
    let mut batch = Vec::new();
    for _ in 0..=trial.below(4) {
        let partition = *trial.pick(&all);
        model.next_position += 1;
        let entry = if trial.chance(0.2) {
            watermark(partition, model.next_position)
        } else {
            event(partitions, partition, model.next_position)
        };
        model.appended.entry(partition).or_default().push(entry.clone());
        batch.push(entry);
    }
    trial.put(log, &batch).await;
}

async fn join<P: TestEnv<Handle: EventLog>>(trial: &Trial<'_, P>, log: &Arc<P::Handle>, members: &mut Vec<Member<P>>) {
    if let Some(name) = NAMES.iter().find(|name| members.iter().all(|member| member.name != **name)) {
        members.push(trial.join(log, GROUP, name).await);
    }
}

/// Lets one member after another leave, until the last has everything and has read all there is.
async fn finish<P: TestEnv<Handle: EventLog>>(
    trial: &Trial<'_, P>,
    log: &Arc<P::Handle>,
    mut members: Vec<Member<P>>,
    model: &mut Model,
) {
    join(trial, log, &mut members).await;
    for member in &mut members {
        model.keep(member);
    }
    let mut last = members.swap_remove(0);
    drop(members);
    let ends = trial.ends(log).await;
    for _ in 0..10 {
        trial.env.advance(trial.env.session_timeout() / 4).await;
        trial.poll(&mut last, 100).await;
    }
    trial
        .poll_until("the last member has read all", &mut [&mut last], |members| {
            members[0].own.len() == ends.len()
                && ends.iter().zip(members[0].own.values()).all(|(end, next)| *next >= end.next_offset)
        })
        .await;
    model.keep(&mut last);
}
