//! Writes configuration files from templates.

use std::{fs, io::Write, os::unix::fs::fchown, path::Path};

use crate::{
    error::{StackError, StackResult},
    process::RunAs,
};

/// Writes a template in which each `{{name}}` is replaced by its value.
pub(super) fn write(path: &Path, template: &str, values: &[(&str, String)]) -> StackResult<()> {
    fs::write(path, fill(template, values)).map_err(StackError::io(format!("write {}", path.display())))
}

/// Writes a file that only this user can read, with mode 0600.
pub(super) fn write_private(path: &Path, text: &str, user: Option<RunAs>) -> StackResult<()> {
    let write = || -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(path))?;
        file.write_all(text.as_bytes())?;
        if let Some(user) = user {
            // Not by its path, which the owner of the folder could replace.
            fchown(file.as_file(), Some(user.user_id), Some(user.group_id))?;
        }
        file.persist(path)?;
        Ok(())
    };
    write().map_err(StackError::io(format!("write {}", path.display())))
}

pub(super) fn make_folder(path: &Path) -> StackResult<()> {
    fs::create_dir_all(path).map_err(StackError::io(format!("make the folder {}", path.display())))
}

pub(super) fn fill(template: &str, values: &[(&str, String)]) -> String {
    values.iter().fold(template.to_owned(), |text, (name, value)| text.replace(&format!("{{{{{name}}}}}"), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_placeholder_is_replaced() {
        let values = [("a", "1".to_owned()), ("b", "2".to_owned())];
        assert_eq!(fill("x={{a}} y={{b}} z={{a}}", &values), "x=1 y=2 z=1");
    }

    #[test]
    fn the_committed_templates_have_no_other_placeholders() {
        let names = [
            "name",
            "rest",
            "etcd",
            "strict",
            "programs",
            "folder",
            "superuser",
            "replication",
            "rewind",
            "port",
            "addresses",
            "access",
            "kafka",
            "controller",
            "pods",
            "cql",
            "storage",
            "rpc",
            "data",
        ];
        let values: Vec<_> = names.iter().map(|name| (*name, "0".to_owned())).collect();
        for template in [
            include_str!("../../config/postgres.conf"),
            include_str!("../../config/patroni.yml"),
            include_str!("../../config/kafka.properties"),
            include_str!("../../config/cassandra.yaml"),
        ] {
            let text = fill(template, &values);
            assert!(!text.contains("{{") && text != template);
        }
    }
}
