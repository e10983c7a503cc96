//! `diptych status`: the state of the write database.

use std::process::ExitCode;

use diptych_kernel::Timestamp;
use diptych_postgres::{OldestWriter, PostgresEventStore, StoreStatus};
use diptych_runtime::telemetry;

use crate::{
    config::Config,
    process::{self, PostgresFlag, SettingsFlags},
    servers::{self, Server},
};

/// Print the state of the write database: what is not published or cannot be read yet, and the transaction that it
/// waits for; segments and partitions.
///
/// Changes nothing.
#[derive(Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(flatten)]
    settings: SettingsFlags,

    #[command(flatten)]
    postgres: PostgresFlag,
}

const AFTER_HELP: &str = "\
Examples:
  diptych status --config diptych.toml
  diptych status --postgres postgres://diptych@db/diptych

The query and state of other users' transactions are shown to members of
pg_read_all_stats only.

Exit status: 0; 1 if the database cannot be read; 2 invalid flags or settings.";

pub(crate) fn main(args: Args) -> anyhow::Result<ExitCode> {
    let dumps_config = args.settings.dumps_config();
    let config = match process::configuration(args.settings.into_sources([args.postgres.setting()]), dumps_config)? {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    telemetry::install_logs(&config.log.settings(vec![("role", "status".to_owned())]))?;
    process::run_tool(run(config))
}

async fn run(config: Config) -> anyhow::Result<ExitCode> {
    let read = async { PostgresEventStore::open(servers::postgres_config(&config, "status")).await?.status().await };
    let status = read.await.map_err(|error| Server::Postgres.failure(&config, &error))?;
    for (name, value) in lines(&status) {
        println!("{name:<22}{value}");
    }
    Ok(ExitCode::SUCCESS)
}

/// The lines of the output: name and value.
fn lines(status: &StoreStatus) -> Vec<(&'static str, String)> {
    let age = |time: Option<Timestamp>| match time {
        Some(time) => format!("{:.1} s", status.read_at.seconds_since(time)),
        None => "none".to_owned(),
    };
    let last_event = status.last_event.map_or("none".to_owned(), |(position, recorded_at)| {
        format!("position {position}, {:.1} s ago", status.read_at.seconds_since(recorded_at))
    });
    let gibibytes = status.events_bytes as f64 / f64::from(1 << 30);
    vec![
        ("last event", last_event),
        ("leading relay", status.relay.clone().unwrap_or_else(|| "none".to_owned())),
        ("published up to", status.published_up_to.to_string()),
        ("oldest unpublished", age(status.unpublished_since)),
        ("oldest held back", age(status.held_back_since)),
        ("oldest writer", status.oldest_writer.as_ref().map_or("none".to_owned(), writer)),
        (
            "segments of events",
            format!(
                "{} begun, {} made ahead, {gibibytes:.2} GiB with indexes",
                status.segments_count,
                status.segments_made_count - status.segments_count
            ),
        ),
        ("request partitions", status.request_partitions_count.to_string()),
        (
            "request ids kept for",
            status.requests_forgotten_before.map_or("ever, none was forgotten".to_owned(), |time| {
                format!("{:.1} days", status.read_at.seconds_since(time) / 86_400.0)
            }),
        ),
    ]
}

/// A transaction that holds readers back, with all that is known of it.
fn writer(writer: &OldestWriter) -> String {
    let known = |value: &Option<String>| value.clone().unwrap_or_else(|| "unknown".to_owned());
    let session = match (writer.pid, &writer.prepared_as) {
        (Some(pid), _) => format!("pid {pid}"),
        (None, name) => format!("prepared as {}", known(name)),
    };
    let age = writer.age_seconds.map_or("unknown age".to_owned(), |seconds| format!("{seconds:.1} s old"));
    format!(
        "{session}, {age}, database {}, application {}, {}: {}",
        known(&writer.database),
        known(&writer.application_name),
        known(&writer.state),
        known(&writer.query).replace('\n', " ")
    )
}

#[cfg(test)]
mod tests {
    use diptych_kernel::Position;

    use super::*;

    #[test]
    fn the_transaction_that_holds_readers_back_is_named_with_its_query() {
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        let oldest_writer = OldestWriter {
            pid: Some(4_711),
            prepared_as: None,
            database: Some("bank".into()),
            application_name: Some("psql".into()),
            state: Some("idle in transaction".into()),
            age_seconds: Some(60.25),
            query: Some("UPDATE\nother".into()),
        };
        let status = StoreStatus {
            read_at: at(100),
            last_event: Some((Position::START, at(99))),
            relay: None,
            published_up_to: Position::START,
            unpublished_since: Some(at(40)),
            held_back_since: Some(at(41)),
            oldest_writer: Some(oldest_writer),
            segments_count: 1,
            segments_made_count: 3,
            events_bytes: 1 << 29,
            request_partitions_count: 2,
            requests_forgotten_before: None,
        };
        let text: Vec<String> = lines(&status).into_iter().map(|(name, value)| format!("{name}: {value}")).collect();
        for line in [
            "oldest unpublished: 60.0 s",
            "oldest held back: 59.0 s",
            "oldest writer: pid 4711, 60.2 s old, database bank, application psql, idle in transaction: UPDATE other",
            "segments of events: 1 begun, 2 made ahead, 0.50 GiB with indexes",
        ] {
            assert!(text.iter().any(|found| found == line), "{line}: {text:#?}");
        }
    }
}
