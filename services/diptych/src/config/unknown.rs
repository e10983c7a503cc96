//! Unknown keys, and the known key that was probably meant.

use figment::value::{Dict, Value};
use strsim::damerau_levenshtein;

use super::{
    origins::{Origins, variable},
    problem::ConfigProblem,
    sources::NO_SETTINGS,
};

/// The sections that this build does not have, and ignores, so that one file serves all builds.
const SECTIONS_OF_OTHER_BUILDS: &[&str] =
    if cfg!(feature = "servers") { &[] } else { &["postgres", "kafka", "scylla", "memcached"] };

/// The number of letters for which one more edit is accepted.
const LETTERS_PER_EDIT: usize = 6;

/// Removes every value that is not a setting from the tree, and puts the default of every setting without a value in.
/// Returns a problem for each value removed.
pub(super) fn remove_unknown(origins: &Origins, tree: &mut Dict, defaults: &Dict) -> Vec<ConfigProblem> {
    let keys = leaves(defaults, &[]).iter().map(|path| path.join(".")).collect();
    let mut unknown = UnknownKeys { origins, sections: sections(defaults), keys, problems: Vec::new() };
    unknown.remove(tree, defaults, &mut Vec::new());
    unknown.problems
}

struct UnknownKeys<'a> {
    origins: &'a Origins,
    /// The names of all sections.
    sections: Vec<String>,
    /// The keys of all settings.
    keys: Vec<String>,
    problems: Vec<ConfigProblem>,
}

impl UnknownKeys<'_> {
    fn remove(&mut self, tree: &mut Dict, defaults: &Dict, path: &mut Vec<String>) {
        tree.retain(|name, value| {
            if path.is_empty() && SECTIONS_OF_OTHER_BUILDS.contains(&name.as_str()) {
                return false;
            }
            path.push(name.clone());
            let keep = match (value, defaults.get(name)) {
                (Value::Dict(_, section), Some(Value::Dict(_, defaults))) => {
                    self.remove(section, defaults, path);
                    true
                }
                (_, Some(Value::Dict(_, defaults))) => {
                    let keys: Vec<_> = defaults.keys().map(|key| self.spelt(path, &format!("{name}.{key}"))).collect();
                    self.add(path, format!("this is a section with the settings {}", keys.join(", ")));
                    false
                }
                (Value::Dict(_, section), Some(_)) => {
                    for leaf in leaves(section, path) {
                        self.add(&leaf, format!("{} is a single value, not a section", path.join(".")));
                    }
                    false
                }
                (Value::Dict(_, section), None) => {
                    for leaf in leaves(section, path) {
                        let remedy = self.unknown_setting(&leaf);
                        self.add(&leaf, remedy);
                    }
                    false
                }
                (_, None) => {
                    let remedy = self.unknown_setting(path);
                    self.add(path, remedy);
                    false
                }
                (_, Some(_)) => true,
            };
            path.pop();
            keep
        });
        for (name, value) in defaults {
            tree.entry(name.clone()).or_insert_with(|| value.clone());
        }
    }

    fn add(&mut self, path: &[String], remedy: String) {
        self.problems.push(self.origins.problem(path, remedy));
    }

    /// A key as it is written where the value at this path came from: an environment variable, or a key of a file.
    fn spelt(&self, path: &[String], key: &str) -> String {
        if self.origins.is_from_environment(&path.join(".")) { variable(key) } else { key.to_owned() }
    }

    /// Suggests the settings that were probably meant; else lists what the section has.
    fn unknown_setting(&self, path: &[String]) -> String {
        let is_variable = self.origins.is_from_environment(&path.join("."));
        let nearest = self.nearest(path, is_variable);
        if !nearest.is_empty() {
            let nearest: Vec<_> = nearest.iter().map(|key| self.spelt(path, key)).collect();
            return format!("unknown setting; did you mean {}?", nearest.join(" or "));
        }
        let section = match path {
            [section, _, ..] => Some(section),
            // A variable with one underscore after its section.
            [name] => self.sections.iter().find(|section| name.starts_with(&format!("{section}_"))),
            [] => None,
        };
        let of_section = |section: &String| {
            let keys = self.keys.iter().filter(|key| key.starts_with(&format!("{section}.")));
            let keys: Vec<_> = keys.map(|key| self.spelt(path, key)).collect();
            format!("unknown setting; the section {section} has {}", keys.join(", "))
        };
        match section {
            Some(section) if self.sections.contains(section) => of_section(section),
            Some(section) => match near(section, &self.sections).first() {
                Some(known) => format!("unknown section; did you mean {known}? `diptych settings` lists all settings"),
                None => format!(
                    "unknown section; the sections are {}; `diptych settings` lists all settings",
                    self.sections.join(", ")
                ),
            },
            None => "unknown setting; `diptych settings` lists all settings".to_owned(),
        }
    }

    /// The keys with the nearest spelling; else those that begin with this one; else those with the same name, or
    /// nearly the same, in another section.
    fn nearest(&self, path: &[String], is_variable: bool) -> Vec<String> {
        let others = NO_SETTINGS.iter().filter(|_| is_variable).map(|name| name.to_lowercase());
        let candidates: Vec<_> = self.keys.iter().cloned().chain(others).collect();
        let nearest = near(&path.join("."), &candidates);
        if !nearest.is_empty() {
            return nearest;
        }
        let beginning = format!("{}_", path.join("_"));
        let longer: Vec<_> =
            candidates.into_iter().filter(|key| key.replace('.', "_").starts_with(&beginning)).collect();
        if !longer.is_empty() {
            return longer;
        }
        let name = path.last().map(String::as_str).unwrap_or_default();
        let edits = |key: &String| damerau_levenshtein(name, key.rsplit('.').next().unwrap_or_default());
        let edits_max = if path.len() > 1 { name.len() / LETTERS_PER_EDIT } else { 0 };
        let fewest = self.keys.iter().map(edits).min().filter(|edits| *edits <= edits_max);
        self.keys.iter().filter(|key| fewest == Some(edits(key))).cloned().collect()
    }
}

/// The candidates with the smallest number of edits, if that is small for the length of the text. Separators do not
/// count.
fn near(text: &str, candidates: &[String]) -> Vec<String> {
    let edits_max = (text.len() / LETTERS_PER_EDIT).max(2);
    let edits = |candidate: &String| damerau_levenshtein(&without_separators(text), &without_separators(candidate));
    let fewest = candidates.iter().map(edits).min().filter(|edits| *edits <= edits_max);
    candidates.iter().filter(|candidate| fewest == Some(edits(candidate))).cloned().collect()
}

fn without_separators(key: &str) -> String {
    key.chars().filter(|letter| !matches!(letter, '.' | '_')).collect()
}

fn sections(defaults: &Dict) -> Vec<String> {
    defaults.iter().filter(|(_, value)| matches!(value, Value::Dict(..))).map(|(name, _)| name.clone()).collect()
}

/// The paths of all single values of a section.
fn leaves(section: &Dict, path: &[String]) -> Vec<Vec<String>> {
    let inner = section.iter().map(|(name, value)| (value, [path, std::slice::from_ref(name)].concat()));
    inner
        .flat_map(|(value, path)| match value {
            Value::Dict(_, section) => leaves(section, &path),
            _ => vec![path],
        })
        .collect()
}
