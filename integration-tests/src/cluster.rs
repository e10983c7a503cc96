//! Simulated processes, and the stores that outlive them.

use std::{sync::Arc, time::Duration};

use diptych_command::{CommandHandle, SequencerConfig};
use diptych_embedded::{Embedded, EmbeddedEventLog, EmbeddedEventStore, EmbeddedViewCache, EmbeddedViewStore, Storage};
use diptych_kernel::{
    Partitions, Timestamp,
    domain::{Domain, ViewId},
    testing::faulty::{FaultInjector, FaultyEventLog, FaultyEventStore, FaultyViewCache, FaultyViewStore},
};
use diptych_projector::{Ports, ProjectorConfig};
use diptych_query::{QueryConfig, Reader};
use diptych_relay::RelayConfig;
use diptych_runtime::{Shutdown, Tasks, TokioClock};
use tokio::sync::watch;

/// The number of partitions of every cluster.
pub const PARTITIONS: u16 = 4;

/// Timeout of a graceful stop.
const STOP_MAX: Duration = Duration::from_secs(60);

/// The stores of a cluster. They outlive its processes.
#[derive(Clone)]
pub struct ClusterStores {
    /// The adapters without fault injection.
    pub adapters: Embedded,
}

impl ClusterStores {
    /// Opens empty stores in memory, with the clock of the Tokio runtime.
    #[must_use]
    pub fn new() -> Self {
        // 2026-01-01: any constant will do.
        let clock = Arc::new(TokioClock::starting_at(Timestamp::from_micros(1_767_225_600_000_000)));
        let partitions = Partitions::new(PARTITIONS).unwrap();
        Self { adapters: Embedded::open(&Storage::Memory, partitions, clock).unwrap() }
    }

    /// The same stores with an empty cache, as after a restart of the cache.
    #[must_use]
    pub fn with_cold_cache(&self) -> Self {
        let mut adapters = self.adapters.clone();
        adapters.cache = Arc::new(EmbeddedViewCache::new(1_000_000));
        Self { adapters }
    }
}

impl Default for ClusterStores {
    fn default() -> Self {
        Self::new()
    }
}

/// The reader of a [`SimulatedProcess`].
pub type FaultyReader =
    Reader<FaultyViewStore<EmbeddedViewStore>, FaultyViewStore<EmbeddedViewStore>, FaultyViewCache<EmbeddedViewCache>>;

/// A process with all components of the pipeline, on stores with injected faults.
pub struct SimulatedProcess<D: Domain> {
    /// Executes commands.
    pub commands: CommandHandle<D>,
    /// Answers queries.
    pub reader: FaultyReader,
    /// Injects faults, and crashes the process.
    pub faults: FaultInjector,
    tasks: Tasks,
}

impl<D: Domain> SimulatedProcess<D> {
    /// Starts every component. `name` distinguishes the processes of one cluster.
    #[must_use]
    pub fn start(stores: &ClusterStores, name: &str, faults: FaultInjector) -> Self {
        let Embedded { events, log, views, cache, .. } = stores.adapters.clone();
        let events: Arc<FaultyEventStore<EmbeddedEventStore>> = Arc::new(FaultyEventStore::new(events, faults.clone()));
        let log: Arc<FaultyEventLog<EmbeddedEventLog>> = Arc::new(FaultyEventLog::new(log, faults.clone()));
        let views = Arc::new(FaultyViewStore::new(views, faults.clone()));
        let cache = Arc::new(FaultyViewCache::new(cache, faults.clone()));
        let tasks = Tasks::new(Shutdown::new());

        let config = SequencerConfig { snapshot_every_events: 4, ..SequencerConfig::default() };
        let commands = diptych_command::start::<D, _>(Arc::clone(&events), config, &tasks);

        let relay = diptych_relay::run(Arc::clone(&events), Arc::clone(&log), RelayConfig::new(name), tasks.shutdown());
        tasks.spawn_fallible("relay", relay);

        let ports =
            Ports { events, log, views: Arc::clone(&views), progress: Arc::clone(&views), cache: Arc::clone(&cache) };
        let config = ProjectorConfig { batch_records_max: 7, ..ProjectorConfig::new("projector", name) };
        let projector =
            diptych_projector::run::<D, _, _, _, _, _>(ports, config, watch::Sender::default(), tasks.shutdown());
        tasks.spawn_fallible("projector", projector);

        let ids: Vec<ViewId> = D::views().iter().map(|view| view.id()).collect();
        let partitions = Partitions::new(PARTITIONS).unwrap();
        let reader = Reader::start(Arc::clone(&views), views, cache, ids, partitions, QueryConfig::default(), &tasks);
        Self { commands, reader, faults, tasks }
    }

    /// Stops gracefully.
    ///
    /// # Panics
    /// If a component failed or does not stop.
    pub async fn stop(self) {
        self.tasks.shutdown().begin();
        self.tasks.finish(STOP_MAX).await.unwrap();
    }

    /// Crashes: no further call reaches a store.
    pub async fn crash(self) {
        self.faults.crash_after(0);
        self.tasks.shutdown().begin();
        // Components may fail, because their stores do.
        let _crashed = self.tasks.finish(STOP_MAX).await;
    }
}
