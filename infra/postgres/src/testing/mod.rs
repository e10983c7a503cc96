//! What shows that no event is missed: a run of writers and readers at the same time, commits that take their time, and a reader that does
//! miss events, so that the run is known to see it. Behind the feature `testing`.

mod naive;
mod none_missed;

use std::time::Duration;

use diptych_kernel::ports::{PortError, PortResult};

pub use naive::NaiveReader;
pub use none_missed::{NoneMissed, NoneMissedReport, none_missed};

use crate::{
    PostgresConfig,
    wire::{Connector, Trouble},
};

const DELAY_COMMITS: &str = include_str!("../../queries/testing/delay_commits.sql");

/// Makes every append to a database wait for a random time, up to this, between its last row and its commit: so transactions commit in
/// another order than that in which they got their ids, which is what readers have to cope with. Stays so.
///
/// # Errors
/// When the database does not let its user make a trigger.
pub async fn delay_commits(config: &PostgresConfig, delay_max: Duration) -> PortResult<()> {
    let connector = Connector::new(config)?;
    let connected = tokio::time::timeout(config.connect_timeout, connector.wire()).await;
    let wire = connected
        .map_err(|_| PortError::not_done("the write database did not answer"))?
        .map_err(|error| Trouble::Statement(error).of_question())?;
    let statement = DELAY_COMMITS.replace("{seconds_max}", &delay_max.as_secs_f64().to_string());
    wire.client.batch_execute(&statement).await.map_err(|error| Trouble::Statement(error).of_write())
}
