//! Rows of single keys: the cache as a decorator over the read database.
//!
//! Answered from the read database is only what the cache can no longer contradict (G7):
//!
//! | what the cache said before the read | what happens to it before the answer |
//! |---|---|
//! | a miss, with a lease | the row is put there; a refusal means that the key changed meanwhile: the row is read again, the key forgotten |
//! | a row that will not do | forgotten, so that the next miss brings a lease; not before the read, so that an outage leaves what there is |
//! | another reader is filling it | that one gets a moment; then the key is read, and forgotten, which ends a lease whose holder is gone |
//! | it failed | nothing |

use std::{collections::HashSet, future::Future, sync::Arc, time::Duration};

use diptych_kernel::{
    Partition, Position, StreamId,
    domain::{RowKey, ViewId},
    ports::{CacheRead, CachedRow, FillLease, PortError, PortResult, Row, ViewCache, ViewStore},
};
use diptych_runtime::{pause, trace};
use futures::future::join_all;
use tokio::time::timeout;
use tracing::{Instrument, Span};

use crate::{
    board::{ProgressBoard, Slot},
    config::QueryConfig,
    error::Trouble,
    flights::Flights,
    metrics::Metrics,
    outage::Outage,
    store::Store,
    trace::cache_call,
};

/// How long another reader gets to fill a key, each time, and how often. A read of the read database takes about this long.
const FILLER_PAUSE: Duration = Duration::from_millis(2);
const FILLER_PAUSES_MAX: usize = 3;

/// What the cache says about a key.
#[derive(Clone, Debug)]
pub(crate) enum Found {
    /// This.
    Row(CachedRow),
    /// Nothing, and what is read may be put there.
    Lease(FillLease),
    /// Nothing, and another reader is filling it.
    Filling,
    /// It failed.
    Failure,
}

/// A row that the cache does not have, or not fresh enough.
#[derive(Clone, Debug)]
pub(crate) struct Missing {
    pub(crate) key: RowKey,
    pub(crate) partition: Partition,
    /// The stream of which the row is made; `None` where it is made of many streams of the partition.
    pub(crate) stream: Option<StreamId>,
    /// What the cache said.
    pub(crate) found: Found,
}

/// A row of the read database.
struct Fetched {
    row: CachedRow,
    /// Whether the row is right up to `as_of`. Where something is parked nobody knows, and the row must not be cached.
    right: bool,
}

/// What became of the cache after a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Filled {
    /// It has the row, or cannot be reached.
    Settled,
    /// The key changed since the lease was given, so there may be a newer row than the one that was read.
    Refused,
    /// It may have an older row, or a lease that nobody uses.
    Not,
}

/// Rows from the cache, or else from the read database.
pub(crate) struct CachedRows<V, C> {
    store: Store<V>,
    cache: Arc<C>,
    board: ProgressBoard,
    flights: Arc<Flights>,
    cache_timeout: Duration,
    outage: Outage,
    metrics: Arc<Metrics>,
}

