//! The pages and their parts: lines, code, headings, links.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The paths of files in the repository, from its root, that git tracks or would track.
pub(crate) fn tracked(patterns: &[&str]) -> Vec<String> {
    let mut command = Command::new("git");
    command.current_dir(root()).args(["ls-files", "--cached", "--others", "--exclude-standard", "--"]).args(patterns);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let files = String::from_utf8(output.stdout).unwrap();
    let files: Vec<_> = files.lines().filter(|file| root().join(file).is_file()).map(str::to_owned).collect();
    assert!(!files.is_empty(), "no file matches {patterns:?}");
    files
}

/// The text of a file, by its path from the root.
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The pages for users, by their paths.
pub(crate) fn user_pages() -> BTreeMap<String, Page> {
    let paths = tracked(&["README.md", "docs/*.md", "infra/stack/README.md"]);
    paths.into_iter().map(|path| (path.clone(), Page::new(&read(&path)))).collect()
}

/// A Markdown page.
pub(crate) struct Page {
    /// The lines outside of fenced blocks, with their numbers.
    pub(crate) prose: Vec<(usize, String)>,
    pub(crate) blocks: Vec<Block>,
}

/// A fenced block of code.
pub(crate) struct Block {
    pub(crate) language: String,
    /// With the number of each.
    pub(crate) lines: Vec<(usize, String)>,
}

impl Page {
    pub(crate) fn new(text: &str) -> Self {
        let mut page = Self { prose: Vec::new(), blocks: Vec::new() };
        let mut open = None;
        for (number, line) in (1..).zip(text.lines()) {
            match (&mut open, line.strip_prefix("```")) {
                (None, Some(language)) => open = Some(Block { language: language.to_owned(), lines: Vec::new() }),
                (None, None) => page.prose.push((number, line.to_owned())),
                (Some(_), Some(_)) => page.blocks.extend(open.take()),
                (Some(block), None) => block.lines.push((number, line.to_owned())),
            }
        }
        assert!(open.is_none(), "a block of code is not closed");
        page
    }

    /// Every piece of code with its line number: code spans of the prose, and lines of blocks.
    pub(crate) fn code(&self) -> Vec<(usize, &str)> {
        let spans = self.prose.iter().flat_map(|(number, line)| code_spans(line).map(|span| (*number, span)));
        let lines = self.blocks.iter().flat_map(|block| &block.lines).map(|(number, line)| (*number, line.as_str()));
        spans.chain(lines).collect()
    }

    /// The anchors of its headings, as GitHub makes them.
    pub(crate) fn anchors(&self) -> Vec<String> {
        let mut anchors: Vec<String> = Vec::new();
        for (_, line) in self.prose.iter().filter(|(_, line)| line.starts_with('#')) {
            let anchor = anchor(line.trim_start_matches('#'));
            let earlier = anchors.iter().filter(|other| **other == anchor).count();
            anchors.push(if earlier == 0 { anchor } else { format!("{anchor}-{earlier}") });
        }
        anchors
    }

    /// The targets of its links, with line numbers.
    pub(crate) fn links(&self) -> Vec<(usize, &str)> {
        let targets = |line: &str| -> Vec<(usize, usize)> {
            let starts = line.match_indices("](").map(|(at, found)| at + found.len());
            starts.filter_map(|start| Some((start, start + line[start..].find(')')?))).collect()
        };
        let in_line = |(number, line)| targets(line).into_iter().map(move |(from, to)| (number, &line[from..to]));
        self.prose.iter().map(|(number, line)| (*number, line.as_str())).flat_map(in_line).collect()
    }
}

/// The text between backticks.
pub(crate) fn code_spans(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// The anchor of a heading: lower case, without punctuation, hyphens for spaces.
pub(crate) fn anchor(heading: &str) -> String {
    let heading = heading.trim().to_lowercase();
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// The words of a text that consist of these characters, each with the text before it.
pub(crate) fn words(text: &str, is_part: impl Fn(char) -> bool) -> Vec<(&str, &str)> {
    let mut words = Vec::new();
    let mut at = 0;
    while let Some(start) = text[at..].find(&is_part).map(|start| at + start) {
        let end = text[start..].find(|c: char| !is_part(c)).map_or(text.len(), |length| start + length);
        words.push((&text[..start], &text[start..end]));
        at = end;
    }
    words
}
