//! `kill`, `restart`, `pause` and `resume`.

use std::process::ExitCode;

use diptych_stack::{MemberPart, Stack};

use super::stack_name::name_option;

/// Kills processes and their descendants with SIGKILL, as in a crash.
///
/// Data is kept. A killed process is not restarted automatically: use `cargo stack restart PROCESS` or `cargo stack
/// up`. It keeps its ports. A member of a Postgres with standbys is killed with its manager, as when its machine is
/// lost.
#[derive(Debug, clap::Args)]
#[command(after_long_help = KILL_HELP)]
pub(crate) struct Kill {
    /// Names of the processes, as shown by `cargo stack status`.
    #[arg(required = true, value_name = "PROCESS")]
    processes: Vec<String>,

    /// Kills only this part of a member of a Postgres with standbys.
    #[arg(long, value_name = "PART")]
    only: Option<Part>,
}

/// A part of a member of Postgres.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Part {
    /// Patroni. Its Postgres runs on, and takes writes although another one may take over.
    Manager,
    /// Postgres with all its sessions. Its manager lets a standby take over at once.
    Postgres,
}

impl From<Part> for MemberPart {
    fn from(part: Part) -> Self {
        match part {
            Part::Manager => Self::Manager,
            Part::Postgres => Self::Postgres,
        }
    }
}

const KILL_HELP: &str = "\
Examples:
  cargo stack kill kafka
  cargo stack kill postgres relay-1
  cargo stack kill postgres --only manager";

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
    let option = name_option(stack);
    for process in &args.processes {
        match args.only {
            None => {
                stack.kill(process).await?;
                println!("{process} killed; `cargo stack restart {process}{option}` starts it again");
            }
            Some(Part::Manager) => {
                stack.kill_part(process, Part::Manager.into()).await?;
                println!("manager of {process} killed; `cargo stack restart {process}{option}` starts both again");
            }
            Some(Part::Postgres) => {
                stack.kill_part(process, Part::Postgres.into()).await?;
                println!(
                    "Postgres of {process} killed; its manager starts it again, as a standby if another takes over"
                );
            }
        }
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