impl<V: ViewStore, C: ViewCache> CachedRows<V, C> {
    pub(crate) fn new(
        store: Store<V>,
        cache: Arc<C>,
        board: ProgressBoard,
        config: &QueryConfig,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            store,
            cache,
            board,
            flights: Arc::default(),
            cache_timeout: config.cache_timeout,
            outage: Outage::new("the cache"),
            metrics,
        }
    }

    /// The read database without the cache.
    pub(crate) fn store(&self) -> &Store<V> {
        &self.store
    }

    /// What the cache says about these keys, in order.
    pub(crate) async fn look(&self, view: ViewId, keys: &[RowKey]) -> Vec<Found> {
        match self.cache_answer(cache_call("get", view, keys.len()), self.cache.read(view, keys)).await {
            Some(reads) if reads.len() == keys.len() => reads.into_iter().map(Found::from).collect(),
            _ => vec![Found::Failure; keys.len()],
        }
    }

    /// Reads rows that the cache does not have. One alone shares the read with all who miss it at the same time.
    pub(crate) async fn fetch(
        self: &Arc<Self>,
        view: ViewId,
        view_number: usize,
        missing: Vec<Missing>,
    ) -> Result<Vec<CachedRow>, Trouble> {
        let [alone] = missing.as_slice() else { return self.fetch_all(view, view_number, missing).await };
        let id = (view, alone.key.clone());
        let has_lease = matches!(alone.found, Found::Lease(_));
        let rows = Arc::clone(self);
        // Whoever polls it, it is of the query that has begun it.
        let query = trace::current().unwrap_or_else(Span::none);
        let read = async move {
            let read = rows.fetch_all(view, view_number, missing).await?;
            read.into_iter().next().ok_or(Trouble::Internal)
        };
        let flight = self.flights.join(id, has_lease, || read.instrument(query));
        Ok(vec![flight.await?])
    }

    async fn fetch_all(
        &self,
        view: ViewId,
        view_number: usize,
        mut missing: Vec<Missing>,
    ) -> Result<Vec<CachedRow>, Trouble> {
        let mut filled = self.await_fillers(view, &mut missing).await;
        let to_read: Vec<_> =
            missing.iter().zip(&filled).filter(|(_, filled)| filled.is_none()).map(|(m, _)| m).collect();
        if !to_read.is_empty() {
            self.metrics.cache_misses.increment(u64::try_from(to_read.len()).unwrap_or(u64::MAX));
            let mut read = self.read_store(view, view_number, &to_read).await?;
            self.settle(view, view_number, &to_read, &mut read).await?;
            let mut read = read.into_iter().map(|fetched| fetched.row);
            for row in filled.iter_mut().filter(|filled| filled.is_none()) {
                *row = read.next();
            }
        }
        filled.into_iter().collect::<Option<Vec<_>>>().ok_or(Trouble::Internal)
    }

    /// Gives other readers a moment to fill what they have the lease for. Returns what they filled.
    async fn await_fillers(&self, view: ViewId, missing: &mut [Missing]) -> Vec<Option<CachedRow>> {
        let mut filled = vec![None; missing.len()];
        let leased: HashSet<_> =
            missing.iter().filter(|m| matches!(m.found, Found::Lease(_))).map(|m| m.key.clone()).collect();
        for twice in missing.iter_mut().filter(|m| matches!(m.found, Found::Filling) && leased.contains(&m.key)) {
            // Asked for twice in one call: the one who fills it is this call.
            twice.found = Found::Failure;
        }
        for _ in 0..FILLER_PAUSES_MAX {
            let mut filling: Vec<_> = missing
                .iter_mut()
                .zip(&mut filled)
                .filter(|(missing, filled)| filled.is_none() && matches!(missing.found, Found::Filling))
                .collect();
            if filling.is_empty() {
                break;
            }
            pause(FILLER_PAUSE).await;
            let keys: Vec<_> = filling.iter().map(|(missing, _)| missing.key.clone()).collect();
            let found = self.look(view, &keys).await;
            for ((missing, filled), found) in filling.iter_mut().zip(found) {
                match found {
                    Found::Row(row) => **filled = Some(row),
                    other => missing.found = other,
                }
            }
        }
        filled
    }

    async fn read_store(
        &self,
        view: ViewId,
        view_number: usize,
        missing: &[&Missing],
    ) -> Result<Vec<Fetched>, Trouble> {
        // Before the rows: what is read after the view had got to a position is right up to it.
        let snapshot = self.board.snapshot().ok_or(Trouble::Unavailable)?;
        let keys: Vec<_> = missing.iter().map(|missing| missing.key.clone()).collect();
        let rows = self.store.read(view, &keys).await?;
        let fetched = missing.iter().zip(rows).map(|(missing, row)| {
            let slot = snapshot.slot(view_number, missing.partition);
            as_fetched(row, slot.filter(|slot| slot.is_whole(missing.stream.as_ref())))
        });
        Ok(fetched.collect())
    }

    /// Brings the cache into line with what was read; see the table at the top.
    async fn settle(
        &self,
        view: ViewId,
        view_number: usize,
        missing: &[&Missing],
        read: &mut [Fetched],
    ) -> Result<(), Trouble> {
        let outcomes = join_all(missing.iter().zip(&*read).map(|(m, fetched)| self.fill(view, m, fetched))).await;
        let (mut again, mut places, mut forget) = (Vec::new(), Vec::new(), Vec::new());
        for ((outcome, missing), place) in outcomes.into_iter().zip(missing).zip(read) {
            if outcome != Filled::Settled {
                forget.push(missing.key.clone());
            }
            if outcome == Filled::Refused {
                again.push(*missing);
                places.push(place);
            }
        }
        if !again.is_empty() {
            let rows = self.read_store(view, view_number, &again).await?;
            for (place, row) in places.into_iter().zip(rows) {
                *place = row;
            }
        }
        self.forget(view, &forget).await;
        Ok(())
    }

    /// Has the cache forget keys and end their leases. Where that fails, it goes on with what it has; tokens still hold.
    pub(crate) async fn forget(&self, view: ViewId, keys: &[RowKey]) {
        if !keys.is_empty() {
            let span = cache_call("delete", view, keys.len());
            let _ = self.cache_answer(span, self.cache.invalidate(view, keys)).await;
        }
    }

    async fn fill(&self, view: ViewId, missing: &Missing, fetched: &Fetched) -> Filled {
        let lease = match missing.found {
            Found::Failure => return Filled::Settled,
            Found::Lease(lease) if fetched.right => lease,
            _ => return Filled::Not,
        };
        let fill = self.cache.fill(view, &missing.key, lease, fetched.row.clone());
        match self.cache_answer(cache_call("set", view, 1), fill).await {
            Some(true) => Filled::Settled,
            Some(false) => Filled::Refused,
            None => Filled::Not,
        }
    }

    /// What the cache answers; `None`, counted, where it fails or takes too long.
    async fn cache_answer<T>(&self, span: Span, answer: impl Future<Output = PortResult<T>>) -> Option<T> {
        let failure = match timeout(self.cache_timeout, answer.instrument(span.clone())).await {
            Ok(Ok(answer)) => {
                self.outage.note_success();
                return Some(answer);
            }
            Ok(Err(failure)) => failure,
            Err(_) => PortError::unknown("the cache took too long"),
        };
        trace::fail(&span, "unavailable");
        self.metrics.cache_failures.increment(1);
        self.outage.note_failure(&failure);
        None
    }
}

impl From<CacheRead> for Found {
    fn from(read: CacheRead) -> Self {
        match read {
            CacheRead::Hit(row) => Self::Row(row),
            CacheRead::Miss(lease) => Self::Lease(lease),
            CacheRead::Filling => Self::Filling,
        }
    }
}

/// A row of the read database, read after the view had got as far as `slot` says.
fn as_fetched(row: Option<Row>, slot: Option<&Slot>) -> Fetched {
    let Row { position, body } = row.unwrap_or(Row { position: Position::START, body: None });
    let progress = slot.map_or(Position::START, |slot| slot.position);
    let as_of_time = slot.and_then(|slot| slot.as_of).unwrap_or_default();
    // A row may be ahead of its view's progress: rows are written first.
    Fetched { row: CachedRow { position, as_of: position.max(progress), as_of_time, body }, right: slot.is_some() }
}
