//! `env`.

use std::process::ExitCode;

use diptych_stack::Stack;

use super::text::shell_word;

/// Prints variables for a shell: where the servers are, and a `PATH` with cqlsh, grpcurl and Kafka's tools.
#[derive(Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub(crate) struct Args {}

const AFTER_HELP: &str = "\
Examples:
  cargo stack env
  eval \"$(cargo stack env)\"
  cargo test -p diptych-kafka                          # finds the stack's Kafka
  psql \"$DIPTYCH_TEST_POSTGRES_URL\"
  kafka-topics --bootstrap-server \"$DIPTYCH_TEST_KAFKA\" --list
  cqlsh ${DIPTYCH_TEST_CQL%:*} ${DIPTYCH_TEST_CQL#*:}";

pub(crate) fn run(_args: &Args, stack: &Stack) -> anyhow::Result<ExitCode> {
    for (name, value) in stack.environment()? {
        println!("export {name}={}", shell_word(&value));
    }
    println!("export PATH={}:\"$PATH\"", shell_word(&stack.tools().scripts().display().to_string()));
    Ok(ExitCode::SUCCESS)
}
