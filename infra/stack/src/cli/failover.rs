//! `failover`.

use std::process::ExitCode;

use diptych_stack::Stack;

use super::stack_name::name_option;

/// Kills the primary of Postgres and its manager with SIGKILL, and waits until a standby has taken over.
///
/// Needs a stack with standbys. It prints who the primary is, and the time until it acknowledged a commit. With one
/// standby, the new primary is then alone: start the killed one again, and wait until it follows, before the next
/// failover.
#[derive(Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Asks the manager for a planned switchover instead: nothing is killed, and the old primary becomes a standby.
    #[arg(long)]
    switchover: bool,

    /// Also waits until the new primary has a synchronous standby, and prints how long that took.
    #[arg(long)]
    wait: bool,
}

const AFTER_HELP: &str = "\
Examples:
  cargo stack up --standbys 1
  cargo stack failover
  cargo stack restart postgres           # it comes back as a standby
  cargo stack failover --switchover --wait
  cargo stack kill postgres --only postgres     # its manager lives, and gives way at once";

pub(crate) async fn run(args: &Args, stack: &Stack) -> anyhow::Result<ExitCode> {
    let takeover = if args.switchover { stack.switch_over().await? } else { stack.fail_over().await? };
    let took = takeover.took.as_secs_f64();
    println!("{} is the primary after {took:.2} s; it was {}", takeover.to, takeover.from);
    if !args.switchover {
        let option = name_option(stack);
        println!("`cargo stack restart {}{option}` starts {} again, as a standby", takeover.from, takeover.from);
    }
    if args.wait {
        let began_at = tokio::time::Instant::now();
        stack.wait_for_standby().await?;
        println!("it has a synchronous standby after another {:.2} s", began_at.elapsed().as_secs_f64());
    }
    Ok(ExitCode::SUCCESS)
}
