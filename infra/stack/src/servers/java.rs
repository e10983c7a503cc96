//! Process specification shared by the Java servers.

use std::path::Path;

use super::{file::make_folder, setup::ServerSetup};
use crate::{error::StackResult, process::ProcessSpec};

/// Options of every Java process. One garbage-collector thread is enough for heaps of this size.
const OPTIONS: &[&str] = &[
    "-XX:+UseSerialGC",
    // Otherwise each process writes a file to a shared folder.
    "-XX:-UsePerfData",
];

/// A Java process with the classes in the folder `jars`.
pub(super) fn process(
    setup: &ServerSetup<'_>,
    name: &str,
    jars: &Path,
    options: Vec<String>,
    class_and_arguments: &[&str],
) -> StackResult<ProcessSpec> {
    // Native libraries are unpacked there; those of a killed process stay behind.
    let scratch = setup.folder.process(name).join("tmp");
    make_folder(&scratch)?;
    let own =
        [format!("-Djava.io.tmpdir={}", scratch.display()), "-cp".to_owned(), jars.join("*").display().to_string()];
    let spec = ProcessSpec::new(name, setup.tools.java()?).arguments(OPTIONS.iter().copied());
    Ok(spec.arguments(options).arguments(own).arguments(class_and_arguments.iter().copied()))
}
