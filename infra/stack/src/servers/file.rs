//! Writes configuration files from templates.

use std::{fs, path::Path};

use crate::error::{StackError, StackResult};

/// Writes a template in which each `{{name}}` is replaced by its value.
pub(super) fn write(path: &Path, template: &str, values: &[(&str, String)]) -> StackResult<()> {
    fs::write(path, fill(template, values)).map_err(StackError::io(format!("write {}", path.display())))
}

pub(super) fn make_folder(path: &Path) -> StackResult<()> {
    fs::create_dir_all(path).map_err(StackError::io(format!("make the folder {}", path.display())))
}

fn fill(template: &str, values: &[(&str, String)]) -> String {
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
        let names = ["port", "addresses", "access", "kafka", "controller", "pods", "cql", "storage", "rpc", "data"];
        let values: Vec<_> = names.iter().map(|name| (*name, "0".to_owned())).collect();
        for template in [
            include_str!("../../config/postgres.conf"),
            include_str!("../../config/kafka.properties"),
            include_str!("../../config/cassandra.yaml"),
        ] {
            let text = fill(template, &values);
            assert!(!text.contains("{{") && text != template);
        }
    }
}
