//! The lock that lets one process at a time change the schema.

use std::time::Duration;

use diptych_kernel::ports::{Effect, PortError, PortResult, Remedy};
use scylla::{
    serialize::row::SerializeRow,
    statement::{Consistency, SerialConsistency, prepared::PreparedStatement},
    value::{CqlValue, Row},
};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::{connection::Connection, error};

/// Time to live of the lock without a renewal: how long other processes wait for a holder that has crashed.
const LOCK_TTL: Duration = Duration::from_secs(60);
/// Age from which the lock is renewed before a change. A change takes less than the rest of its time to live: see
/// `schema.rs`.
const RENEW_AFTER: Duration = Duration::from_secs(10);
/// Timeout for acquiring the lock: enough for one holder that crashes and another one that works.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(150);
/// The pause between two attempts.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);
/// Maximum number of attempts of a renewal or release. Lightweight transactions time out if nodes are slow or several
/// run at once.
const ATTEMPTS_MAX: usize = 5;

const HOLDER: &str = include_str!("../../queries/schema/lock_holder.cql");

/// The acquired lock: a row that is written by lightweight transactions and expires.
pub(crate) struct SchemaLock<'a> {
    connection: &'a Connection,
    holder: Uuid,
    statements: LockStatements,
    renewed_at: Instant,
}

struct LockStatements {
    acquire: PreparedStatement,
    renew: PreparedStatement,
    release: PreparedStatement,
    /// A normal read: cheap, and enough while waiting.
    holder: PreparedStatement,
    /// A serial read: completes transactions that were left unfinished, so its result is final.
    holder_serial: PreparedStatement,
}

impl LockStatements {
    async fn prepare(connection: &Connection) -> PortResult<Self> {
        let conditional = async |file: &str| -> PortResult<PreparedStatement> {
            let mut statement = connection.prepare(file).await?;
            statement.set_serial_consistency(Some(SerialConsistency::Serial));
            // A retry would be refused although the first attempt succeeded.
            statement.set_is_idempotent(false);
            Ok(statement)
        };
        let holder = connection.prepare(HOLDER).await?;
        let mut holder_serial = holder.clone();
        holder_serial.set_consistency(Consistency::Serial);
        Ok(Self {
            acquire: conditional(include_str!("../../queries/schema/acquire_lock.cql")).await?,
            renew: conditional(include_str!("../../queries/schema/renew_lock.cql")).await?,
            release: conditional(include_str!("../../queries/schema/release_lock.cql")).await?,
            holder,
            holder_serial,
        })
    }
}

impl<'a> SchemaLock<'a> {
    /// Acquires the lock, waiting until it is free.
    pub(super) async fn acquire(connection: &'a Connection) -> PortResult<Self> {
        let statements = LockStatements::prepare(connection).await?;
        let begin = Instant::now();
        let mut lock = Self { connection, holder: Uuid::new_v4(), statements, renewed_at: begin };
        let deadline = begin + ACQUIRE_TIMEOUT;
        loop {
            lock.renewed_at = Instant::now();
            match lock.try_acquire().await {
                Ok(None) => return Ok(lock),
                Err(error) if error.remedy() == Remedy::Operator || Instant::now() >= deadline => return Err(error),
                Ok(Some(other)) if Instant::now() >= deadline => {
                    return Err(PortError::not_done(format!(
                        "another process (lock holder {other}) has been changing the schema for more than {} s",
                        ACQUIRE_TIMEOUT.as_secs()
                    )));
                }
                Ok(Some(_)) | Err(_) => lock.wait_while_held(deadline).await,
            }
        }
    }

    /// Returns whether a process holds the lock.
    pub(super) async fn is_held(connection: &Connection) -> PortResult<bool> {
        let statement = connection.prepare(HOLDER).await?;
        Ok(holder(connection, &statement).await?.is_some())
    }

