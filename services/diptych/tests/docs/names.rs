//! Names in the pages: what they name exists, and what exists is named.

use std::collections::BTreeSet;

use diptych_proto::DESCRIPTOR_SET;
use diptych_runtime::reasons;
use prost_reflect::DescriptorPool;

use super::{
    metrics,
    pages::{Page, code_spans, read, root, tracked, user_pages, words},
    process::run,
};

/// Codes of gRPC and other words in capital letters that the pages may use.
const OTHER_CAPITALS: [&str; 10] = [
    "LOCAL_QUORUM",
    "NOT_SERVING",
    "RUST_LOG",
    "INVALID_ARGUMENT",
    "FAILED_PRECONDITION",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "RESOURCE_EXHAUSTED",
    "DEADLINE_EXCEEDED",
    "PERMISSION_DENIED",
];

/// Endings that Prometheus adds to the names of histograms.
const HISTOGRAM_ENDINGS: [&str; 3] = ["_bucket", "_sum", "_count"];

#[test]
fn every_named_setting_exists() {
    let settings = settings();
    let sections: BTreeSet<_> = settings.iter().filter_map(|key| key.split_once('.')).map(|(name, _)| name).collect();
    each_code(|code| {
        let keys = words(code, |c| c.is_ascii_alphanumeric() || "_.-/".contains(c)).into_iter();
        let keys = keys.filter(|(_, word)| {
            let section = word.split_once('.').filter(|(_, name)| !["db", "db-wal", "rs", "md"].contains(name));
            section.is_some_and(|(section, _)| sections.contains(section))
        });
        keys.filter(|(_, key)| !settings.contains(*key)).map(|(_, key)| format!("setting {key}")).collect()
    });
}

#[test]
fn every_named_environment_variable_exists() {
    let mut variables: BTreeSet<_> = settings().iter().map(|key| variable(key)).collect();
    let sources = tracked(&["services/*.rs", "infra/*.rs"]).into_iter().filter(|file| file.contains("/src/"));
    for source in sources.map(|file| read(&file)) {
        let literals = words(&source, is_capital).into_iter().filter(|(before, _)| before.ends_with('"'));
        variables.extend(literals.map(|(_, name)| name.to_owned()));
    }
    each_code(|code| {
        let named = words(code, is_capital).into_iter().map(|(_, name)| name);
        let named = named.filter(|name| name.starts_with("DIPTYCH_") && *name != "DIPTYCH_");
        named.filter(|name| !variables.contains(*name)).map(|name| format!("variable {name}")).collect()
    });
}

