//! Readiness of a projector that replaces others: until then, those that write other tables must go on.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use diptych_kernel::{
    domain::ViewId,
    ports::{PortResult, ProgressStore, TableReader},
};
use diptych_runtime::{LogLimiter, pause};
use tokio::{sync::watch, time::Instant};

use crate::state::ProjectorState;

/// Time between two looks at the state and the readers.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// Time for which no query service may be registered once one was, or could not be seen: longer than a registration
/// lasts, so that one that restarts, or could not renew its registration, is not overlooked.
const UNREAD_MIN: Duration = Duration::from_secs(25);
/// Time between two log lines about the same wait.
const LOG_INTERVAL: Duration = Duration::from_secs(30);

/// Waits until a projector of these views may replace others: its views follow the log, and no query service reads a
/// table that it does not write. Tables of other generations, older or newer, would no longer be updated once their
/// last projector has stopped.
pub async fn wait_until_ready<P: ProgressStore>(
    state: watch::Receiver<ProjectorState>,
    progress: &P,
    views: &[ViewId],
) {
    let written: BTreeSet<String> = views.iter().map(ToString::to_string).collect();
    let mut limiter = LogLimiter::every(LOG_INTERVAL);
    let mut last_read_at = None;
    loop {
        let current = state.borrow().clone();
        let in_use = others_in_use(progress, &written).await;
        if !in_use.as_ref().is_ok_and(BTreeMap::is_empty) {
            last_read_at = Some(Instant::now());
        }
        let is_unread = last_read_at.is_none_or(|last: Instant| last.elapsed() >= UNREAD_MIN);
        if current == ProjectorState::Live && is_unread {
            return;
        }
        if limiter.allow().is_some() {
            match in_use {
                Ok(in_use) => log(&current, &in_use),
                Err(error) => {
                    tracing::warn!(%error, "the readers of views cannot be read; the projector is not ready yet");
                }
            }
        }
        pause(POLL_INTERVAL).await;
    }
}

/// The tables that are read and not written, each with its readers.
async fn others_in_use<P: ProgressStore>(
    progress: &P,
    written: &BTreeSet<String>,
) -> PortResult<BTreeMap<String, Vec<String>>> {
    let mut in_use = BTreeMap::<String, Vec<String>>::new();
    for TableReader { table, instance } in progress.readers().await? {
        if !written.contains(&table) {
            in_use.entry(table).or_default().push(instance);
        }
    }
    Ok(in_use)
}

fn log(state: &ProjectorState, in_use: &BTreeMap<String, Vec<String>>) {
    match state {
        ProjectorState::Joining => tracing::info!("not ready yet: waiting for partitions"),
        ProjectorState::Filling(views) => {
            let views: Vec<_> = views.iter().map(|(view, count)| format!("{view} ({count} partitions)")).collect();
            tracing::info!(views = views.join(", "), "not ready yet: tables of views are being filled");
        }
        ProjectorState::Live => {
            if in_use.is_empty() {
                tracing::info!(
                    "not ready yet: a query service that read other tables may come back within {UNREAD_MIN:?}"
                );
                return;
            }
            let in_use: Vec<_> =
                in_use.iter().map(|(table, readers)| format!("{table} by {}", readers.join(", "))).collect();
            tracing::info!(
                in_use = in_use.join("; "),
                "not ready yet: query services read tables that this projector does not write; the projectors that \
                 write them must go on"
            );
        }
    }
}
