//! Log of the successful and failed calls of all callers.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{sync::watch, time::Instant};
use tonic::Status;

/// Kind of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallKind {
    /// A command.
    Command,
    /// A read with the token of a command.
    OwnWrite,
    /// A read without a token.
    Query,
}

impl CallKind {
    pub(crate) const ALL: [Self; 3] = [Self::Command, Self::OwnWrite, Self::Query];
}

/// Calls of all callers.
#[derive(Debug)]
pub(crate) struct CallLog {
    callers: Mutex<Vec<Arc<CallerLog>>>,
    changes: watch::Sender<()>,
}

/// Records the calls of one kind of one caller.
#[derive(Clone, Debug)]
pub(crate) struct CallRecorder {
    log: Arc<CallerLog>,
    changes: watch::Sender<()>,
}

#[derive(Debug)]
/// Calls of one kind of one caller.
struct CallerLog {
    kind: CallKind,
    successes: Mutex<Vec<Success>>,
    failures: Mutex<Vec<(Instant, String)>>,
}

#[derive(Clone, Copy, Debug)]
struct Success {
    /// Start of the command or query; for a read of an own write, when its command was acknowledged.
    requested_at: Instant,
    at: Instant,
}

impl CallLog {
    pub(crate) fn new() -> Self {
        Self { callers: Mutex::default(), changes: watch::Sender::new(()) }
    }

    pub(crate) fn recorder(&self, kind: CallKind) -> CallRecorder {
        let log = Arc::new(CallerLog { kind, successes: Mutex::default(), failures: Mutex::default() });
        self.callers.lock().push(Arc::clone(&log));
        CallRecorder { log, changes: self.changes.clone() }
    }

    /// Waits until every caller has had `count` successes of each of these kinds with calls that were requested since a
    /// time.
    pub(crate) async fn until_all_succeed(&self, kinds: &[CallKind], count: usize, since: Instant) {
        let mut changes = self.changes.subscribe();
        let has_succeeded = |log: &Arc<CallerLog>| !kinds.contains(&log.kind) || log.has_succeeded(count, since);
        while !self.callers.lock().iter().all(has_succeeded) {
            changes.changed().await.unwrap();
        }
    }

    /// The longest time between two consecutive successes of one caller, the later of them since `from`.
    pub(crate) fn longest_pause(&self, kind: CallKind, from: Instant) -> Duration {
        let callers = self.callers.lock();
        callers.iter().filter(|log| log.kind == kind).map(|log| log.longest_pause(from)).max().unwrap_or_default()
    }

    /// The longest pauses of callers since a time, as text.
    pub(crate) fn pauses(&self, from: Instant) -> String {
        let [commands, own_writes, queries] = CallKind::ALL.map(|kind| self.longest_pause(kind, from).as_secs_f32());
        format!("longest pauses: commands {commands:.1} s, own writes {own_writes:.1} s, queries {queries:.1} s")
    }

    /// Number of successful calls.
    pub(crate) fn successes_count(&self, kind: CallKind) -> usize {
        let callers = self.callers.lock();
        callers.iter().filter(|log| log.kind == kind).map(|log| log.successes.lock().len()).sum()
    }

    /// Every failed attempt since a time.
    pub(crate) fn failures(&self, since: Instant) -> Vec<String> {
        let of_caller = |log: &Arc<CallerLog>| {
            let failures = log.failures.lock();
            let later = failures.iter().filter(|(at, _)| *at >= since);
            later.map(|(_, what)| format!("{:?}: {what}", log.kind)).collect::<Vec<_>>()
        };
        self.callers.lock().iter().flat_map(of_caller).collect()
    }
}

impl CallRecorder {
    /// Records a success.
    pub(crate) fn succeeded(&self, requested_at: Instant) {
        self.log.successes.lock().push(Success { requested_at, at: Instant::now() });
        self.changes.send_replace(());
    }

    /// Records a failed attempt, which will be retried.
    pub(crate) fn failed(&self, status: &Status) {
        self.log.failures.lock().push((Instant::now(), format!("{:?} {}", status.code(), status.message())));
    }
}

impl CallerLog {
    fn has_succeeded(&self, count: usize, since: Instant) -> bool {
        let successes = self.successes.lock();
        // Successes are in order of time; a recent success may belong to an older request while a caller catches up.
        successes.iter().rev().take_while(|success| success.at >= since).filter(|s| s.requested_at >= since).count()
            >= count
    }

    fn longest_pause(&self, from: Instant) -> Duration {
        let successes = self.successes.lock();
        let times = successes.windows(2).filter_map(|pair| match pair {
            [before, after] if after.at >= from => Some(after.at.duration_since(before.at)),
            _ => None,
        });
        times.max().unwrap_or_default()
    }
}
