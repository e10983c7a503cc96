//! The processes of an installation and the place that outlives them.

use std::{sync::Arc, time::Duration};

use diptych_command::{CommandHandle, SequencerConfig};
use diptych_embedded::{Embedded, EmbeddedEventLog, EmbeddedEventStore, EmbeddedViewCache, EmbeddedViewStore, Place};
use diptych_kernel::{
    Partitions, Timestamp,
    domain::{Domain, ViewId},
    testing::lying::{Liar, LyingEventLog, LyingEventStore, LyingViewCache, LyingViewStore},
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
        Self { stores: Embedded::open(&Place::Memory, partitions, clock).unwrap() }
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
    Reader<LyingViewStore<EmbeddedViewStore>, LyingViewStore<EmbeddedViewStore>, LyingViewCache<EmbeddedViewCache>>;

/// A process with all stages in it, behind stores that may lie.
pub struct Process<D: Domain> {
    /// Takes commands.
    pub commands: CommandHandle<D>,
    /// Answers queries.
    pub reader: SiteReader,
    /// Decides who is lied to, and when the process dies.
    pub liar: Liar,
    tasks: Tasks,
}

impl<D: Domain> Process<D> {
    /// Starts every stage. `name` tells processes of one site apart.
    #[must_use]
    pub fn start(site: &Site, name: &str, liar: Liar) -> Self {
        let Embedded { events, log, views, cache } = site.stores.clone();
        let events: Arc<LyingEventStore<EmbeddedEventStore>> = Arc::new(LyingEventStore::new(events, liar.clone()));
        let log: Arc<LyingEventLog<EmbeddedEventLog>> = Arc::new(LyingEventLog::new(log, liar.clone()));
        let views = Arc::new(LyingViewStore::new(views, liar.clone()));
        let cache = Arc::new(LyingViewCache::new(cache, liar.clone()));
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
        Self { commands, reader, liar, tasks }
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
        self.liar.crash_after(0);
        self.tasks.shutdown().begin();
        // Whatever did not end well is dead now.
        let _dead = self.tasks.finish(STOP_MAX).await;
    }
}
