//! Diptych: a CQRS backend that you install.
//!
//! The boot story: read the command line, then do one thing. `dev` tells its own part of it in [`dev`].

mod bench;
mod cli;
mod client;
mod config;
mod dev;
mod explain;
mod import;
mod verify;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use tokio::runtime::{Builder, Runtime};

use cli::{Cli, Subcommand};

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
