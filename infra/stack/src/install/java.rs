//! Finds a Java version that both Kafka and Cassandra support.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use super::programs::find_program;

/// Kafka 4 needs 17 or newer; Cassandra 5.0 supports up to 17.
pub(super) const VERSION: u32 = 17;

/// Finds this version in `JAVA_HOME`, in `PATH` or in Debian's folder, in this order.
pub(super) fn find() -> Option<PathBuf> {
    let home = env::var_os("JAVA_HOME").map(|home| PathBuf::from(home).join("bin/java"));
    let installed =
        fs::read_dir("/usr/lib/jvm").into_iter().flatten().flatten().map(|entry| entry.path().join("bin/java"));
    let candidates = home.into_iter().chain(find_program("java")).chain(installed);
    candidates.filter_map(|java| java.canonicalize().ok()).find(|java| version(java) == Some(VERSION))
}

/// Reads the version from the file `release` next to `bin`; starting Java would take a tenth of a second.
fn version(java: &Path) -> Option<u32> {
    let release = fs::read_to_string(java.ancestors().nth(2)?.join("release")).ok()?;
    major(&release)
}

fn major(release: &str) -> Option<u32> {
    let value = release.lines().find_map(|line| line.strip_prefix("JAVA_VERSION="))?;
    value.trim_matches('"').split(['.', '+', '-']).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_the_release() {
        assert_eq!(major("IMPLEMENTOR=\"Debian\"\nJAVA_VERSION=\"17.0.15\"\n"), Some(17));
        assert_eq!(major("JAVA_VERSION=\"21\"\n"), Some(21));
        assert_eq!(major("JAVA_VERSION=\"1.8.0_402\"\n"), Some(1), "before Java 9 the version was 1.x");
        assert_eq!(major("OTHER=\"17\"\n"), None);
    }
}
