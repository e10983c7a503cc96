//! Command-line interface.

mod control;
mod down;
mod env;
mod failover;
mod install;
mod logs;
mod product;
mod server_name;
mod stack_name;
mod status;
mod test;
mod text;
mod up;

use std::process::ExitCode;

use diptych_stack::{Stack, StackPaths, StackResult};

/// Runs the real servers on one machine, without containers: Postgres, Kafka, Cassandra in the place of ScyllaDB,
/// memcached and Envoy.
///
/// They are installed once, into the target folder, and have their own ports and folders. Several stacks, each with its
/// own name, can run at the same time.
#[derive(Debug, clap::Parser)]
#[command(name = "cargo stack", bin_name = "cargo stack", version, max_term_width = 120, after_long_help = AFTER_HELP)]
pub(crate) struct Cli {
    /// Name of the stack. Default: "default".
    #[arg(long, global = true, value_name = "STACK", env = "DIPTYCH_STACK")]
    name: Option<String>,

    #[command(subcommand)]
    subcommand: Subcommand,
}

#[derive(Debug, clap::Subcommand)]
enum Subcommand {
    Up(up::Args),
    Down(down::Args),
    Status(status::Args),
    Logs(logs::Args),
    Kill(control::Kill),
    Restart(control::Restart),
    Pause(control::Pause),
    Resume(control::Resume),
    Failover(failover::Args),
    Test(test::Args),
    Env(env::Args),
    Install(install::Args),
}

const AFTER_HELP: &str = "\
Start here:
  cargo stack up                     start everything; it runs until `cargo stack down`
  cargo stack status                 state, ports and memory of each process
  cargo stack kill kafka             kill with SIGKILL; it is not restarted automatically
  cargo stack restart kafka          start it again, with its data
  cargo stack logs kafka -f          follow its log
  cargo stack up --standbys 1        Postgres with a standby; `cargo stack failover` kills the primary
  cargo stack down                   stop everything, keep the data
  cargo stack test                   run all tests of this workspace, with separate servers

Folders:
  target/stack/STACK/PROCESS         data, configuration and log of a process
  target/stack-tools                 installed tools; DIPTYCH_STACK_TOOLS sets another folder,
                                     which several clones, or a CI cache, can share";

impl Cli {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let paths = StackPaths::in_target_folder()?;
        let name = self.name.as_deref();
        let stack = name.unwrap_or(stack_name::DEFAULT);
        match self.subcommand {
            Subcommand::Up(args) => up::run(args, &paths, stack).await,
            Subcommand::Down(args) => down::run(&args, &paths, stack).await,
            Subcommand::Status(args) => status::run(&args, &paths, name).await,
            Subcommand::Logs(args) => logs::run(&args, &attach(&paths, stack)?).await,
            Subcommand::Kill(args) => control::kill(&args, &attach(&paths, stack)?).await,
            Subcommand::Restart(args) => control::restart(&args, &attach(&paths, stack)?).await,
            Subcommand::Pause(args) => control::pause(&args, &attach(&paths, stack)?).await,
            Subcommand::Resume(args) => control::resume(&args, &attach(&paths, stack)?),
            Subcommand::Failover(args) => failover::run(&args, &attach(&paths, stack)?).await,
            Subcommand::Test(args) => test::run(args, &paths, name).await,
            Subcommand::Env(args) => env::run(&args, &attach(&paths, stack)?),
            Subcommand::Install(args) => install::run(&args, &paths).await,
        }
    }
}

fn attach(paths: &StackPaths, name: &str) -> StackResult<Stack> {
    Stack::attach(paths, name)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_help_of_every_command_has_examples() {
        for command in Cli::command().get_subcommands_mut() {
            let help = command.render_long_help().to_string();
            assert!(help.contains(&format!("  cargo stack {}", command.get_name())), "{help}");
            assert!(command.get_about().is_some(), "{}", command.get_name());
        }
    }
}
