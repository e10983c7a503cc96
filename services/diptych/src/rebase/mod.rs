//! `diptych rebase`: goes on with a restored write database.

#[cfg(feature = "servers")]
mod servers;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context;
use diptych_embedded::FolderLock;
use serde::Serialize;

use crate::client::{Output, table::Table};

/// Go on with a write database that was restored from a backup, without the commands that it lost.
///
/// Begins a new history: positions, tokens, records of the log, rows and cached values of lost commands are told from
/// new ones, and are not used any more. Rows that were made of lost events are deleted, and made anew from the events
/// that are left. All other processes of the installation, query services too, must be stopped; start them again
/// afterwards. Needed after a restore of Postgres or of events.db, and after a failover that lost commits; the messages
/// of `diptych relay` and `diptych dev` say so.
#[derive(Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Folder of `diptych dev --data DIR` whose events.db was restored, instead of the servers.
    #[arg(long, value_name = "DIR")]
    #[cfg_attr(feature = "servers", arg(conflicts_with_all = ["postgres", "kafka", "scylla"]))]
    #[cfg_attr(not(feature = "servers"), arg(required = true))]
    data: Option<PathBuf>,

    /// Format of the result.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Output::Text)]
    output: Output,

    #[cfg(feature = "servers")]
    #[command(flatten)]
    servers: servers::ServerArgs,
}

const AFTER_HELP: &str = "\
Examples:
  diptych rebase --data ./data
  diptych rebase --config diptych.toml
  diptych rebase --postgres postgres://diptych@db/diptych --kafka kafka:9092 --scylla scylla:9042

It can be repeated. Exit status: 0 the installation can be started; 1 it cannot, see standard error.";

#[derive(Debug, Serialize)]
struct Report {
    /// Position of the newest event that was kept; 0 if there is none.
    last_position: i64,
    /// The new history; `null` for a folder, whose next start begins it.
    history_id: Option<String>,
    /// True if the rows were deleted, and are made anew from the events.
    deletes_rows: bool,
}

/// Runs the subcommand.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let report = match args.data {
        Some(folder) => rebase_folder(folder).await?,
        #[cfg(feature = "servers")]
        None => match args.servers.config()? {
            Ok(config) => servers::rebase_servers(&config).await?,
            Err(code) => return Ok(code),
        },
        #[cfg(not(feature = "servers"))]
        None => anyhow::bail!("--data is missing"),
    };
    args.output.print(&report, Report::table)?;
    Ok(ExitCode::SUCCESS)
}

async fn rebase_folder(folder: PathBuf) -> anyhow::Result<Report> {
    let context = format!("cannot rebase --data {}", folder.display());
    let rebased = tokio::task::spawn_blocking(move || {
        let _lock = FolderLock::acquire(&folder)?;
        diptych_embedded::rebase(&folder)
    });
    let summary = rebased.await?.context(context)?;
    Ok(Report { last_position: summary.last_position.as_i64(), history_id: None, deletes_rows: true })
}

impl Report {
    fn table(&self) -> Table {
        let mut table = Table::default();
        table.row(["newest event kept, position", &self.last_position.to_string()]);
        table.row(["rows", if self.deletes_rows { "deleted, made anew at the next start" } else { "kept" }]);
        if let Some(id) = &self.history_id {
            table.row(["new history", id]);
        }
        table.note("start the processes again; tokens of lost commands are refused with TOKEN_INVALID".to_owned());
        table
    }
}
