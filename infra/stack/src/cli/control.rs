//! `kill`, `restart`, `pause` and `resume`.

use std::process::ExitCode;

use diptych_stack::Stack;

use super::stack_name::name_option;

/// Kills processes and their descendants with SIGKILL, as in a crash.
///
/// Data is kept. A killed process is not restarted automatically: use `cargo stack restart PROCESS` or `cargo stack
/// up`. It keeps its ports.
#[derive(Debug, clap::Args)]
#[command(after_long_help = KILL_HELP)]
pub(crate) struct Kill {
    /// Names of the processes, as shown by `cargo stack status`.
    #[arg(required = true, value_name = "PROCESS")]
    processes: Vec<String>,
}

const KILL_HELP: &str = "\
Examples:
  cargo stack kill kafka
  cargo stack kill postgres relay-1";

/// Restarts processes: stops each running one gracefully, and starts it again on the same ports with the same data.
///
/// A dead process is started. A service then runs the current program file, so use this to run a new build.
#[derive(Debug, clap::Args)]
#[command(after_long_help = RESTART_HELP)]
pub(crate) struct Restart {
    /// Names of the processes, as shown by `cargo stack status`.
    #[arg(required = true, value_name = "PROCESS")]
    processes: Vec<String>,
}

const RESTART_HELP: &str = "\
Examples:
  cargo stack restart command-1
  cargo stack restart kafka projector-1 projector-2";

/// Suspends processes with SIGSTOP: their ports stay open but they do not answer, as on a machine that hangs.
#[derive(Debug, clap::Args)]
#[command(after_long_help = PAUSE_HELP)]
pub(crate) struct Pause {
    /// Names of the processes, as shown by `cargo stack status`.
    #[arg(required = true, value_name = "PROCESS")]
    processes: Vec<String>,
}

const PAUSE_HELP: &str = "\
Examples:
  cargo stack pause cassandra
  cargo stack pause postgres && sleep 5 && cargo stack resume postgres";

/// Resumes paused processes.
#[derive(Debug, clap::Args)]
#[command(after_long_help = RESUME_HELP)]
pub(crate) struct Resume {
    /// Names of the processes, as shown by `cargo stack status`.
    #[arg(required = true, value_name = "PROCESS")]
    processes: Vec<String>,
}

const RESUME_HELP: &str = "\
Examples:
  cargo stack resume cassandra";

pub(crate) async fn kill(args: &Kill, stack: &Stack) -> anyhow::Result<ExitCode> {
    for process in &args.processes {
        stack.kill(process).await?;
        println!("{process} killed; `cargo stack restart {process}{}` starts it again", name_option(stack));
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
        println!("{process} paused; `cargo stack resume {process}{}` resumes it", name_option(stack));
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn resume(args: &Resume, stack: &Stack) -> anyhow::Result<ExitCode> {
    for process in &args.processes {
        stack.resume(process)?;
        println!("{process} resumed");
    }
    Ok(ExitCode::SUCCESS)
}
