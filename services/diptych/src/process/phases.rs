//! Shutdown phases: the parts of a process, stopped in the order in which data flows through them.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use diptych_runtime::{Shutdown, Tasks, UnfinishedTasks};
use futures::future::select_all;
use tokio::time::Instant;
use tracing::{info, warn};

/// The parts of a process, in the order in which data flows through them. Each is stopped once the one before it has
/// stopped, so that data that was accepted is processed as far as possible.
pub(crate) struct ShutdownPhases {
    /// The gRPC server: takes no new calls, and answers those in flight.
    pub(crate) grpc: ShutdownPhase,
    /// The write path: commits the commands that are queued.
    pub(crate) command: ShutdownPhase,
    /// The relay: publishes the batch that is being appended. What it has only read, the next leader reads again.
    pub(crate) relay: ShutdownPhase,
    /// The projector: writes the rows that it has computed.
    pub(crate) projector: ShutdownPhase,
    /// The query path: stops tracking progress.
    pub(crate) query: ShutdownPhase,
    /// The metrics server, last, so that shutdown can be observed.
    pub(crate) metrics: ShutdownPhase,
}

/// Tasks that are stopped together.
pub(crate) struct ShutdownPhase {
    name: &'static str,
    tasks: Tasks,
    /// True if this process runs tasks in it.
    is_used: AtomicBool,
}

impl ShutdownPhase {
    fn new(name: &'static str) -> Self {
        Self { name, tasks: Tasks::new(Shutdown::new()), is_used: AtomicBool::new(false) }
    }

    /// The task group to start its tasks in.
    pub(crate) fn tasks(&self) -> &Tasks {
        self.is_used.store(true, Ordering::Relaxed);
        &self.tasks
    }

    /// The signal that tells its tasks to stop.
    pub(crate) fn shutdown(&self) -> Shutdown {
        self.tasks.shutdown()
    }

    /// Stops its tasks within `timeout`. Returns whether all of them stopped without failure.
    async fn finish(&self, timeout: Duration) -> bool {
        self.tasks.shutdown().begin();
        let finished = self.tasks.clone().finish(timeout).await;
        match finished {
            Ok(()) if self.is_used.load(Ordering::Relaxed) => info!(phase = self.name, "shutdown phase finished"),
            Ok(()) => {}
            Err(unfinished) => {
                let UnfinishedTasks { failed, running } = unfinished;
                warn!(phase = self.name, ?failed, ?running, "shutdown phase failed: tasks failed or still run");
                return false;
            }
        }
        true
    }
}

impl ShutdownPhases {
    pub(crate) fn new() -> Self {
        Self {
            grpc: ShutdownPhase::new("grpc"),
            command: ShutdownPhase::new("command"),
            relay: ShutdownPhase::new("relay"),
            projector: ShutdownPhase::new("projector"),
            query: ShutdownPhase::new("query"),
            metrics: ShutdownPhase::new("metrics"),
        }
    }

    /// Returns when a phase has begun to shut down by itself because one of its tasks failed.
    pub(crate) async fn any_failed(&self) {
        let shutdowns = self.in_order().map(ShutdownPhase::shutdown);
        select_all(shutdowns.iter().map(|shutdown| Box::pin(shutdown.begun()))).await;
    }

    /// Runs the phases one after another, within `timeout` in all. Returns whether all tasks stopped without failure.
    pub(crate) async fn finish(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let mut succeeded = true;
        for phase in self.in_order() {
            succeeded &= phase.finish(deadline.saturating_duration_since(Instant::now())).await;
        }
        succeeded
    }

    fn in_order(&self) -> [&ShutdownPhase; 6] {
        [&self.grpc, &self.command, &self.relay, &self.projector, &self.query, &self.metrics]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn phases_run_one_after_another() {
        let phases = ShutdownPhases::new();
        let (stopping, mut stopped) = tokio::sync::mpsc::unbounded_channel();
        for phase in phases.in_order() {
            let (name, shutdown, stopping) = (phase.name, phase.shutdown(), stopping.clone());
            phase.tasks().spawn("task", async move {
                shutdown.begun().await;
                // Other phases would overtake here if they had begun already.
                tokio::task::yield_now().await;
                stopping.send(name).unwrap();
            });
        }
        assert!(phases.finish(TIMEOUT).await);
        let order: Vec<_> = std::iter::from_fn(|| stopped.try_recv().ok()).collect();
        assert_eq!(order, ["grpc", "command", "relay", "projector", "query", "metrics"]);
    }

    #[tokio::test]
    async fn a_task_that_fails_is_noticed() {
        let phases = ShutdownPhases::new();
        phases.relay.tasks().spawn_fallible("relay", async { Err("the log is gone") });
        phases.any_failed().await;
        assert!(!phases.finish(TIMEOUT).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_hangs_does_not_block_shutdown() {
        let phases = ShutdownPhases::new();
        phases.command.tasks().spawn("sequencer", std::future::pending());
        let began_at = Instant::now();
        assert!(!phases.finish(TIMEOUT).await);
        assert!(began_at.elapsed() < TIMEOUT + Duration::from_millis(100), "{:?}", began_at.elapsed());
    }
}
