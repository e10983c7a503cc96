//! `env`.

use std::process::ExitCode;

use diptych_stack::Stack;

use super::text::shell_word;

/// Prints shell variables: addresses of the servers, and a `PATH` with cqlsh, grpcurl, Kafka's tools and the stack's
/// `diptych`.
///
/// With standbys, the URL of Postgres has all members, DIPTYCH_TEST_POSTGRES_STANDBYS is the number of standbys, and
/// PGTARGETSESSIONATTRS leads psql to the primary.
///
/// DIPTYCH_ADDRESS is the address of the edge for client calls, DIPTYCH_TOKEN the token that the gateways require.
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
  cqlsh ${DIPTYCH_TEST_CQL%:*} ${DIPTYCH_TEST_CQL#*:}
  curl -H \"authorization: Bearer $DIPTYCH_TOKEN\" http://$DIPTYCH_ADDRESS/v1/accounts/alice
  diptych verify";

pub(crate) fn run(_args: &Args, stack: &Stack) -> anyhow::Result<ExitCode> {
    for (name, value) in stack.environment()? {
        println!("export {name}={}", shell_word(&value));
    }
    let mut folders = vec![stack.tools().scripts()];
    folders.extend(stack.product()?.and_then(|product| product.program.parent().map(Into::into)));
    let folders: Vec<_> = folders.iter().map(|folder| shell_word(&folder.display().to_string())).collect();
    println!("export PATH={}:\"$PATH\"", folders.join(":"));
    Ok(ExitCode::SUCCESS)
}
