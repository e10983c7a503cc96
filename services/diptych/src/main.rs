//! Diptych: a CQRS backend that you install.
//!
//! The boot story: read the command line, then do one thing. What serves goes on in [`process`]; only this crate names both ports and
//! adapters, the embedded ones in [`dev`], the real ones in [`servers`].

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
mod verify;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use tokio::runtime::{Builder, Runtime};

use cli::{Cli, Subcommand};
use services::{all, command, projector, query, relay};

/// How many threads a command has that only talks to a server, or only reads files.
const TOOL_THREADS: usize = 2;

fn main() -> ExitCode {
    match run(Cli::parse()) {
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
        Subcommand::Import(args) => tool(import::run(args)),
        Subcommand::Verify(args) => tool(verify::run(args)),
        Subcommand::Bench(args) => tool(bench::run(args)),
        Subcommand::Explain(args) => explain::run(&args),
        Subcommand::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "diptych", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Runs a command that ends by itself; Ctrl-C ends it as usual.
fn tool(work: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    runtime(TOOL_THREADS)?.block_on(work)
}

fn runtime(worker_threads: usize) -> std::io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(worker_threads).thread_name("diptych").enable_all().build()
}
