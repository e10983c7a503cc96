//! Diptych: a CQRS backend that you install.
//!
//! Reads the command line, and runs one subcommand. Processes that serve share [`process`]. Only this crate names both
//! ports and adapters: the embedded ones in [`dev`], those of real servers in [`servers`].

mod bench;
mod cli;
mod client;
mod config;
mod dev;
mod explain;
mod import;
mod migrate;
mod parts;
mod process;
mod servers;
mod services;
mod settings;
mod verify;

use std::process::ExitCode;

use clap::CommandFactory;

use cli::{Cli, Subcommand};
use process::run_tool;
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
        Subcommand::All(args) => all::main(args),
        Subcommand::Command(args) => command::main(args),
        Subcommand::Relay(args) => relay::main(args),
        Subcommand::Projector(args) => projector::main(args),
        Subcommand::Query(args) => query::main(args),
        Subcommand::Migrate(args) => migrate::main(args),
        Subcommand::Import(args) => run_tool(import::run(args)),
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
