//! `down`.

use std::process::ExitCode;

use diptych_stack::{Places, Stack, StackError};

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

pub(crate) async fn run(args: &Args, places: &Places, name: &str) -> anyhow::Result<ExitCode> {
    match Stack::attach(places, name) {
        Ok(stack) => {
            let stopped = stack.stop().await?;
            for process in &stopped.killed {
                println!("{process} did not end in time and was killed");
            }
            match stopped.lived.len() {
                0 => println!("stack {name} was not running"),
                count => println!("stack {name}: {count} processes stopped"),
            }
        }
        // The state is unreadable, but its processes can still be killed.
        Err(error @ StackError::State { .. }) => {
            eprintln!("{error}");
            let killed = Stack::clear(places, name).await?;
            println!("stack {name}: {killed} processes killed; unreadable state removed");
        }
        Err(error) => return Err(error.into()),
    }
    if args.delete_data {
        Stack::delete(places, name).await?;
        println!("data and logs of stack {name} removed");
    }
    Ok(ExitCode::SUCCESS)
}
