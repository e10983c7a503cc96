//! Pairs of a deposit and a query with its token at a fixed rate, however slow the answers are.

use std::time::Duration;

use futures::{StreamExt, stream::FuturesUnordered};
use tokio::time::{MissedTickBehavior, interval};

use super::{
    connection_pool::ConnectionPool,
    own_write_client::{OwnWriteClient, Query},
    own_write_measurement::OwnWriteMeasurement,
    schedule::Schedule,
    workload::Workload,
};

/// Interval at which due commands are sent; the resolution of the timer.
const TICK: Duration = Duration::from_millis(1);

/// A load of a fixed rate.
#[derive(Clone, Copy, Debug)]
pub(super) struct FixedRate {
    pub(super) rate_per_second: u64,
    /// Largest number of pairs in flight. Commands that are due while this many are in flight are dropped.
    pub(super) in_flight_max: usize,
}

/// The measurement of a load of a fixed rate.
#[derive(Debug)]
pub(super) struct FixedRateMeasurement {
    pub(super) own_writes: OwnWriteMeasurement,
    /// Commands that were due and not sent, as too many were in flight.
    pub(super) commands_dropped: u64,
}

/// Sends the commands that are due within the duration, then waits for the answers.
pub(super) async fn run(
    pool: &ConnectionPool,
    workload: &Workload,
    load: FixedRate,
    duration: Duration,
) -> anyhow::Result<FixedRateMeasurement> {
    let clients = pool.clients(pool.all().len() as u64, OwnWriteClient::new)?;
    let mut clients = clients.iter().cycle();
    let mut own_writes = OwnWriteMeasurement::new()?;
    let schedule = Schedule::start(load.rate_per_second);
    let commands_count = schedule.due_count(duration);
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut in_flight = FuturesUnordered::new();
    let (mut next_command, mut commands_dropped) = (0, 0);
    while next_command < commands_count || !in_flight.is_empty() {
        tokio::select! {
            _ = ticks.tick(), if next_command < commands_count => {
                let due_count = schedule.due_count(schedule.elapsed()).min(commands_count);
                for command in next_command..due_count {
                    let Some(client) = clients.next().filter(|_| in_flight.len() < load.in_flight_max) else {
                        commands_dropped += 1;
                        continue;
                    };
                    let mut client = client.clone();
                    let (account_id, due_at) = (workload.account_id(command), schedule.due_at(command));
                    in_flight.push(async move {
                        client.deposit_and_query(workload, account_id, Query::Account, due_at).await
                    });
                }
                next_command = due_count;
            }
            Some(result) = in_flight.next(), if !in_flight.is_empty() => own_writes.record(&result),
        }
    }
    own_writes.add_elapsed(schedule.elapsed());
    Ok(FixedRateMeasurement { own_writes, commands_dropped })
}
