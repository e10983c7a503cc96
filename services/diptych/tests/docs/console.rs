//! Blocks of a page that show a session in a terminal: commands, and what they print.

use super::pages::Page;

/// A command, after "$ ", and the lines that follow it.
pub(crate) struct Step {
    pub(crate) line: usize,
    pub(crate) command: String,
    pub(crate) output: Vec<String>,
}

/// The steps of all `console` blocks of a page.
pub(crate) fn steps(page: &Page) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for block in page.blocks.iter().filter(|block| block.language == "console") {
        let first = block.lines.first().map(|(_, line)| line.as_str()).unwrap_or_default();
        assert!(first.starts_with("$ "), "a console block begins with a command: {first:?}");
        for (number, line) in &block.lines {
            match line.strip_prefix("$ ") {
                Some(command) => {
                    steps.push(Step { line: *number, command: command.to_owned(), output: Vec::new() });
                }
                None => steps.last_mut().unwrap().output.push(line.clone()),
            }
        }
    }
    steps
}

/// The lines of an output, with what differs in every run replaced: times, tokens, and the measured speed.
pub(crate) fn normalized<'a>(lines: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut lines: Vec<_> = lines.into_iter().map(|line| without_tokens(&without_times(line.trim_end()))).collect();
    for line in lines.iter_mut().filter(|line| line.starts_with("rows/s ")) {
        "rows/s NUMBER".clone_into(line);
    }
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines
}

/// Replaces times such as 2026-11-30T16:32:05.063017Z.
fn without_times(line: &str) -> String {
    const FORM: &[u8] = b"0000-00-00T00:00:00";
    let mut text = String::new();
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        let fits = |(form, c): (&u8, &u8)| if *form == b'0' { c.is_ascii_digit() } else { form == c };
        let is_time = rest.len() > FORM.len() && FORM.iter().zip(rest.as_bytes()).all(fits);
        let fraction = |rest: &str| rest[FORM.len()..].find(|c: char| c != '.' && !c.is_ascii_digit());
        match is_time.then(|| fraction(rest)).flatten() {
            Some(length) if rest[FORM.len() + length..].starts_with('Z') => {
                text.push_str("TIME");
                rest = &rest[FORM.len() + length + 1..];
            }
            _ => {
                text.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    text
}

/// Replaces tokens: the values of `"value":"..."`.
fn without_tokens(line: &str) -> String {
    const BEFORE: &str = "\"value\":\"";
    let mut parts = line.split(BEFORE);
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (token, rest) = part.split_once('"').unwrap_or((part, ""));
        let is_token = !token.is_empty() && token.chars().all(|c| c.is_ascii_alphanumeric() || "-_=".contains(c));
        text.push_str(BEFORE);
        text.push_str(if is_token { "TOKEN" } else { token });
        text.push('"');
        text.push_str(rest);
    }
    text
}

#[test]
fn a_block_is_commands_with_their_output() {
    let page = Page::new("```console\n$ one\n1\n2\n$ two\n```\n```sh\n$ not this\n```\n");
    let steps: Vec<_> = steps(&page).into_iter().map(|step| (step.line, step.command, step.output)).collect();
    let expected = [(2, "one".to_owned(), vec!["1".to_owned(), "2".to_owned()]), (5, "two".to_owned(), Vec::new())];
    assert_eq!(steps, expected);
}

#[test]
fn only_what_differs_in_every_run_is_replaced() {
    let line = r#"{"commitTime":"2026-11-30T16:32:05.063017Z","writtenAt":{"value":"AQyAgECl6uD6"},"version":"2"}"#;
    assert_eq!(normalized([line]), [r#"{"commitTime":"TIME","writtenAt":{"value":"TOKEN"},"version":"2"}"#]);
    let same = ["2026-11-30", r#"{"value":"no token"}"#, "", "entries 40"];
    assert_eq!(normalized(same), same);
    assert_eq!(normalized(["rows/s   6,674", ""]), ["rows/s NUMBER"]);
}
