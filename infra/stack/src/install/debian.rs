//! Installs Postgres, memcached, and the dependencies of the other installers from Debian. etcd is only unpacked, into
//! the folder of tools, as its package would start a service.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use tokio::process::Command;

use super::{
    command::run,
    java,
    package::{Package, ProgressReporter},
    programs::find_program,
    python,
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

/// The package with the program `etcd`.
const ETCD: &str = "etcd-server";

/// Path of etcd, if it was unpacked here.
pub(super) fn etcd(tools: &Path) -> PathBuf {
    tools.join("debian-etcd/usr/bin/etcd")
}

/// Unpacks missing packages that are not to be installed in the system. That needs no root, and apt checks the file
/// with Debian's signature.
pub(super) async fn unpack(
    tools: &Tools,
    missing: &BTreeSet<Package>,
    report: ProgressReporter<'_>,
) -> StackResult<()> {
    if !missing.contains(&Package::Etcd) || tools.etcd().is_ok() {
        return Ok(());
    }
    let install_error = |reason: String| StackError::Install { what: "etcd".to_owned(), reason };
    let (Some(apt_get), Some(dpkg)) = (find_program("apt-get"), find_program("dpkg-deb")) else {
        return Err(install_error("apt-get not found; install etcd 3.4 or newer, so that it is in PATH".to_owned()));
    };
    report(&format!("  from Debian, unpacked: {ETCD}"));
    let partial = tempfile::Builder::new().prefix(".partial-").tempdir_in(&tools.folder);
    let partial = partial.map_err(StackError::io(format!("make a folder in {}", tools.folder.display())))?;
    if rustix::process::geteuid().is_root() {
        run(ETCD, Command::new(&apt_get).args(["-q", "-o", LOCK_WAIT, "update"])).await?;
    }
    run(ETCD, Command::new(&apt_get).args(["-q", "download", ETCD]).current_dir(partial.path())).await?;
    let entries = fs::read_dir(partial.path()).map_err(StackError::io("read the folder of the download"))?;
    let file = entries.flatten().map(|entry| entry.path()).find(|path| path.extension().is_some_and(|is| is == "deb"));
    let file = file.ok_or_else(|| install_error(format!("apt-get download {ETCD} left no file")))?;
    let content = partial.path().join("content");
    run(ETCD, Command::new(&dpkg).arg("-x").arg(&file).arg(&content)).await?;
    let folder = tools.folder.join("debian-etcd");
    fs::rename(&content, &folder).map_err(StackError::io(format!("make the folder {}", folder.display())))
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
    let lacks_python = has(&[Package::Envoy, Package::Clients]) && !python_makes_environments(false);
    if lacks_python || (has(&[Package::Patroni]) && !python_makes_environments(true)) {
        want("Python 3 with venv", "python3-venv", false);
    }
    system_packages
}

/// Returns whether `python3 -m venv` works; Debian has a separate package for what it needs.
fn python_makes_environments(for_all_users: bool) -> bool {
    let Some(python) = python::interpreter(for_all_users) else { return false };
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
