//! Scripts that run the installed programs, in one folder for `PATH`.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use super::{python, tools::Tools};
use crate::error::{StackError, StackResult};

/// Kafka's tools, by their names in its distribution.
const KAFKA_TOOLS: &[(&str, &str)] = &[
    ("kafka-topics", "org.apache.kafka.tools.TopicCommand"),
    ("kafka-console-consumer", "org.apache.kafka.tools.consumer.ConsoleConsumer"),
    ("kafka-console-producer", "org.apache.kafka.tools.ConsoleProducer"),
    ("kafka-consumer-groups", "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"),
    ("kafka-get-offsets", "org.apache.kafka.tools.GetOffsetShell"),
];

/// Writes a script for each installed program. Paths are relative to the script, so that the folder of tools can be
/// moved.
pub(super) fn write(tools: &Tools) -> StackResult<()> {
    let folder = tools.scripts();
    fs::create_dir_all(&folder).map_err(StackError::io(format!("make the folder {}", folder.display())))?;
    if let Some((python, cqlsh)) = python::cqlsh(&tools.folder) {
        script(tools, "cqlsh", &format!("exec {} {} \"$@\"", beside(tools, &python), beside(tools, &cqlsh)))?;
    }
    if let Some(grpcurl) = python::grpcurl(&tools.folder) {
        script(tools, "grpcurl", &format!("exec {} \"$@\"", beside(tools, &grpcurl)))?;
    }
    if let Some(python) = python::patroni(&tools.folder) {
        let program = python.with_file_name("patronictl");
        let line = format!("exec {} {} \"$@\"", beside(tools, &python), beside(tools, &program));
        script(tools, "patronictl", &line)?;
    }
    if let Ok(envoy) = tools.envoy() {
        script(tools, "envoy", &format!("exec {} \"$@\"", beside(tools, &envoy)))?;
    }
    if let (Ok(jars), Ok(java)) = (tools.kafka(), tools.java()) {
        for (name, class) in KAFKA_TOOLS {
            let options = "-Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1";
            let jars = beside(tools, &jars.join("*"));
            script(tools, name, &format!("exec '{}' {options} -cp {jars} {class} \"$@\"", java.display()))?;
        }
    }
    Ok(())
}

/// A path as a shell word: below the folder of tools it is relative to the script.
fn beside(tools: &Tools, path: &Path) -> String {
    match path.strip_prefix(&tools.folder) {
        Ok(inside) => format!("\"$tools/{}\"", inside.display()),
        Err(_) => format!("'{}'", path.display()),
    }
}

fn script(tools: &Tools, name: &str, last_line: &str) -> StackResult<()> {
    let path = tools.scripts().join(name);
    let text = format!("#!/bin/sh\ntools=$(dirname \"$(dirname \"$(readlink -f \"$0\")\")\")\n{last_line}\n");
    let write = || -> std::io::Result<()> {
        // Replaced by a rename, because the old script may be running.
        let file = tempfile::NamedTempFile::new_in(tools.scripts())?;
        fs::write(file.path(), text)?;
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o755))?;
        file.persist(&path)?;
        Ok(())
    };
    write().map_err(StackError::io(format!("write {}", path.display())))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_script_finds_its_program_after_the_folder_was_moved() {
        let parent = tempfile::tempdir().unwrap();
        let tools = Tools { folder: parent.path().join("with blank") };
        fs::create_dir_all(tools.scripts()).unwrap();
        fs::write(tools.folder.join("program"), "echo \"$1 of $2\"").unwrap();
        let program = beside(&tools, &tools.folder.join("program"));
        script(&tools, "run", &format!("exec sh {program} \"$@\"")).unwrap();
        let moved = parent.path().join("moved");
        fs::rename(&tools.folder, &moved).unwrap();
        let output = Command::new("sh").arg(moved.join("bin/run")).args(["one", "two three"]).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "one of two three\n");
        assert_eq!(beside(&tools, Path::new("/usr/bin/java")), "'/usr/bin/java'");
    }
}
