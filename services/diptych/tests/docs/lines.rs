//! The width of lines, also of comments, which rustfmt leaves as they are.

use super::pages::{read, tracked};

const WIDTH_MAX: usize = 120;

#[test]
fn no_line_is_wider_than_rustfmt_would_make_it() {
    let mut wide = Vec::new();
    for path in tracked(&["*.rs", "*.sql", "*.cql"]) {
        let text = read(&path);
        let is_comment = |line: &str| line.trim_start().starts_with("//");
        // A URL cannot be broken, and rustfmt breaks no string.
        let is_checked = |line: &str| !line.contains("://") && (is_comment(line) || !line.contains('"'));
        let lines = (1..).zip(text.lines()).filter(|(_, line)| is_checked(line));
        let too_wide = lines.filter(|(_, line)| line.chars().count() > WIDTH_MAX);
        wide.extend(too_wide.map(|(number, _)| format!("{path}:{number}")));
    }
    assert!(wide.is_empty(), "wider than {WIDTH_MAX} characters: {wide:#?}");
}
