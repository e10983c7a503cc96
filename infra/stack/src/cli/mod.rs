//! The command line.

mod control;
mod down;
mod env;
mod install;
mod logs;
mod product;
mod server_name;
mod status;
mod test;
mod text;
mod up;

use std::process::ExitCode;

use diptych_stack::{Places, Stack, StackResult};

/// The stack that is meant when none is named.
const DEFAULT: &str = "default";

/// The real servers on one machine, without containers: Postgres, Kafka, Cassandra in the place of ScyllaDB, memcached
/// and Envoy.
///
/// They are installed once, into the target folder, and run on ports and in folders of their own. Several stacks stand
/// side by side, each under its name.
#[derive(Debug, clap::Parser)]
#[command(name = "cargo stack", bin_name = "cargo stack", version, max_term_width = 120, after_long_help = AFTER_HELP)]
pub(crate) struct Cli {
    /// Which of several stacks. Default: "default".
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
    Test(test::Args),
    Env(env::Args),
    Install(install::Args),
}

const AFTER_HELP: &str = "\
Start here:
  cargo stack up                     everything, until `cargo stack down`
  cargo stack status                 what runs, where, and how large it is
  cargo stack kill kafka             as kill -9 does; nothing restarts it by itself
  cargo stack restart kafka          starts it again, with its data
  cargo stack logs kafka -f          what it says
  cargo stack down                   stops everything, keeps the data
  cargo stack test                   all tests of this workspace, with servers of their own

Folders:
  target/stack/STACK/PROCESS         data, configuration and log of a process
  target/stack-tools                 what was installed; DIPTYCH_STACK_TOOLS names another folder,
                                     which several clones, or a CI cache, can share";

impl Cli {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let places = Places::of_this_build()?;
        let name = self.name.as_deref();
        let stack = name.unwrap_or(DEFAULT);
        match self.subcommand {
            Subcommand::Up(args) => up::run(args, &places, stack).await,
            Subcommand::Down(args) => down::run(&args, &places, stack).await,
            Subcommand::Status(args) => status::run(&args, &places, name),
            Subcommand::Logs(args) => logs::run(&args, &attach(&places, stack)?).await,
            Subcommand::Kill(args) => control::kill(&args, &attach(&places, stack)?).await,
            Subcommand::Restart(args) => control::restart(&args, &attach(&places, stack)?).await,
            Subcommand::Pause(args) => control::pause(&args, &attach(&places, stack)?).await,
            Subcommand::Resume(args) => control::resume(&args, &attach(&places, stack)?),
            Subcommand::Test(args) => test::run(args, &places, name).await,
            Subcommand::Env(args) => env::run(&args, &attach(&places, stack)?),
            Subcommand::Install(args) => install::run(&args, &places).await,
        }
    }
}

fn attach(places: &Places, name: &str) -> StackResult<Stack> {
    Stack::attach(places, name)
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
    fn every_command_teaches_by_examples() {
        for command in Cli::command().get_subcommands_mut() {
            let help = command.render_long_help().to_string();
            assert!(help.contains(&format!("  cargo stack {}", command.get_name())), "{help}");
            assert!(command.get_about().is_some(), "{}", command.get_name());
        }
    }
}
