//! Installs the jars of Kafka and Cassandra with Maven.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use tokio::process::Command;

use super::{
    checksums,
    command::run,
    package::{Package, ProgressReporter},
    programs::find_program,
};
use crate::error::{StackError, StackResult};

/// Pinned, so that every version of Maven behaves the same.
const COPY: &str = "org.apache.maven.plugins:maven-dependency-plugin:2.8:copy-dependencies";

/// A server distributed as jars.
pub(super) struct Jars {
    package: Package,
    name: &'static str,
    folder_name: &'static str,
    pub(super) version: &'static str,
    pom: &'static str,
    /// Every jar with its SHA-256.
    pub(super) list: &'static str,
}

pub(super) const KAFKA: Jars = Jars {
    package: Package::Kafka,
    name: "Apache Kafka",
    folder_name: "kafka",
    version: "4.3.1",
    pom: include_str!("../../packages/kafka.pom.xml"),
    list: include_str!("../../packages/kafka.sha256"),
};

pub(super) const CASSANDRA: Jars = Jars {
    package: Package::Cassandra,
    name: "Apache Cassandra",
    folder_name: "cassandra",
    version: "5.0.8",
    pom: include_str!("../../packages/cassandra.pom.xml"),
    list: include_str!("../../packages/cassandra.sha256"),
};

impl Jars {
    /// Folder of the complete installation.
    pub(super) fn folder(&self, tools: &Path) -> PathBuf {
        tools.join(format!("{}-{}-{}", self.folder_name, self.version, checksums::short(self.list)))
    }

    fn title(&self) -> String {
        format!("{} {}", self.name, self.version)
    }
}

/// Installs missing servers one after another, because two runs of Maven would write to the same local repository.
pub(super) async fn install(
    tools: &Path,
    missing: &BTreeSet<Package>,
    report: ProgressReporter<'_>,
) -> StackResult<()> {
    for jars in [KAFKA, CASSANDRA] {
        if missing.contains(&jars.package) && !jars.folder(tools).exists() {
            fetch(tools, &jars, report).await?;
        }
    }
    Ok(())
}

async fn fetch(tools: &Path, jars: &Jars, report: ProgressReporter<'_>) -> StackResult<()> {
    let count = jars.list.lines().count();
    report(&format!("  {} from Maven: {}, {count} jars, checked by SHA-256", jars.title(), coordinates(jars.pom)));
    let maven = find_program("mvn").ok_or_else(|| StackError::Install {
        what: jars.title(),
        reason: "mvn is missing: install Maven (Debian: apt-get install maven)".to_owned(),
    })?;
    // A folder left by an interrupted run is not used again.
    let partial = tempfile::Builder::new().prefix(".partial-").tempdir_in(tools);
    let partial = partial.map_err(StackError::io(format!("make a folder in {}", tools.display())))?;
    fs::write(partial.path().join("pom.xml"), jars.pom).map_err(StackError::io("write pom.xml"))?;
    let mut command = Command::new(maven);
    command.args(["-q", "-B", COPY, "-DoutputDirectory=lib", "-DincludeScope=runtime"]).current_dir(partial.path());
    run(&jars.title(), &mut command).await?;
    accept(partial.path(), jars)?;
    let folder = jars.folder(tools);
    fs::rename(partial.keep(), &folder).map_err(StackError::io(format!("make the folder {}", folder.display())))
}

/// Checks that the jars are exactly those of the list.
fn accept(folder: &Path, jars: &Jars) -> StackResult<()> {
    let lib = folder.join("lib");
    let found = checksums::differences(&lib, jars.list).map_err(StackError::io(format!("read {}", lib.display())))?;
    if found.is_empty() {
        return Ok(());
    }
    Err(StackError::Install {
        what: jars.title(),
        reason: format!(
            "the jars from Maven differ from infra/stack/packages/{}.sha256:\n  | {}",
            jars.folder_name,
            found.join("\n  | ")
        ),
    })
}

/// `group:artifact:version` of each dependency, for messages.
fn coordinates(pom: &str) -> String {
    let inside = |text: &str, tag: &str| {
        let (_, after) = text.split_once(&format!("<{tag}>"))?;
        after.split_once(&format!("</{tag}>")).map(|(value, _)| value.to_owned())
    };
    let dependencies = pom.split("<dependency>").skip(1);
    let names = dependencies.filter_map(|text| {
        Some(format!("{}:{}:{}", inside(text, "groupId")?, inside(text, "artifactId")?, inside(text, "version")?))
    });
    names.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_poms_have_the_versions_in_the_folder_names() {
        assert!(coordinates(KAFKA.pom).starts_with(&format!("org.apache.kafka:kafka_2.13:{}, ", KAFKA.version)));
        assert_eq!(coordinates(CASSANDRA.pom), format!("org.apache.cassandra:cassandra-all:{}", CASSANDRA.version));
        assert!(KAFKA.list.contains(&format!("kafka_2.13-{}.jar", KAFKA.version)));
        assert!(CASSANDRA.list.contains(&format!("cassandra-all-{}.jar", CASSANDRA.version)));
    }

    #[test]
    fn a_jar_with_another_checksum_is_rejected() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("lib")).unwrap();
        fs::write(folder.path().join("lib/a.jar"), "changed").unwrap();
        let sum = checksums::sha256(b"original");
        let list: &'static str = format!("{sum}  a.jar\n").leak();
        let jars = Jars { list, ..KAFKA };
        let error = accept(folder.path(), &jars).unwrap_err().to_string();
        assert!(error.contains("a.jar has the SHA-256") && error.contains("packages/kafka.sha256"), "{error}");
        fs::write(folder.path().join("lib/a.jar"), "original").unwrap();
        accept(folder.path(), &jars).unwrap();
    }

    #[test]
    fn the_committed_lists_are_well_formed() {
        for list in [KAFKA.list, CASSANDRA.list] {
            let sums = checksums::parse(list);
            assert_eq!(sums.len(), list.lines().count());
            assert!(sums.len() > 80);
            for (name, sum) in sums {
                let is_sum = sum.len() == 64 && sum.bytes().all(|byte| byte.is_ascii_hexdigit());
                assert!(is_sum && Path::new(name).extension().is_some_and(|ending| ending == "jar"), "{name} {sum}");
            }
        }
    }
}
