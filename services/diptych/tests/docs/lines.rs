//! The width of comments, which rustfmt leaves as they are.

use super::pages::{read, tracked};

const WIDTH_MAX: usize = 120;

#[test]
fn no_comment_and_no_query_is_wider_than_the_code() {
    let mut wide = Vec::new();
    for path in tracked(&["*.rs", "*.sql", "*.cql"]) {
        let text = read(&path);
        let is_checked = |line: &str| !path.ends_with(".rs") || line.trim_start().starts_with("//");
        // A URL cannot be broken.
        let lines = (1..).zip(text.lines()).filter(|(_, line)| is_checked(line) && !line.contains("://"));
        let too_wide = lines.filter(|(_, line)| line.chars().count() > WIDTH_MAX);
        wide.extend(too_wide.map(|(number, _)| format!("{path}:{number}")));
    }
    assert!(wide.is_empty(), "wider than {WIDTH_MAX} characters: {wide:#?}");
}
