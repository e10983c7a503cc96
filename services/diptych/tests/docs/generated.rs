//! Generated parts of the pages: settings, metrics, and the whole reference of the API.

use std::{env, fmt::Write, fs};

use super::{
    api, metrics,
    pages::{read, root},
    process::run,
};

/// With this variable the tests write the files instead of comparing them.
const UPDATE: &str = "DIPTYCH_UPDATE_DOCS";

#[test]
fn the_references_of_settings_and_metrics_are_current() {
    let path = "docs/OPERATIONS.md";
    let page = with_section(&read(path), "settings", &settings());
    check(path, &with_section(&page, "metrics", &metrics_table()));
}

#[test]
fn the_reference_of_the_api_is_current() {
    check("docs/API.md", &api::reference());
}

fn settings() -> String {
    let (status, tables, errors) = run(&["settings", "--markdown"]);
    assert_eq!((status, errors.as_str()), (0, ""));
    tables
}

fn metrics_table() -> String {
    let mut table = String::from("| metric | kind | meaning |\n|---|---|---|\n");
    for (name, metric) in metrics::all() {
        let mut help = metric.help.replace('|', "\\|");
        if let Some(first) = help.get(..1).map(str::to_uppercase) {
            help.replace_range(..1, &first);
        }
        let _ = writeln!(table, "| `{name}` | {} | {help} |", metric.kind);
    }
    table
}

/// The page with this text between `<!-- generated: NAME -->` and the next `<!-- end -->`.
fn with_section(page: &str, name: &str, generated: &str) -> String {
    let begin = format!("<!-- generated: {name} -->\n");
    let (before, rest) = page.split_once(&begin).unwrap_or_else(|| panic!("the page has no line {begin:?}"));
    let (_, after) = rest.split_once("<!-- end -->").unwrap_or_else(|| panic!("the section {name} has no end"));
    format!("{before}{begin}\n{}\n\n<!-- end -->{after}", generated.trim())
}

/// Compares a file with its generated text.
fn check(path: &str, generated: &str) {
    let current = fs::read_to_string(root().join(path)).unwrap_or_default();
    if current == generated {
        return;
    }
    if env::var_os(UPDATE).is_some_and(|value| !value.is_empty()) {
        fs::write(root().join(path), generated).unwrap();
        return;
    }
    let lines = generated.lines().map(Some).chain([None]);
    let (number, (now, was)) = (1..)
        .zip(lines.zip(current.lines().map(Some).chain([None])))
        .find(|(_, (now, was))| now != was)
        .unwrap_or((0, (None, None)));
    panic!(
        "{path} is not current from line {number}: it has {was:?}, and should have {now:?}. Update it with\n    \
         {UPDATE}=1 cargo test --workspace --test docs generated"
    );
}
