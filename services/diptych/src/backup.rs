//! `diptych backup`: a copy of a data folder.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context;
use diptych_embedded::{BackupSummary, back_up};
use jiff::Timestamp;
use serde::Serialize;

use crate::client::{
    Output,
    table::{Table, grouped},
};

/// Copy a folder of `diptych dev --data DIR` to a new folder, also while `diptych dev` runs on it.
///
/// The copy has every command that was acknowledged before the backup began, and is consistent. Changes nothing in the
/// folder. Restore by starting `diptych dev --data` on the copy, or on a copy of it. A copy of the .db files by other
/// means lacks the newest events, unless it has their -wal files or `diptych dev` was stopped before.
#[derive(Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Folder of `diptych dev --data DIR` to copy.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,

    /// New folder to copy to, absent or empty.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,

    /// Copy also a folder whose file events.db-wal was lost, without the newest events.
    #[arg(long)]
    without_log: bool,

    /// Format of the result.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Output::Text)]
    output: Output,
}

const AFTER_HELP: &str = "\
Examples:
  diptych backup --data ./data --to ./backup-2026-11-30
  diptych backup --data ./data --to ./backup && diptych verify --data ./backup
  diptych dev --data ./backup

While the backup runs, the write-ahead logs of the folder grow, and are cut afterwards.

Exit status: 0 the backup is complete and on disk; 1 it is not, see standard error.";

#[derive(Debug, Serialize)]
struct Report {
    folder: PathBuf,
    bytes: u64,
    last_position: i64,
    /// `null` if the copy has no event.
    last_event_time: Option<String>,
}

/// Makes a backup.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Args { data, to, without_log, output } = args;
    let (source, target) = (data.clone(), to.clone());
    let copied = tokio::task::spawn_blocking(move || back_up(&source, &target, without_log)).await?;
    let summary = copied.with_context(|| format!("cannot back up {} to {}", data.display(), to.display()))?;
    output.print(&Report::new(to, summary)?, Report::table)?;
    Ok(ExitCode::SUCCESS)
}

impl Report {
    fn new(folder: PathBuf, summary: BackupSummary) -> anyhow::Result<Self> {
        let BackupSummary { last_position, last_event_at, bytes } = summary;
        let last_event_time =
            last_event_at.map(|at| Timestamp::from_microsecond(at.as_micros())).transpose()?.map(|at| at.to_string());
        Ok(Self { folder, bytes, last_position: last_position.as_i64(), last_event_time })
    }

    fn table(&self) -> Table {
        let mut table = Table::default();
        table.row(["bytes copied", &grouped(self.bytes)]);
        table.row(["newest event", self.last_event_time.as_deref().unwrap_or("none")]);
        table.note(format!("the backup is complete; to restore it: diptych dev --data {}", self.folder.display()));
        table
    }
}