#[test]
fn every_named_metric_exists() {
    let metrics = metrics::all();
    let crates: BTreeSet<_> = tracked(&["*Cargo.toml"])
        .iter()
        .flat_map(|file| package(&read(file)))
        .map(|name| name.replace('-', "_"))
        .collect();
    let exists = |name: &str| {
        let of_histogram = HISTOGRAM_ENDINGS.iter().find_map(|ending| name.strip_suffix(ending));
        metrics.contains_key(name)
            || crates.contains(name)
            || of_histogram.and_then(|name| metrics.get(name)).is_some_and(|metric| metric.kind == "histogram")
    };
    each_code(|code| {
        let named = words(code, |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_').into_iter();
        let named = named.map(|(_, name)| name).filter(|name| name.starts_with("diptych_"));
        named.filter(|name| !exists(name)).map(|name| format!("metric {name}")).collect()
    });
}

#[test]
fn every_named_reason_exists() {
    let pool = DescriptorPool::decode(DESCRIPTOR_SET).unwrap();
    let mut names: BTreeSet<_> = reasons().into_iter().chain(OTHER_CAPITALS.map(str::to_owned)).collect();
    names.extend(
        pool.all_enums().flat_map(|list| list.values().map(|value| value.name().to_owned()).collect::<Vec<_>>()),
    );
    each_line(|line| {
        let named = words(line, is_capital).into_iter().filter(|(before, name)| {
            let is_variable = before.ends_with(['$', '{']) || name.starts_with("DIPTYCH");
            name.contains('_')
                && !is_variable
                && name.starts_with(|c: char| c.is_ascii_uppercase())
                && !name.ends_with('_')
        });
        named.filter(|(_, name)| !names.contains(*name)).map(|(_, name)| format!("reason or value {name}")).collect()
    });
}

#[test]
fn every_reason_in_the_first_column_of_the_table_of_errors_exists() {
    let page = Page::new(&read("docs/TROUBLESHOOTING.md"));
    let section = page.prose.iter().skip_while(|(_, line)| line != "## Errors of calls");
    let rows = section.skip(1).take_while(|(_, line)| !line.starts_with("**Without a reason**"));
    let cells = rows.filter_map(|(_, line)| line.strip_prefix("| `")?.split(" | ").next());
    let named: Vec<_> =
        cells.flat_map(|cell| code_spans(&format!("`{cell}")).map(str::to_owned).collect::<Vec<_>>()).collect();
    assert!(named.len() > 10, "{named:?}");
    let reasons = reasons();
    let unknown: Vec<_> = named.into_iter().filter(|name| !reasons.contains(name)).collect();
    assert!(unknown.is_empty(), "no such reasons: {unknown:?}");
}

#[test]
fn every_named_subcommand_exists() {
    let subcommands = subcommands();
    let stack = stack_subcommands();
    each_code(|code| {
        let after = |program| commands_after(code, program);
        let unknown = |program: &'static str, known: &BTreeSet<String>| -> Vec<_> {
            let named = after(program).into_iter().filter(|name| !known.contains(name));
            named.map(|name| format!("subcommand {program}{name}")).collect()
        };
        [
            unknown("diptych ", &subcommands),
            unknown("cargo run --release -- ", &subcommands),
            unknown("cargo stack ", &stack),
        ]
        .concat()
    });
}

#[test]
fn everything_is_named_in_the_documentation() {
    let docs: String = tracked(&["docs/*.md"]).iter().map(|path| read(path)).collect();
    let mut missing: Vec<String> = Vec::new();
    let mut expect = |what: &str, names: Vec<String>, quoted: &dyn Fn(&str) -> String| {
        assert!(!names.is_empty(), "the program lists no {what}");
        missing.extend(
            names.into_iter().filter(|name| !docs.contains(&quoted(name))).map(|name| format!("{what} {name}")),
        );
    };
    let in_backticks = |name: &str| format!("`{name}`");
    expect("setting", settings().into_iter().collect(), &in_backticks);
    expect("metric", metrics::all().into_keys().collect(), &in_backticks);
    expect("reason", reasons().into_iter().collect(), &in_backticks);
    expect("subcommand", subcommands().into_iter().collect(), &|name| format!("diptych {name}"));
    assert!(missing.is_empty(), "docs/ does not name: {missing:#?}");
}

#[test]
fn every_relative_link_leads_to_a_file_and_a_heading() {
    let mut broken = Vec::new();
    for path in tracked(&["*.md"]) {
        let page = Page::new(&read(&path));
        for (line, target) in page.links().into_iter().filter(|(_, target)| !target.contains("://")) {
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let folder = root().join(&path).parent().unwrap().to_owned();
            let file = if file.is_empty() { root().join(&path) } else { folder.join(file) };
            let has_anchor = || {
                let text = std::fs::read_to_string(&file).unwrap_or_default();
                Page::new(&text).anchors().iter().any(|found| found == anchor)
            };
            if !file.exists() || !(anchor.is_empty() || has_anchor()) {
                broken.push(format!("{path}:{line}: {target}"));
            }
        }
    }
    assert!(broken.is_empty(), "links that lead nowhere: {broken:#?}");
}

