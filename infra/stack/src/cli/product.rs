//! Builds and configures the product, and prints its addresses.

use std::{env, path::PathBuf, process::Stdio};

use anyhow::{Context, bail};
use diptych_stack::{Product, ProductConfig, Server, Stack, StackPaths};
use tokio::process::Command;
use uuid::Uuid;

use super::stack_name::name_option;

/// Options of the product.
#[derive(Debug, clap::Args)]
pub(super) struct ProductArgs {
    /// Builds and runs the product in release mode.
    #[arg(long, conflicts_with = "servers")]
    release: bool,

    /// Path of an existing program `diptych`, instead of building it.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["servers", "release"])]
    program: Option<PathBuf>,

    /// Number of partitions of a new stack, 1 to 256. Cannot be changed later.
    #[arg(long, value_name = "COUNT", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(super) partitions: u16,
}

/// Prefixes of variables that start with `DIPTYCH_` but are not settings.
const NO_SETTINGS: &[&str] =
    &["DIPTYCH_STACK", "DIPTYCH_TEST_", "DIPTYCH_ADDRESS", "DIPTYCH_TOKEN", "DIPTYCH_CONFIG", "DIPTYCH_SEED"];

/// Example calls to paste into a shell: the third and the last read what the second wrote.
const CALLS: &str = include_str!("../../../../examples/first-calls.txt");

/// Returns the program `diptych`, which is built unless it was given.
pub(super) async fn program(args: &ProductArgs, paths: &StackPaths) -> anyhow::Result<PathBuf> {
    if let Some(program) = &args.program {
        return std::path::absolute(program).with_context(|| format!("cannot find {}", program.display()));
    }
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(&cargo);
    command.args(["build", "--quiet", "--package", "diptych"]).stdin(Stdio::null()).kill_on_drop(true);
    if args.release {
        command.arg("--release");
    }
    eprintln!("building the product");
    let status = command.status().await.with_context(|| format!("cannot start {}", cargo.display()))?;
    if !status.success() {
        bail!("cannot build the product ({status}): see the output of cargo above");
    }
    let profile = if args.release { "release" } else { "debug" };
    Ok(paths.target().join(profile).join("diptych"))
}

pub(super) fn config(program: PathBuf, partitions: u16) -> ProductConfig {
    let variables = env::vars().filter(|(name, _)| is_setting(name));
    ProductConfig { partitions, settings: variables.collect(), ..ProductConfig::new(program) }
}

fn is_setting(name: &str) -> bool {
    name.starts_with("DIPTYCH_") && !NO_SETTINGS.iter().any(|other| name.starts_with(other))
}

/// Text with the addresses of everything and example calls.
pub(super) fn banner(stack: &Stack, product: &Product, partitions: u16) -> anyhow::Result<String> {
    let Product { address, settings, .. } = product;
    let setting = |name: &str| settings.get(name).cloned().unwrap_or_default();
    let facts = [
        ("gRPC", format!("{address}  (through Envoy; JSON, gRPC-Web, reflection and health too)")),
        ("Token", "$DIPTYCH_TOKEN, after the first line below; valid for a year".to_owned()),
        ("Postgres", setting("DIPTYCH_POSTGRES__URL")),
        ("Kafka", stack.address(Server::Kafka)?),
        ("CQL", format!("{}  (Cassandra in the place of ScyllaDB)", stack.address(Server::Cassandra)?)),
        ("Memcached", stack.address(Server::Memcached)?),
        ("Partitions", partitions.to_string()),
        ("Processes", format!("`cargo stack status{}`", name_option(stack))),
    ];
    let facts: String = facts.iter().map(|(name, fact)| format!("  {name:<10}  {fact}\n")).collect();
    let calls = fill(CALLS, address, "-H \"authorization: Bearer $DIPTYCH_TOKEN\" ");
    Ok(format!(
        "Diptych {}, stack {}\n\n{facts}\nTry it:\n\n  eval \"$(cargo stack env{})\"\n\n{calls}\n",
        env!("CARGO_PKG_VERSION"),
        stack.name(),
        name_option(stack)
    ))
}

/// Fills in the placeholders. Ids are random, so that the calls can be repeated.
fn fill(calls: &str, address: &str, header: &str) -> String {
    let mut number = Uuid::new_v4().simple().to_string();
    number.truncate(6);
    let values = [
        ("{{address}}", address.to_owned()),
        ("{{header}}", header.to_owned()),
        ("{{id}}", format!("demo-{number}")),
        ("{{uuid 1}}", Uuid::new_v4().to_string()),
        ("{{uuid 2}}", Uuid::new_v4().to_string()),
    ];
    values.iter().fold(calls.to_owned(), |text, (name, value)| text.replace(name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_placeholder_of_the_calls_is_filled() {
        let calls = fill(CALLS, "127.0.0.1:20000", "-H x ");
        assert!(!calls.contains("{{"), "{calls}");
        assert_eq!(calls.matches("127.0.0.1:20000").count(), 4);
        assert_eq!(calls.matches("-H x ").count(), 4);
        assert_ne!(fill(CALLS, "a", ""), fill(CALLS, "a", ""));
    }

    #[test]
    fn settings_are_passed_on_and_nothing_else() {
        assert!(is_setting("DIPTYCH_LOG__FILTER"));
        for other in
            ["DIPTYCH_STACK_TOOLS", "DIPTYCH_TEST_KAFKA", "DIPTYCH_ADDRESS", "DIPTYCH_TOKEN", "DIPTYCH_CONFIG", "PATH"]
        {
            assert!(!is_setting(other), "{other}");
        }
    }
}
