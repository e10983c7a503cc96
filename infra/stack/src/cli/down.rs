//! `down`.

use std::process::ExitCode;

use diptych_stack::{Stack, StackError, StackPaths};

/// Stops everything: each process is asked to end, and is killed if it does not end in time.
///
/// Data and logs are kept for the next `cargo stack up`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Removes data and logs too.
    #[arg(long)]
    delete_data: bool,
}

const AFTER_HELP: &str = "\
Examples:
  cargo stack down
  cargo stack down --delete-data
  cargo stack down --name second";

pub(crate) async fn run(args: &Args, paths: &StackPaths, name: &str) -> anyhow::Result<ExitCode> {
    match Stack::attach(paths, name) {
        Ok(stack) => {
            let report = stack.stop().await?;
            for process in &report.killed {
                println!("{process} did not end in time and was killed");
            }
            match report.stopped.len() {
                0 => println!("stack {name} was not running"),
                count => println!("stack {name}: {count} processes stopped"),
            }
        }
        // The state is unreadable, but its processes can still be killed.
        Err(error @ StackError::UnreadableState { .. }) => {
            eprintln!("{error}");
            let killed = Stack::kill_unreadable(paths, name).await?;
            println!("stack {name}: {killed} processes killed; unreadable state removed");
        }
        Err(error) => return Err(error.into()),
    }
    if args.delete_data {
        Stack::delete(paths, name).await?;
        println!("data and logs of stack {name} removed");
    }
    Ok(ExitCode::SUCCESS)
}
