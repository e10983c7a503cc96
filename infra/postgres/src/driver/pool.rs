//! Connection pools, and sessions borrowed from them.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use deadpool_postgres::{Manager, ManagerConfig, Object, PoolError, RecyclingMethod, Runtime, TimeoutType, Timeouts};
use diptych_kernel::{
    Position,
    ports::{PortError, PortResult},
};
use tokio::time::Instant;
use tokio_postgres::{Row, types::ToSql};

use super::{
    columns::SqlRow,
    connection::ConnectionFactory,
    error::StatementError,
    known_history::{HISTORY_CHECK, KnownHistory},
    pool_epoch::PoolEpoch,
    target::ConnectionTarget,
};
use crate::config::PostgresConfig;

const SUSPEND_APPENDS: &str = include_str!("../../queries/suspend_appends.sql");

/// A pool of connections, opened on demand. Clones share the same pool.
#[derive(Clone)]
pub(crate) struct Pool {
    pool: deadpool_postgres::Pool,
    target: ConnectionTarget,
    answer_timeout: Duration,
    pool_timeout: Duration,
    connect_timeout: Duration,
    cancelled_waits: Arc<AtomicU64>,
    pool_epoch: PoolEpoch,
    history: KnownHistory,
}

impl Pool {
    pub(crate) fn new(
        config: &PostgresConfig,
        connections: ConnectionFactory,
        history: KnownHistory,
        connections_max: usize,
    ) -> PortResult<Self> {
        let (cancelled_waits, pool_epoch) = (connections.cancelled_waits(), connections.pool_epoch());
        let target = connections.target().clone();
        // A broken connection is found by using it: a test before each use would cost another round trip.
        let manager_config = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_connect(tokio_postgres::Config::new(), connections, manager_config);
        let timeouts =
            Timeouts { wait: Some(config.pool_timeout), create: Some(config.connect_timeout), recycle: None };
        let pool = deadpool_postgres::Pool::builder(manager)
            .max_size(connections_max.max(1))
            .timeouts(timeouts)
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| PortError::operator("cannot set up the connection pool for Postgres").caused_by(error))?;
        Ok(Self {
            pool,
            target,
            answer_timeout: config.answer_timeout,
            pool_timeout: config.pool_timeout,
            connect_timeout: config.connect_timeout,
            cancelled_waits,
            pool_epoch,
            history,
        })
    }

    /// Borrows a connection of the current epoch. One that is new has proved that the server has the events that this
    /// process knows.
    pub(crate) async fn session(&self) -> Result<Session, StatementError> {
        loop {
            let object = self.pool.get().await.map_err(|error| StatementError::NotSent(self.pool_error(error)))?;
            if !self.pool_epoch.accepts(Instant::from_std(Object::metrics(&object).created)) {
                drop(Object::take(object));
                continue;
            }
            let is_new = Object::metrics(&object).recycle_count == 0;
            let mut session = Session {
                object: Some(object),
                is_usable: true,
                answer_timeout: self.answer_timeout,
                cancelled_waits: Arc::clone(&self.cancelled_waits),
                pool_epoch: self.pool_epoch.clone(),
            };
            if is_new && self.history.is_set() {
                session.check_history(&self.history).await?;
            }
            return Ok(session);
        }
    }

    fn pool_error(&self, error: PoolError) -> PortError {
        match error {
            PoolError::Timeout(TimeoutType::Wait) => PortError::not_done(format!(
                "no connection to {} became free within {:?} (setting postgres.pool_timeout)",
                self.target, self.pool_timeout
            )),
            PoolError::Timeout(_) => self.target.timeout_error(self.connect_timeout),
            PoolError::Backend(error) => self.target.connect_error(error),
            other => PortError::not_done("the connection pool for Postgres is closed").caused_by(other),
        }
    }
}

/// A borrowed connection. If its user is dropped while a statement runs, the connection is closed: no other user waits
/// behind that statement, and the statement is not cancelled.
pub(crate) struct Session {
    object: Option<Object>,
    is_usable: bool,
    answer_timeout: Duration,
    cancelled_waits: Arc<AtomicU64>,
    pool_epoch: PoolEpoch,
}

impl Session {
    /// Runs a prepared statement and waits for the end of its transaction.
    pub(crate) async fn query(
        &mut self,
        statement: &'static str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, StatementError> {
        let Some(object) = &self.object else {
            return Err(StatementError::NotSent(PortError::not_done("the connection is closed")));
        };
        self.is_usable = false;
        let prepared = with_timeout(self.answer_timeout, object.prepare_cached(statement)).await;
        let prepared = prepared.inspect_err(|error| self.advance_epoch_after(error)).map_err(prepare_error)?;
        let rows = with_timeout(self.answer_timeout, object.query(&prepared, params)).await;
        self.is_usable = rows.as_ref().err().is_none_or(StatementError::leaves_connection_usable);
        rows.inspect_err(|error| self.advance_epoch_after(error))
    }

    /// Checks that the server has the history and the newest event that this process knows.
    pub(crate) async fn check_history(&mut self, known: &KnownHistory) -> Result<(), StatementError> {
        let newest = known.newest();
        let asked_for = newest.map_or(Position::START, |event| event.position);
        let rows = self.query(HISTORY_CHECK, &[&asked_for.as_i64()]).await?;
        let checked = known.check(newest, SqlRow::first(&rows)?);
        if let Err(StatementError::WentBack(error)) = &checked {
            // For the processes that do not know the event. A server that does not store it refuses them itself, or is
            // asked again by the next connection.
            let _ = self.query(SUSPEND_APPENDS, &[&error.to_string()]).await;
        }
        self.is_usable &= checked.is_ok();
        // A failed check concerns the server, and nothing was sent to it for the caller.
        checked.map_err(|error| StatementError::NotSent(error.into_read_error()))
    }

    fn advance_epoch_after(&self, error: &StatementError) {
        if error.invalidates_pool() {
            self.pool_epoch.advance();
        }
    }

    /// Runs a statement that writes. If its commit's wait for the standby was cancelled, the outcome is unknown
    /// although the server reports success.
    pub(crate) async fn write(
        &mut self,
        statement: &'static str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, StatementError> {
        let cancelled_before = self.cancelled_waits.load(Ordering::Acquire);
        let rows = self.query(statement, params).await?;
        if self.cancelled_waits.load(Ordering::Acquire) == cancelled_before {
            Ok(rows)
        } else {
            Err(StatementError::CommitUnconfirmed)
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(object) = self.object.take().filter(|_| !self.is_usable) {
            drop(Object::take(object));
        }
    }
}

fn prepare_error(error: StatementError) -> StatementError {
    StatementError::NotSent(error.into_read_error())
}

async fn with_timeout<T>(
    answer_timeout: Duration,
    answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, StatementError> {
    match tokio::time::timeout(answer_timeout, answer).await {
        Ok(result) => result.map_err(StatementError::Failed),
        Err(_) => Err(StatementError::TimedOut(answer_timeout)),
    }
}
