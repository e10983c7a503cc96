//! Paths of installed programs.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    debian, java, maven,
    package::Package,
    programs::{find_program, is_program},
    python,
};
use crate::{
    error::{StackError, StackResult},
    paths::StackPaths,
};

/// Finds installed programs. This is cheap: it only checks whether files exist.
#[derive(Clone, Debug)]
pub struct Tools {
    pub(super) folder: PathBuf,
}

impl Tools {
    /// Tools in this folder, and those of the system.
    #[must_use]
    pub fn at(paths: &StackPaths) -> Self {
        Self { folder: paths.tools.clone() }
    }

    /// The folder of what was installed here.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Checks that a package is installed, with everything that it needs to run.
    ///
    /// # Errors
    /// When it is not.
    pub fn check(&self, package: Package) -> StackResult<()> {
        match package {
            Package::Kafka => self.kafka().and(self.java()),
            Package::Cassandra => self.cassandra().and(self.java()),
            Package::Postgres => self.postgres(),
            Package::Memcached => self.memcached(),
            Package::Envoy => self.envoy(),
            Package::Clients => self.cqlsh().and(self.grpcurl()),
            Package::Patroni => self.patroni(),
            Package::Etcd => self.etcd(),
        }
        .map(|_| ())
    }

    /// The program `java`.
    ///
    /// # Errors
    /// When the version that the servers need is not installed.
    pub fn java(&self) -> StackResult<PathBuf> {
        java::find().ok_or_else(|| not_installed(&format!("Java {}", java::VERSION)))
    }

    /// The folder of Kafka's jars.
    ///
    /// # Errors
    /// When it is not installed.
    pub fn kafka(&self) -> StackResult<PathBuf> {
        existing(maven::KAFKA.folder(&self.folder).join("lib"), "Apache Kafka")
    }

    /// The folder of Cassandra's jars.
    ///
    /// # Errors
    /// When it is not installed.
    pub fn cassandra(&self) -> StackResult<PathBuf> {
        existing(maven::CASSANDRA.folder(&self.folder).join("lib"), "Apache Cassandra")
    }

    /// The folder of Postgres' programs: the newest version installed from Debian, otherwise the one from PyPI.
    ///
    /// # Errors
    /// When it is not installed.
    pub fn postgres(&self) -> StackResult<PathBuf> {
        debian_postgres().or_else(|| python::postgres(&self.folder)).ok_or_else(|| not_installed("Postgres"))
    }

    /// The program `memcached`.
    ///
    /// # Errors
    /// When it is not installed.
    pub fn memcached(&self) -> StackResult<PathBuf> {
        find_program("memcached").ok_or_else(|| not_installed("memcached"))
    }

    /// The program `envoy`.
    ///
    /// # Errors
    /// When it is not installed.
    pub fn envoy(&self) -> StackResult<PathBuf> {
        python::envoy(&self.folder).ok_or_else(|| not_installed("Envoy"))
    }

    /// The Python interpreter that has Patroni.
    ///
    /// # Errors
    /// When it is not installed.
    pub fn patroni(&self) -> StackResult<PathBuf> {
        python::patroni(&self.folder).ok_or_else(|| not_installed("Patroni"))
    }

    /// The program `etcd`: the one that was installed here, otherwise that of the system.
    ///
    /// # Errors
    /// When it is not installed.
    pub fn etcd(&self) -> StackResult<PathBuf> {
        let own = Some(debian::etcd(&self.folder)).filter(|program| is_program(program));
        own.or_else(|| find_program("etcd")).ok_or_else(|| not_installed("etcd"))
    }

    /// The program `cqlsh`.
    ///
    /// # Errors
    /// When it is not installed.
    pub fn cqlsh(&self) -> StackResult<PathBuf> {
        existing(self.scripts().join("cqlsh"), "cqlsh")
    }

    /// The program `grpcurl`.
    ///
    /// # Errors
    /// When it is not installed.
    pub fn grpcurl(&self) -> StackResult<PathBuf> {
        existing(self.scripts().join("grpcurl"), "grpcurl")
    }

    /// A folder for `PATH`, with `cqlsh`, `grpcurl`, `envoy` and Kafka's tools: `kafka-topics`,
    /// `kafka-console-consumer`, `kafka-console-producer`, `kafka-consumer-groups`, `kafka-get-offsets`.
    #[must_use]
    pub fn scripts(&self) -> PathBuf {
        self.folder.join("bin")
    }
}

/// The newest version of those installed from Debian.
fn debian_postgres() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
    let versions = versions.filter_map(|entry| Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path())));
    let complete = versions
        .map(|(version, path)| (version, path.join("bin")))
        .filter(|(_, bin)| is_program(&bin.join("postgres")));
    complete.max().map(|(_, bin)| bin)
}

fn existing(path: PathBuf, what: &str) -> StackResult<PathBuf> {
    if path.exists() { Ok(path) } else { Err(not_installed(what)) }
}

fn not_installed(what: &str) -> StackError {
    StackError::NotInstalled { what: what.to_owned(), remedy: "`cargo stack install` installs it".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_package_is_reported_with_a_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let tools = Tools { folder: folder.path().join("tools") };
        for (package, name) in [
            (Package::Kafka, "Apache Kafka"),
            (Package::Cassandra, "Apache Cassandra"),
            (Package::Envoy, "Envoy"),
            (Package::Clients, "cqlsh"),
            (Package::Patroni, "Patroni"),
        ] {
            let error = tools.check(package).unwrap_err().to_string();
            assert_eq!(error, format!("{name} is not installed: `cargo stack install` installs it"));
        }
    }
}
