//! Tests that readers miss no event: a run of concurrent writers and readers, delayed commits, and a reader that does
//! miss events, which proves that the run detects it. Behind the feature `testing`.

mod missed_events;
mod naive_reader;

use std::time::Duration;

use diptych_kernel::ports::PortResult;

pub use missed_events::{MissedEventsReport, MissedEventsRun, find_missed_events};
pub use naive_reader::NaiveReader;

use crate::{
    config::PostgresConfig,
    driver::{ConnectionFactory, StatementError},
};

const DELAY_COMMITS: &str = include_str!("../../queries/testing/delay_commits.sql");

/// Makes every append to a database wait for a random time up to `delay_max` between its last row and its commit. So
/// transactions commit in another order than that of their ids, which readers must handle. Permanent, by a trigger.
///
/// # Errors
/// When the database cannot be reached or does not let its user create a trigger.
pub async fn delay_commits(config: &PostgresConfig, delay_max: Duration) -> PortResult<()> {
    let connection = ConnectionFactory::new(config)?.connect_once(config).await?;
    let statement = DELAY_COMMITS.replace("{seconds_max}", &delay_max.as_secs_f64().to_string());
    connection.client.batch_execute(&statement).await.map_err(|error| StatementError::Failed(error).into_write_error())
}
