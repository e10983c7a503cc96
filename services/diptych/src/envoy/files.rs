//! Files that only this user can read, as they may contain keys or tokens.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use anyhow::Context;

/// Writes a file, and makes its folder where it is missing.
pub(super) fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let write = || -> io::Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        File::options().write(true).create(true).truncate(true).mode(0o600).open(path)?.write_all(bytes)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}
