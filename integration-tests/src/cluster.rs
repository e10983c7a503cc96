//! The processes of an installation and the place that outlives them.

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

/// The number of partitions of every cluster.
pub const PARTITIONS: u16 = 4;

/// How long a process may take to stop.
const STOP_MAX: Duration = Duration::from_secs(60);

/// Where everything is kept: what a restart finds again.
#[derive(Clone)]
pub struct Site {
    /// The stores without any wrapper.
    pub stores: Embedded,
}

impl Site {
    /// An empty site in memory, with the runtime's own time.
    #[must_use]
    pub fn new() -> Self {
        // 2026-01-01: any moment will do, as long as it is always the same.
        let clock = Arc::new(TokioClock::starting_at(Timestamp::from_micros(1_767_225_600_000_000)));
        let partitions = Partitions::new(PARTITIONS).unwrap();
        Self { stores: Embedded::open(&Storage::Memory, partitions, clock).unwrap() }
    }

    /// The same place after its cache was lost, as with a restart of the process that holds it.
    #[must_use]
    pub fn with_cold_cache(&self) -> Self {
        let mut stores = self.stores.clone();
        stores.cache = Arc::new(EmbeddedViewCache::new(1_000_000));
        Self { stores }
    }
}

impl Default for Site {
    fn default() -> Self {
        Self::new()
    }
}

/// The reader of a [`Process`].
pub type SiteReader =
    Reader<FaultyViewStore<EmbeddedViewStore>, FaultyViewStore<EmbeddedViewStore>, FaultyViewCache<EmbeddedViewCache>>;

/// A process with all stages in it, behind stores that may lie.
pub struct Process<D: Domain> {
    /// Takes commands.
    pub commands: CommandHandle<D>,
    /// Answers queries.
    pub reader: SiteReader,
    /// Decides who is lied to, and when the process dies.
    pub faults: FaultInjector,
    tasks: Tasks,
}

impl<D: Domain> Process<D> {
    /// Starts every stage. `name` tells processes of one site apart.
    #[must_use]
    pub fn start(site: &Site, name: &str, faults: FaultInjector) -> Self {
        let Embedded { events, log, views, cache } = site.stores.clone();
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
        let projector = diptych_projector::run::<D, _, _, _, _, _>(ports, config, tasks.shutdown());
        tasks.spawn_fallible("projector", projector);

        let ids: Vec<ViewId> = D::views().iter().map(|view| view.id()).collect();
        let partitions = Partitions::new(PARTITIONS).unwrap();
        let reader = Reader::start(Arc::clone(&views), views, cache, ids, partitions, QueryConfig::default(), &tasks);
        Self { commands, reader, faults, tasks }
    }

    /// Stops in good order.
    ///
    /// # Panics
    /// When a stage failed or does not stop.
    pub async fn stop(self) {
        self.tasks.shutdown().begin();
        self.tasks.finish(STOP_MAX).await.unwrap();
    }

    /// Dies: nothing that it still does reaches a store.
    pub async fn die(self) {
        self.faults.crash_after(0);
        self.tasks.shutdown().begin();
        // Whatever did not end well is dead now.
        let _dead = self.tasks.finish(STOP_MAX).await;
    }
}
