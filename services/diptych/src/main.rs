//! Diptych: a CQRS backend that you install.
//!
//! Reads the command line, and runs one subcommand. Processes that serve share [`process`]. Only this crate names both
//! ports and adapters: the embedded ones in [`dev`], those of real servers in [`servers`].

mod backup;
mod bench;
mod cli;
mod client;
mod config;
mod dev;
#[cfg(feature = "servers")]
mod envoy;
mod explain;
mod health;
mod import;
#[cfg(feature = "servers")]
mod migrate;
mod outage;
mod parts;
mod process;
mod rebase;
#[cfg(feature = "servers")]
mod servers;
#[cfg(feature = "servers")]
mod services;
mod settings;
#[cfg(feature = "servers")]
mod status;
mod verify;

use std::process::ExitCode;

use clap::CommandFactory;

use cli::{Cli, Subcommand};
use process::run_tool;
#[cfg(feature = "servers")]
use services::{all, command, projector, query, relay};

fn main() -> ExitCode {
    match run(cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.subcommand {
        Subcommand::Dev(args) => dev::main(args),
        #[cfg(feature = "servers")]
        Subcommand::All(args) => all::main(args),
        #[cfg(feature = "servers")]
        Subcommand::Command(args) => command::main(args),
        #[cfg(feature = "servers")]
        Subcommand::Relay(args) => relay::main(args),
        #[cfg(feature = "servers")]
        Subcommand::Projector(args) => projector::main(args),
        #[cfg(feature = "servers")]
        Subcommand::Query(args) => query::main(args),
        #[cfg(feature = "servers")]
        Subcommand::Migrate(args) => migrate::main(args),
        #[cfg(feature = "servers")]
        Subcommand::Status(args) => status::main(args),
        #[cfg(feature = "servers")]
        Subcommand::Envoy(args) => run_tool(envoy::run(args)),
        Subcommand::Health(args) => run_tool(health::run(args)),
        Subcommand::Import(args) => run_tool(import::run(args)),
        Subcommand::Backup(args) => run_tool(backup::run(args)),
        Subcommand::Outage(args) => run_tool(outage::run(args)),
        Subcommand::Rebase(args) => run_tool(rebase::run(args)),
        Subcommand::Verify(args) => run_tool(verify::run(args)),
        Subcommand::Bench(args) => run_tool(bench::run(args)),
        Subcommand::Explain(args) => explain::run(&args),
        Subcommand::Settings(args) => settings::run(&args),
        Subcommand::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "diptych", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
    }
}
