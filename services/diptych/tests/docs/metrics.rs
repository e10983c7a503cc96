//! The metrics of the source code: what `describe_counter!` and the like declare.

use std::collections::BTreeMap;

use super::pages::{read, tracked};

const KINDS: [&str; 3] = ["counter", "gauge", "histogram"];

/// A metric.
pub(crate) struct Metric {
    pub(crate) kind: &'static str,
    pub(crate) help: String,
}

/// Every described metric, by name.
pub(crate) fn all() -> BTreeMap<String, Metric> {
    let mut metrics = BTreeMap::new();
    for source in sources() {
        for kind in KINDS {
            for arguments in calls(&source, &format!("describe_{kind}!(")) {
                let (name, help) = (arguments.first().unwrap(), arguments.last().unwrap());
                assert!(arguments.len() > 1, "a metric without help: {arguments:?}");
                metrics.insert(name.clone(), Metric { kind, help: help.clone() });
            }
        }
    }
    metrics
}

/// The names of metrics that code of the product counts or sets, by a literal or a constant.
fn used() -> Vec<String> {
    let mut names = Vec::new();
    for source in sources() {
        for call in KINDS.map(|kind| format!("{kind}!(")) {
            names.extend(calls(&source, &call).into_iter().filter_map(|arguments| arguments.into_iter().next()));
        }
    }
    names.retain(|name| name.starts_with("diptych_"));
    names
}

fn sources() -> Vec<String> {
    let files = tracked(&["services/*.rs", "infra/*.rs"]);
    files.iter().filter(|file| file.contains("/src/")).map(|file| read(file)).collect()
}

/// The string arguments of every call of this macro; constants of the same file are replaced by their values.
fn calls(source: &str, call: &str) -> Vec<Vec<String>> {
    let starts = source.match_indices(call).filter(|(at, _)| !source[..*at].ends_with(is_word));
    starts.map(|(at, _)| strings(source, &source[at + call.len()..])).collect()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The strings and constants up to the closing parenthesis.
fn strings(source: &str, arguments: &str) -> Vec<String> {
    let mut strings = Vec::new();
    let mut rest = arguments;
    let mut depth = 0;
    while let Some(first) = rest.chars().next() {
        let mut used = first.len_utf8();
        match first {
            ')' if depth == 0 => break,
            '(' => depth += 1,
            ')' => depth -= 1,
            '"' => {
                let (text, length) = literal(rest);
                strings.push(text);
                used = length;
            }
            c if is_word(c) => {
                used = rest.find(|c: char| !is_word(c)).unwrap();
                strings.extend(constant(source, &rest[..used]));
            }
            _ => {}
        }
        rest = &rest[used..];
    }
    strings
}

/// The value of a string literal at the beginning of this text, and its length in the source.
fn literal(text: &str) -> (String, usize) {
    let mut value = String::new();
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, at + 1),
            '\\' => match chars.next().unwrap().1 {
                '\n' => while chars.next_if(|(_, c)| c.is_whitespace()).is_some() {},
                escaped => value.push(escaped),
            },
            c => value.push(c),
        }
    }
    panic!("a string is not closed: {text}")
}

fn constant(source: &str, name: &str) -> Option<String> {
    let declaration = format!("const {name}: &str = ");
    let at = source.find(&declaration)?;
    Some(literal(&source[at + declaration.len()..]).0)
}

#[test]
fn every_metric_is_described() {
    let described = all();
    let missing: Vec<_> = used().into_iter().filter(|name| !described.contains_key(name)).collect();
    assert!(missing.is_empty(), "metrics without a call of describe_counter! or the like: {missing:?}");
}

#[test]
fn calls_are_found_with_literals_constants_and_continued_lines() {
    let source = r#"
const AGE: &str = "diptych_age_seconds";
describe_gauge!(AGE, Unit::Seconds, "Age of the \"oldest\" \
    event");
counter!("diptych_calls_total", "code" => name(1)).increment(1);
"#;
    assert_eq!(calls(source, "describe_gauge!("), [["diptych_age_seconds", "Age of the \"oldest\" event"]]);
    assert_eq!(calls(source, "counter!("), [["diptych_calls_total", "code"]]);
}
