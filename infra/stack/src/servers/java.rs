//! What the servers on Java share.

use std::path::Path;

use super::{Site, file::make_folder};
use crate::{ProcessSpec, StackResult};

/// For every Java here. One collector thread is enough for heaps of this size, and leaves the cores to the work.
const OPTIONS: &[&str] = &[
    "-XX:+UseSerialGC",
    // Otherwise each writes a file to a place that all share.
    "-XX:-UsePerfData",
];

/// A process of Java with the classes in the folder `jars`. `options` come before the class, `arguments` after it.
pub(super) fn process(
    site: &Site<'_>,
    name: &str,
    jars: &Path,
    options: Vec<String>,
    class_and_arguments: &[&str],
) -> StackResult<ProcessSpec> {
    // Native libraries are unpacked there; those of a killed process stay behind.
    let scratch = site.folder.process(name).join("tmp");
    make_folder(&scratch)?;
    let own =
        [format!("-Djava.io.tmpdir={}", scratch.display()), "-cp".to_owned(), jars.join("*").display().to_string()];
    let spec = ProcessSpec::new(name, site.tools.java()?).arguments(OPTIONS.iter().copied());
    Ok(spec.arguments(options).arguments(own).arguments(class_and_arguments.iter().copied()))
}
