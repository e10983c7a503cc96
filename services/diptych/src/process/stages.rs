//! Starting and stopping in the order of the data.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use diptych_runtime::{Shutdown, Tasks, UnfinishedTasks};
use futures::future::select_all;
use tokio::time::Instant;
use tracing::{info, warn};

/// The parts of the process, in the order in which data goes through them. Each is stopped when nothing comes into it any more, so that
/// what was taken in goes as far as it can.
pub(crate) struct Stages {
    /// The gRPC server: takes no new calls, and answers those that it has.
    pub(crate) server: Stage,
    /// The sequencer: commits what is queued.
    pub(crate) write: Stage,
    /// The relay: publishes what it has read.
    pub(crate) relay: Stage,
    /// The projector: writes what it has folded.
    pub(crate) project: Stage,
    /// What follows progress for queries.
    pub(crate) read: Stage,
    /// Metrics: until the end, so that the end can be watched.
    pub(crate) watch: Stage,
}

/// Tasks that stop together.
pub(crate) struct Stage {
    name: &'static str,
    tasks: Tasks,
    /// Whether this process has anything in it.
    is_used: AtomicBool,
}

impl Stage {
    fn new(name: &'static str) -> Self {
        Self { name, tasks: Tasks::new(Shutdown::new()), is_used: AtomicBool::new(false) }
    }

    /// Where its tasks are started.
    pub(crate) fn tasks(&self) -> &Tasks {
        self.is_used.store(true, Ordering::Relaxed);
        &self.tasks
    }

    /// What tells its tasks to stop.
    pub(crate) fn shutdown(&self) -> Shutdown {
        self.tasks.shutdown()
    }

    /// Stops, and returns whether all went well.
    async fn finish(&self, bound: Duration) -> bool {
        self.tasks.shutdown().begin();
        let finished = self.tasks.clone().finish(bound).await;
        match finished {
            Ok(()) if self.is_used.load(Ordering::Relaxed) => info!(stage = self.name, "stage stopped"),
            Ok(()) => {}
            Err(unfinished) => {
                let UnfinishedTasks { failed, running } = unfinished;
                warn!(stage = self.name, ?failed, ?running, "stage did not end well");
                return false;
            }
        }
        true
    }
}

impl Stages {
    pub(crate) fn new() -> Self {
        Self {
            server: Stage::new("server"),
            write: Stage::new("write"),
            relay: Stage::new("relay"),
            project: Stage::new("project"),
            read: Stage::new("read"),
            watch: Stage::new("watch"),
        }
    }

    /// Returns when a stage has begun to shut down by itself: one of its tasks has failed.
    pub(crate) async fn any_stopped(&self) {
        let shutdowns = self.in_order().map(Stage::shutdown);
        select_all(shutdowns.iter().map(|shutdown| Box::pin(shutdown.begun()))).await;
    }

    /// Stops one after another, and waits for each; all of it takes `bound` at most. Returns whether all went well.
    pub(crate) async fn finish(&self, bound: Duration) -> bool {
        let until = Instant::now() + bound;
        let mut well = true;
        for stage in self.in_order() {
            well &= stage.finish(until.saturating_duration_since(Instant::now())).await;
        }
        well
    }

    fn in_order(&self) -> [&Stage; 6] {
        [&self.server, &self.write, &self.relay, &self.project, &self.read, &self.watch]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn stages_stop_one_after_another() {
        let stages = Stages::new();
        let (stopping, mut stopped) = tokio::sync::mpsc::unbounded_channel();
        for stage in stages.in_order() {
            let (name, shutdown, stopping) = (stage.name, stage.shutdown(), stopping.clone());
            stage.tasks().spawn("part", async move {
                shutdown.begun().await;
                // Others would overtake here if they were told already.
                tokio::task::yield_now().await;
                stopping.send(name).unwrap();
            });
        }
        assert!(stages.finish(SOON).await);
        let order: Vec<_> = std::iter::from_fn(|| stopped.try_recv().ok()).collect();
        assert_eq!(order, ["server", "write", "relay", "project", "read", "watch"]);
    }

    #[tokio::test]
    async fn a_part_that_fails_is_noticed() {
        let stages = Stages::new();
        stages.relay.tasks().spawn_fallible("relay", async { Err("the log is gone") });
        stages.any_stopped().await;
        assert!(!stages.finish(SOON).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_part_that_hangs_does_not_hold_the_end_up() {
        let stages = Stages::new();
        stages.write.tasks().spawn("sequencer", std::future::pending());
        let began_at = Instant::now();
        assert!(!stages.finish(SOON).await);
        assert!(began_at.elapsed() < SOON + Duration::from_millis(100), "{:?}", began_at.elapsed());
    }
}
