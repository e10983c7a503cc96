//! `diptych outage`: takes the write database of a data folder down, to see what happens.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Context;
use diptych_embedded::WriteLock;
use diptych_runtime::pause;

use crate::config::duration_flag;

/// Take the write database of a running `diptych dev --data DIR` down for a while, as if it had failed.
///
/// Commands are then refused with UNAVAILABLE, or queued if they allow it (options.when_unavailable); queries go on,
/// and say how old their answers are. When the time is over, or with Ctrl-C, the write database is back: queued
/// commands run, in order, once. Nothing in the folder is changed.
#[derive(Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Folder of `diptych dev --data DIR`.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,

    /// How long, such as 30s or 5m.
    #[arg(long = "for", value_name = "TIME", default_value = "30s", value_parser = duration_flag::<1>)]
    duration: Duration,
}

const AFTER_HELP: &str = "\
Examples:
  diptych outage --data ./data
  diptych outage --data ./data --for 5m

Exit status: 0 the write database is back; 1 it was not taken down, see standard error.";

/// Holds the lock for the time, or until a signal.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Args { data, duration } = args;
    let folder = data.clone();
    let lock = tokio::task::spawn_blocking(move || WriteLock::acquire(&folder)).await?;
    let lock = lock.with_context(|| format!("cannot take the write database in {} down", data.display()))?;
    println!("the write database in {} is down for {duration:?}; Ctrl-C ends it", data.display());
    tokio::select! {
        () = pause(duration) => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    drop(lock);
    println!("the write database is back");
    Ok(ExitCode::SUCCESS)
}
