//! One process at a time changes the schema.

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

/// How long the lock is held without a renewal: so long does everybody wait for a holder that has died.
const HELD_MAX: Duration = Duration::from_secs(60);
/// How old it may be when a change begins, which takes less than the rest: see `schema.rs`.
const AGE_MAX: Duration = Duration::from_secs(10);
/// How long to wait for the lock. One holder may die, and another one work.
const WAIT_MAX: Duration = Duration::from_secs(150);
/// How long to wait before asking again.
const WAIT_BETWEEN: Duration = Duration::from_millis(100);
/// How often a renewal or the release is tried. Transactions time out where nodes are slow, or where several come at once.
const ATTEMPTS_MAX: usize = 5;

const HOLDER: &str = include_str!("../../queries/schema/lock_holder.cql");

/// The lock, held. It is a row that is written by lightweight transactions and expires.
pub(crate) struct Lock<'a> {
    connection: &'a Connection,
    holder: Uuid,
    statements: Statements,
    renewed_at: Instant,
}

struct Statements {
    take: PreparedStatement,
    renew: PreparedStatement,
    drop: PreparedStatement,
    /// Cheap, and enough to wait by.
    holder: PreparedStatement,
    /// The last word: ends transactions that were left half done.
    holder_after_all: PreparedStatement,
}

impl Statements {
    async fn prepare(connection: &Connection) -> PortResult<Self> {
        let conditional = async |file: &str| -> PortResult<PreparedStatement> {
            let mut statement = connection.prepare(file).await?;
            statement.set_serial_consistency(Some(SerialConsistency::Serial));
            // Asked again it would be refused, although it had been done.
            statement.set_is_idempotent(false);
            Ok(statement)
        };
        let holder = connection.prepare(HOLDER).await?;
        let mut holder_after_all = holder.clone();
        holder_after_all.set_consistency(Consistency::Serial);
        Ok(Self {
            take: conditional(include_str!("../../queries/schema/take_lock.cql")).await?,
            renew: conditional(include_str!("../../queries/schema/renew_lock.cql")).await?,
            drop: conditional(include_str!("../../queries/schema/drop_lock.cql")).await?,
            holder,
            holder_after_all,
        })
    }
}

impl<'a> Lock<'a> {
    /// Waits until it is free.
    pub(super) async fn take(connection: &'a Connection) -> PortResult<Self> {
        let statements = Statements::prepare(connection).await?;
        let begin = Instant::now();
        let mut lock = Self { connection, holder: Uuid::new_v4(), statements, renewed_at: begin };
        let deadline = begin + WAIT_MAX;
        loop {
            lock.renewed_at = Instant::now();
            let took = lock.try_to_take().await;
            match took {
                Ok(None) => return Ok(lock),
                Err(error) if error.remedy() == Remedy::Operator || Instant::now() >= deadline => return Err(error),
                Ok(Some(other)) if Instant::now() >= deadline => {
                    return Err(PortError::not_done(format!(
                        "another process ({other}) changes the schema for more than {} s",
                        WAIT_MAX.as_secs()
                    )));
                }
                Ok(Some(_)) | Err(_) => lock.wait_while_held(deadline).await,
            }
        }
    }

    /// Whether anybody holds it.
    pub(super) async fn is_held(connection: &Connection) -> PortResult<bool> {
        let statement = connection.prepare(HOLDER).await?;
        Ok(holder(connection, &statement).await?.is_some())
    }

    /// Transactions of those who wait would be in the way of those of the holder.
    async fn wait_while_held(&self, deadline: Instant) {
        loop {
            sleep(WAIT_BETWEEN).await;
            let is_free = matches!(holder(self.connection, &self.statements.holder).await, Ok(None));
            if is_free || Instant::now() >= deadline {
                return;
            }
        }
    }

    /// Tells who else holds it. A try of unknown outcome is looked after.
    async fn try_to_take(&self) -> PortResult<Option<Uuid>> {
        let took = self.run("taking the schema's lock", &self.statements.take, (self.holder, seconds(HELD_MAX))).await;
        match took {
            Ok(true) => return Ok(None),
            Err(error) if error.remedy() == Remedy::Operator => return Err(error),
            Ok(false) | Err(_) => {}
        }
        match holder(self.connection, &self.statements.holder_after_all).await? {
            Some(holder) if holder == self.holder => Ok(None),
            Some(other) => Ok(Some(other)),
            // Free again, or the try was lost.
            None => took.map(|_| Some(Uuid::nil())),
        }
    }

    /// Holds it for longer. To be called before every change.
    pub(crate) async fn renew(&mut self) -> PortResult<()> {
        if self.renewed_at.elapsed() < AGE_MAX {
            return Ok(());
        }
        let renewed_at = Instant::now();
        let values = (seconds(HELD_MAX), self.holder, self.holder);
        if self.run_patiently("renewing the schema's lock", &self.statements.renew, values).await? {
            self.renewed_at = renewed_at;
            return Ok(());
        }
        Err(PortError::not_done("another process has taken the schema's lock, as we held it for too long"))
    }

    /// Lets it go after work, and returns what came of the work. Where that fails it expires, and so it does where the work may still be
    /// going on.
    pub(crate) async fn release<T>(self, done: PortResult<T>) -> PortResult<T> {
        if done.as_ref().is_err_and(|error| error.effect() == Effect::Unknown) {
            return done;
        }
        let released = self.run_patiently("releasing the schema's lock", &self.statements.drop, (self.holder,)).await;
        if let Err(error) = released {
            tracing::warn!(%error, "the schema's lock was not released, so it is held until it expires");
        }
        done
    }

    /// Like `run`, for what can be repeated.
    async fn run_patiently(
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
            sleep(WAIT_BETWEEN).await;
        }
    }

    /// Whether the condition was met.
    async fn run(
        &self,
        what: &'static str,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> PortResult<bool> {
        let answer = self.connection.execute(what, statement, values).await?;
        let garbled = |error: &dyn std::fmt::Display| error::garbled(format_args!("no answer to {what}: {error}"));
        let answer = answer.into_rows_result().map_err(|error| garbled(&error))?;
        // The columns after the first one differ between servers.
        let row = answer.first_row::<Row>().map_err(|error| garbled(&error))?;
        match row.columns.first() {
            Some(Some(CqlValue::Boolean(was_met))) => Ok(*was_met),
            other => Err(garbled(&format_args!("{other:?}"))),
        }
    }
}

/// Who holds the lock.
async fn holder(connection: &Connection, statement: &PreparedStatement) -> PortResult<Option<Uuid>> {
    let rows: Vec<(Option<Uuid>,)> = connection.read("reading the holder of the schema's lock", statement, ()).await?;
    Ok(rows.first().and_then(|(holder,)| *holder))
}

fn seconds(time: Duration) -> i32 {
    i32::try_from(time.as_secs()).unwrap_or(i32::MAX)
}