    /// Polls with normal reads: lightweight transactions of waiting processes would delay those of the holder.
    async fn wait_while_held(&self, deadline: Instant) {
        loop {
            sleep(RETRY_INTERVAL).await;
            let is_free = matches!(holder(self.connection, &self.statements.holder).await, Ok(None));
            if is_free || Instant::now() >= deadline {
                return;
            }
        }
    }

    /// Tries to acquire the lock. Returns the holder if it is another one. An attempt of unknown outcome is resolved by
    /// a serial read.
    async fn try_acquire(&self) -> PortResult<Option<Uuid>> {
        let acquired =
            self.run("acquiring the schema lock", &self.statements.acquire, (self.holder, seconds(LOCK_TTL))).await;
        match acquired {
            Ok(true) => return Ok(None),
            Err(error) if error.remedy() == Remedy::Operator => return Err(error),
            Ok(false) | Err(_) => {}
        }
        match holder(self.connection, &self.statements.holder_serial).await? {
            Some(holder) if holder == self.holder => Ok(None),
            Some(other) => Ok(Some(other)),
            // Released since, or the attempt was lost.
            None => acquired.map(|_| Some(Uuid::nil())),
        }
    }

    /// Extends the lock if needed. To be called before every change.
    pub(crate) async fn renew(&mut self) -> PortResult<()> {
        if self.renewed_at.elapsed() < RENEW_AFTER {
            return Ok(());
        }
        let renewed_at = Instant::now();
        let values = (seconds(LOCK_TTL), self.holder, self.holder);
        if self.run_with_retries("renewing the schema lock", &self.statements.renew, values).await? {
            self.renewed_at = renewed_at;
            return Ok(());
        }
        Err(PortError::not_done("the schema lock has expired and was acquired by another process"))
    }

    /// Releases the lock after some work, and returns the result of the work. The lock expires instead if the release
    /// fails, or if the work may still be running.
    pub(crate) async fn release<T>(self, done: PortResult<T>) -> PortResult<T> {
        if done.as_ref().is_err_and(|error| error.effect() == Effect::Unknown) {
            return done;
        }
        let released =
            self.run_with_retries("releasing the schema lock", &self.statements.release, (self.holder,)).await;
        if let Err(error) = released {
            tracing::warn!(%error, "cannot release the schema lock; it is held until it expires");
        }
        done
    }

    /// Runs a statement that can be repeated, with retries.
    async fn run_with_retries(
        &self,
        what: &'static str,
        statement: &PreparedStatement,
        values: impl SerializeRow + Copy,
    ) -> PortResult<bool> {
        let mut attempts = 1;
        loop {
            match self.run(what, statement, values).await {
                Err(error) if error.remedy() == Remedy::Retry && attempts < ATTEMPTS_MAX => attempts += 1,
                done => return done,
            }
            sleep(RETRY_INTERVAL).await;
        }
    }

    /// Runs a conditional statement. Returns whether its condition was met.
    async fn run(
        &self,
        what: &'static str,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> PortResult<bool> {
        let answer = self.connection.execute(what, statement, values).await?;
        let corrupt_data = |error: &dyn std::fmt::Display| {
            error::corrupt_data(format_args!("an unexpected result of {what} ({error})"))
        };
        let answer = answer.into_rows_result().map_err(|error| corrupt_data(&error))?;
        // The columns after the first one differ between servers.
        let row = answer.first_row::<Row>().map_err(|error| corrupt_data(&error))?;
        match row.columns.first() {
            Some(Some(CqlValue::Boolean(was_met))) => Ok(*was_met),
            other => Err(corrupt_data(&format_args!("{other:?}"))),
        }
    }
}

/// Reads the holder of the lock.
async fn holder(connection: &Connection, statement: &PreparedStatement) -> PortResult<Option<Uuid>> {
    let rows: Vec<(Option<Uuid>,)> = connection.read("reading the holder of the schema lock", statement, ()).await?;
    Ok(rows.first().and_then(|(holder,)| *holder))
}

fn seconds(time: Duration) -> i32 {
    i32::try_from(time.as_secs()).unwrap_or(i32::MAX)
}
