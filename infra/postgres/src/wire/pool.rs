//! Connections that are used again.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use deadpool_postgres::{Manager, ManagerConfig, Object, PoolError, RecyclingMethod, Runtime, TimeoutType, Timeouts};
use diptych_kernel::ports::{PortError, PortResult};
use tokio::time::Instant;
use tokio_postgres::{Row, types::ToSql};

use super::{Connector, Distrust, Trouble, trouble::without_effect};
use crate::PostgresConfig;

/// A number of connections, made when they are needed. Clones are the same pool.
#[derive(Clone)]
pub(crate) struct Pool {
    pool: deadpool_postgres::Pool,
    answer_timeout: Duration,
    pool_timeout: Duration,
    connect_timeout: Duration,
    warnings: Arc<AtomicU64>,
    distrust: Distrust,
}

impl Pool {
    pub(crate) fn new(config: &PostgresConfig, connector: Connector, connections_max: usize) -> PortResult<Self> {
        let (warnings, distrust) = (connector.warnings(), connector.distrust());
        // Whether a connection still works is found out by using it: a look before each use would be a round trip more.
        let manager_config = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_connect(tokio_postgres::Config::new(), connector, manager_config);
        let timeouts =
            Timeouts { wait: Some(config.pool_timeout), create: Some(config.connect_timeout), recycle: None };
        let pool = deadpool_postgres::Pool::builder(manager)
            .max_size(connections_max.max(1))
            .timeouts(timeouts)
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| PortError::operator("cannot set up the connections to Postgres").caused_by(error))?;
        Ok(Self {
            pool,
            answer_timeout: config.answer_timeout,
            pool_timeout: config.pool_timeout,
            connect_timeout: config.connect_timeout,
            warnings,
            distrust,
        })
    }

    /// A connection of one's own for a while.
    pub(crate) async fn session(&self) -> Result<Session, Trouble> {
        loop {
            let object = self.pool.get().await.map_err(|error| Trouble::NotSent(self.unavailable(error)))?;
            if !self.distrust.allows(Instant::from_std(Object::metrics(&object).created)) {
                drop(Object::take(object));
                continue;
            }
            return Ok(Session {
                object: Some(object),
                is_usable: true,
                answer_timeout: self.answer_timeout,
                warnings: Arc::clone(&self.warnings),
                distrust: self.distrust.clone(),
            });
        }
    }

    fn unavailable(&self, error: PoolError) -> PortError {
        match error {
            PoolError::Timeout(TimeoutType::Wait) => PortError::not_done(format!(
                "no connection to the write database became free within {:?}",
                self.pool_timeout
            )),
            PoolError::Timeout(_) => PortError::not_done(format!(
                "no host of the write database acknowledged a commit on a new connection within {:?}",
                self.connect_timeout
            )),
            PoolError::Backend(error) => without_effect(error),
            other => PortError::not_done("the connections to the write database are closed").caused_by(other),
        }
    }
}

/// A connection in use. Where its user goes while a statement is under way, the connection goes too: nobody else is to wait behind that
/// statement, and nothing cancels it.
pub(crate) struct Session {
    object: Option<Object>,
    is_usable: bool,
    answer_timeout: Duration,
    warnings: Arc<AtomicU64>,
    distrust: Distrust,
}

impl Session {
    /// Runs a prepared statement and waits for the end of its transaction.
    pub(crate) async fn query(
        &mut self,
        statement: &'static str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Trouble> {
        let Some(object) = &self.object else {
            return Err(Trouble::NotSent(PortError::not_done("the connection is gone")));
        };
        self.is_usable = false;
        let prepared = within(self.answer_timeout, object.prepare_cached(statement)).await;
        let prepared = prepared.inspect_err(|trouble| self.distrust_after(trouble)).map_err(not_prepared)?;
        let rows = within(self.answer_timeout, object.query(&prepared, params)).await;
        self.is_usable = rows.as_ref().err().is_none_or(Trouble::leaves_connection_usable);
        rows.inspect_err(|trouble| self.distrust_after(trouble))
    }

    fn distrust_after(&self, trouble: &Trouble) {
        if trouble.is_the_servers() {
            self.distrust.begin();
        }
    }

    /// The same for a statement that writes: a commit that was not waited for to its end is in doubt, though the server says that it is done.
    pub(crate) async fn write(
        &mut self,
        statement: &'static str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Trouble> {
        let before = self.warnings.load(Ordering::Acquire);
        let rows = self.query(statement, params).await?;
        if self.warnings.load(Ordering::Acquire) == before { Ok(rows) } else { Err(Trouble::Doubt) }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(object) = self.object.take().filter(|_| !self.is_usable) {
            drop(Object::take(object));
        }
    }
}

fn not_prepared(trouble: Trouble) -> Trouble {
    Trouble::NotSent(trouble.of_question())
}

async fn within<T>(
    answer_timeout: Duration,
    answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, Trouble> {
    match tokio::time::timeout(answer_timeout, answer).await {
        Ok(result) => result.map_err(Trouble::Statement),
        Err(_) => Err(Trouble::Silence(answer_timeout)),
    }
}
