//! `test`.

use std::{
    env,
    ffi::OsString,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context;
use diptych_stack::{Stack, StackConfig, StackPaths};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    process::{Child, Command},
    signal::unix::{SignalKind, signal},
    time::{Instant, timeout},
};

use super::{
    install,
    server_name::{ServerName, chosen},
    text::uptime,
};

/// Time limit for the tests to end after a signal.
const END_TIMEOUT: Duration = Duration::from_secs(10);

/// Exit status after SIGINT, as in shells: 128 + 2.
const EXIT_INTERRUPTED: u8 = 130;

/// Runs all tests of this workspace with real servers: installs missing packages, starts separate servers, and stops
/// them.
///
/// The servers and their data are removed afterwards, even after Ctrl-C. The exit status is that of the tests.
#[derive(Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Starts only this server; can be repeated.
    #[arg(long = "server", value_name = "SERVER")]
    servers: Vec<ServerName>,

    /// Number of standbys of Postgres.
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    standbys: u16,

    /// Tests the chart instead, on a Kubernetes of this machine: integration-tests/kubernetes/run says what it needs.
    #[arg(long, conflicts_with = "servers")]
    cluster: bool,

    /// Further arguments of `cargo test --workspace --locked`. With -p or --package, only those packages are tested.
    #[arg(last = true, allow_hyphen_values = true, value_name = "ARGUMENT")]
    arguments: Vec<OsString>,
}

const AFTER_HELP: &str = "\
Examples:
  cargo stack test
  cargo stack test --server kafka -- -p diptych-kafka
  cargo stack test --server postgres -- -p diptych-postgres conformance -- --nocapture
  cargo stack test --standbys 1 --server postgres -- -p diptych-postgres
  cargo stack test --cluster

To run tests repeatedly, start the servers once:
  cargo stack up postgres kafka cassandra memcached
  eval \"$(cargo stack env)\"
  cargo test -p diptych-kafka";

pub(crate) async fn run(args: Args, paths: &StackPaths, name: Option<&str>) -> anyhow::Result<ExitCode> {
    if args.cluster {
        let script = workspace().join("integration-tests/kubernetes/run");
        let error = std::process::Command::new(&script).args(&args.arguments).exec();
        return Err(error).with_context(|| format!("cannot start {}", script.display()));
    }
    // Handled from here on, so that the servers are stopped by this process and not by the guardian.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let signalled = async {
        tokio::select! { _ = interrupt.recv() => {} _ = terminate.recv() => {} }
    };
    tokio::pin!(signalled);

    let mut config =
        StackConfig { paths: paths.clone(), standbys: args.standbys, ..StackConfig::for_test(chosen(&args.servers))? };
    if let Some(name) = name {
        name.clone_into(&mut config.name);
    }
    let started = async {
        install::install_all(paths).await?;
        eprintln!("starting servers as stack {}", config.name);
        let began_at = Instant::now();
        let stack = Stack::start(config).await?;
        eprintln!("ready after {}", uptime(began_at.elapsed()));
        anyhow::Ok(stack)
    };
    // Dropping the future or the stack kills what was started.
    let stack = tokio::select! {
        stack = started => stack?,
        () = &mut signalled => return Ok(ExitCode::from(EXIT_INTERRUPTED)),
    };

    let mut tests = cargo_test(&args.arguments, &stack)?;
    let status = tokio::select! {
        status = tests.wait() => Some(status.context("cannot wait for the tests")?),
        () = &mut signalled => None,
    };
    if status.is_none() {
        end(&mut tests).await?;
    }
    stack.stop().await?;
    let code = status.map_or(Some(i32::from(EXIT_INTERRUPTED)), |status| status.code());
    Ok(code.and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}

/// Starts cargo in its own process group, so that one signal reaches cargo and its test. The guardian kills it too.
fn cargo_test(arguments: &[OsString], stack: &Stack) -> anyhow::Result<Child> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(&cargo);
    command.arg("test").args(selection(arguments)).arg("--locked").args(arguments);
    command.envs(stack.environment()?).process_group(0).kill_on_drop(true);
    let child = command.spawn().with_context(|| format!("cannot start {}", cargo.display()))?;
    if let Some(pid) = child.id() {
        stack.guard(pid)?;
    }
    Ok(child)
}

/// Returns `--workspace` unless packages are given, which cargo would ignore with it.
fn selection(arguments: &[OsString]) -> Option<&'static str> {
    let of_cargo = arguments.iter().map_while(|argument| argument.to_str().filter(|text| *text != "--"));
    let names_package = |text: &str| text == "--package" || text.starts_with("--package=") || text.starts_with("-p");
    let named = of_cargo.into_iter().any(names_package);
    (!named).then_some("--workspace")
}

/// The root of the workspace that this program was built in.
fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

async fn end(tests: &mut Child) -> anyhow::Result<()> {
    eprintln!("stopping the tests");
    for signal in [Signal::INT, Signal::KILL] {
        let group = tests.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        if let Some(group) = group {
            // It may have ended just now.
            let _ = kill_process_group(group, signal);
        }
        if timeout(END_TIMEOUT, tests.wait()).await.is_ok() {
            return Ok(());
        }
    }
    anyhow::bail!("the tests are still running after SIGKILL")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_packages_take_the_place_of_the_workspace() {
        let select = |arguments: &[&str]| selection(&arguments.iter().map(Into::into).collect::<Vec<_>>());
        assert_eq!(select(&[]), Some("--workspace"));
        assert_eq!(select(&["conformance", "--", "-p"]), Some("--workspace"));
        for arguments in [["-p", "x"], ["-px", "y"], ["--package", "x"], ["--package=x", "y"]] {
            assert_eq!(select(&arguments), None, "{arguments:?}");
        }
    }
}
