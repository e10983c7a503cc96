//! `kill`, `restart`, `pause` and `resume`.

use std::process::ExitCode;

use diptych_stack::Stack;

/// Kills processes with SIGKILL, as a crash would, with all that they have started.
///
/// Their data stays. Nothing restarts a killed process by itself: `cargo stack restart PROCESS` or `cargo stack up`
/// does, on the same ports.
#[derive(Debug, clap::Args)]
#[command(after_long_help = KILL_HELP)]
pub(crate) struct Kill {
    /// The processes, by the names that `cargo stack status` shows.
    #[arg(required = true, value_name = "PROCESS")]
    processes: Vec<String>,
}

const KILL_HELP: &str = "\
Examples:
  cargo stack kill kafka
  cargo stack kill postgres relay-1";

/// Restarts processes: asks each one that runs to end, waits for that, and starts it again on the same ports with the
/// same data.
///
/// A process that is dead is started. A service runs the program file that is there now, so this is how a new build is
/// tried.
#[derive(Debug, clap::Args)]
#[command(after_long_help = RESTART_HELP)]
pub(crate) struct Restart {
    /// The processes, by the names that `cargo stack status` shows.
    #[arg(required = true, value_name = "PROCESS")]
    processes: Vec<String>,
}

const RESTART_HELP: &str = "\
Examples:
  cargo stack restart command-1
  cargo stack restart kafka projector-1 projector-2";

/// Stops processes with SIGSTOP: their ports stay open, and nobody answers, as on a machine that hangs.
#[derive(Debug, clap::Args)]
#[command(after_long_help = PAUSE_HELP)]
pub(crate) struct Pause {
    /// The processes, by the names that `cargo stack status` shows.
    #[arg(required = true, value_name = "PROCESS")]
    processes: Vec<String>,
}

const PAUSE_HELP: &str = "\
Examples:
  cargo stack pause cassandra
  cargo stack pause postgres && sleep 5 && cargo stack resume postgres";

/// Lets paused processes go on.
#[derive(Debug, clap::Args)]
#[command(after_long_help = RESUME_HELP)]
pub(crate) struct Resume {
    /// The processes, by the names that `cargo stack status` shows.
    #[arg(required = true, value_name = "PROCESS")]
    processes: Vec<String>,
}

const RESUME_HELP: &str = "\
Examples:
  cargo stack resume cassandra";

pub(crate) async fn kill(args: &Kill, stack: &Stack) -> anyhow::Result<ExitCode> {
    for process in &args.processes {
        stack.kill(process).await?;
        println!("{process} killed; `cargo stack restart {process}{}` starts it again", of(stack));
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn restart(args: &Restart, stack: &Stack) -> anyhow::Result<ExitCode> {
    for process in &args.processes {
        stack.restart(process).await?;
        println!("{process} restarted");
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn pause(args: &Pause, stack: &Stack) -> anyhow::Result<ExitCode> {
    for process in &args.processes {
        stack.pause(process).await?;
        println!("{process} paused; `cargo stack resume {process}{}` lets it go on", of(stack));
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn resume(args: &Resume, stack: &Stack) -> anyhow::Result<ExitCode> {
    for process in &args.processes {
        stack.resume(process)?;
        println!("{process} goes on");
    }
    Ok(ExitCode::SUCCESS)
}

/// What must be added to a command so that it means this stack.
pub(super) fn of(stack: &Stack) -> String {
    if stack.name() == super::DEFAULT { String::new() } else { format!(" --name {}", stack.name()) }
}
