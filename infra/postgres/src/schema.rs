//! The schema: numbered migrations, and what a database has to be like to be opened.

use diptych_kernel::{
    Partitions,
    ports::{PortError, PortResult},
    vocabulary::ORDINAL_BITS,
};
use refinery::{Migration, Runner};

use crate::{
    PostgresConfig,
    wire::{Connector, Pool, Row, Session, Trouble, garbled},
};

/// The migrations by name. Their numbers follow one another from 1.
const MIGRATIONS: [(&str, &str); 2] = [
    ("V1__events", include_str!("../migrations/V1__events.sql")),
    ("V2__relay", include_str!("../migrations/V2__relay.sql")),
];

const NEWEST_VERSION: usize = MIGRATIONS.len();

const LOCK: &str = include_str!("../queries/schema/lock.sql");
const CREATE_INSTALLATION: &str = include_str!("../queries/schema/create_installation.sql");
const HAS_VERSION: &str = include_str!("../queries/schema/has_version.sql");
const VERSION: &str = include_str!("../queries/schema/version.sql");
const INSTALLATION: &str = include_str!("../queries/schema/installation.sql");

/// What [`migrate`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migrated {
    /// How many migrations were applied; 0 where the schema was up to date.
    pub applied: usize,
    /// The version that the schema has now.
    pub version: usize,
}

/// Makes the tables, or brings them up to date, one migration per transaction. Whoever else does the same waits. The number of partitions is fixed by
/// the first call, and checked by every later one.
///
/// # Errors
/// When the database cannot be reached or does not let its user make tables; when it was made with another number of partitions, or
/// migrated by a newer version of this program.
pub async fn migrate(config: &PostgresConfig, partitions: Partitions) -> PortResult<Migrated> {
    let connector = Connector::new(config)?;
    let connected = tokio::time::timeout(config.connect_timeout, connector.wire()).await;
    let mut wire = connected
        .map_err(|_| {
            PortError::not_done(format!("the write database did not answer within {:?}", config.connect_timeout))
        })?
        .map_err(|error| Trouble::Statement(error).of_question())?;
    let refused = |error| Trouble::Statement(error).of_question();
    // Held until the connection goes.
    wire.client.batch_execute(LOCK).await.map_err(refused)?;
    let report = runner()?.run_async(&mut wire.client).await.map_err(|error| {
        PortError::operator("cannot bring the schema of the write database up to date").caused_by(error)
    })?;
    let configured = partitions.count();
    let column = i16::try_from(configured).unwrap_or(i16::MAX);
    let row = wire.client.query_one(CREATE_INSTALLATION, &[&column]).await.map_err(refused)?;
    let stored = Row(&row).partition("partitions").map_err(Trouble::of_question)?.number();
    if stored != configured {
        return Err(PortError::operator(format!(
            "the write database was made with {stored} partitions, but {configured} are configured: configure {stored}, or use another \
             database"
        )));
    }
    Ok(Migrated { applied: report.applied_migrations().len(), version: NEWEST_VERSION })
}

fn runner() -> PortResult<Runner> {
    let migrations =
        MIGRATIONS.iter().map(|(name, sql)| Migration::unapplied(name, sql)).collect::<Result<Vec<_>, _>>();
    let migrations =
        migrations.map_err(|error| PortError::operator("a migration has no proper name").caused_by(error))?;
    Ok(Runner::new(&migrations))
}

/// Checks that a database is one that this program can work with, and tells its partitions.
pub(crate) async fn check(pool: &Pool) -> PortResult<Partitions> {
    let check = async {
        let mut session = pool.session().await?;
        check_version(version(&mut session).await?)?;
        let rows = session.query(INSTALLATION, &[]).await?;
        match rows.first().map(Row) {
            Some(row) => installation(row),
            None => Err(PortError::operator("the write database is not finished: run `diptych migrate`").into()),
        }
    };
    check.await.map_err(Trouble::of_question)
}

/// The newest migration that was applied, or 0.
async fn version(session: &mut Session) -> Result<usize, Trouble> {
    if !Row::first(&session.query(HAS_VERSION, &[]).await?)?.get::<bool>("has_version")? {
        return Ok(0);
    }
    let version: Option<i32> = Row::first(&session.query(VERSION, &[]).await?)?.get("version")?;
    Ok(usize::try_from(version.unwrap_or_default()).unwrap_or(usize::MAX))
}

fn check_version(present: usize) -> PortResult<()> {
    match present {
        NEWEST_VERSION => Ok(()),
        0 => Err(PortError::operator("the write database has no tables: run `diptych migrate`")),
        older @ ..NEWEST_VERSION => Err(PortError::operator(format!(
            "the write database has schema {older}, and this program needs {NEWEST_VERSION}: run `diptych migrate`"
        ))),
        newer => Err(PortError::operator(format!(
            "the write database has schema {newer}, and the newest that this program knows is {NEWEST_VERSION}: use a newer version"
        ))),
    }
}

fn installation(row: Row<'_>) -> Result<Partitions, Trouble> {
    let (last_position, base) = (row.position("last_position")?, row.get::<i64>("position_base")?);
    let next = base.saturating_add(row.get("next_transaction_id")?);
    let stored = last_position.as_i64() >> ORDINAL_BITS;
    if stored >= next {
        return Err(PortError::operator(format!(
            "the last event stands at {last_position}, and the next would not come after it, as this server gives out smaller \
             transaction ids than the one that the data comes from: stop every writer, then run BEGIN; LOCK TABLE events IN SHARE MODE; \
             UPDATE installation SET position_base = {}; COMMIT",
            stored + 1
        ))
        .into());
    }
    let count = row.partition("partitions")?.number();
    Partitions::new(count).map_err(garbled)
}