#[test]
fn every_named_file_of_the_repository_exists() {
    const FOLDERS: [&str; 6] = ["services/", "infra/", "proto/", "docs/", "integration-tests/", "examples/"];
    each_code(|code| {
        let is_path = |c: char| c.is_ascii_alphanumeric() || "_-./*".contains(c);
        let paths = words(code, is_path).into_iter().map(|(_, path)| path);
        let paths = paths.filter(|path| FOLDERS.iter().any(|folder| path.starts_with(folder)) && !path.contains('*'));
        paths.filter(|path| !root().join(path).exists()).map(|path| format!("file {path}")).collect()
    });
}

/// Checks every piece of code of the pages; `unknown` returns what does not exist.
fn each_code(unknown: impl Fn(&str) -> Vec<String>) {
    check(|page| page.code().into_iter().map(|(line, code)| (line, unknown(code))).collect());
}

/// Checks every line of the pages.
fn each_line(unknown: impl Fn(&str) -> Vec<String>) {
    check(|page| {
        let blocks = page.blocks.iter().flat_map(|block| &block.lines);
        page.prose.iter().chain(blocks).map(|(number, line)| (*number, unknown(line))).collect()
    });
}

fn check(unknown: impl Fn(&Page) -> Vec<(usize, Vec<String>)>) {
    let mut found = Vec::new();
    for (path, page) in user_pages() {
        for (line, names) in unknown(&page) {
            found.extend(names.into_iter().map(|name| format!("{path}:{line}: {name}")));
        }
    }
    assert!(found.is_empty(), "the pages name what does not exist: {found:#?}");
}

fn is_capital(c: char) -> bool {
    c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'
}

/// The keys of all settings, as the program lists them.
fn settings() -> BTreeSet<String> {
    let (status, out, errors) = run(&["settings"]);
    assert_eq!((status, errors.as_str()), (0, ""));
    out.lines().filter(|line| !line.starts_with(' ')).map(str::to_owned).collect()
}

fn variable(key: &str) -> String {
    format!("DIPTYCH_{}", key.replace('.', "__").to_uppercase())
}

fn reasons() -> BTreeSet<String> {
    reasons::all().unwrap().into_iter().map(|explanation| explanation.reason).collect()
}

/// The subcommands, as the program lists them.
fn subcommands() -> BTreeSet<String> {
    let (_, help, _) = run(&["-h"]);
    let list = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // A description may go on in the next line, deeper indented.
    let named = list.filter_map(|line| line.strip_prefix("  ").filter(|line| !line.starts_with(' ')));
    let names: BTreeSet<_> = named.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect();
    assert!(names.contains("dev") && names.contains("verify"), "{help}");
    names.into_iter().filter(|name| name != "help").collect()
}

/// The subcommands of `cargo stack`, from its source: it is not a dependency of this crate.
fn stack_subcommands() -> BTreeSet<String> {
    let source = read("infra/stack/src/cli/mod.rs");
    let (_, list) = source.split_once("enum Subcommand {").unwrap();
    let lines = list.lines().skip(1).take_while(|line| *line != "}").map(str::trim);
    let named = lines.filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase()));
    let names: BTreeSet<_> = named.filter_map(|line| line.split('(').next()).map(str::to_lowercase).collect();
    assert!(names.contains("up"), "{names:?}");
    names
}

/// The subcommands in a piece of code that follow this program; options and placeholders are not subcommands.
fn commands_after(code: &str, program: &str) -> Vec<String> {
    let is_start = |at: usize| at == 0 || code[..at].ends_with([' ', '(', '/', ';']);
    let starts = code.match_indices(program).filter(|(at, _)| is_start(*at));
    let words = starts.filter_map(|(at, _)| {
        let rest = &code[at + program.len()..];
        let word: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c)).collect();
        // A path, as after the name of a release of the chart, is no subcommand.
        let is_path = rest[word.len()..].starts_with('/');
        (word.starts_with(|c: char| c.is_ascii_lowercase()) && !is_path).then_some(word)
    });
    words.collect()
}

/// The name of the package in this manifest.
fn package(manifest: &str) -> Option<String> {
    let (_, package) = manifest.split_once("[package]\nname = \"")?;
    Some(package.split_once('"')?.0.to_owned())
}
