//! The sources of a configuration, as layers for figment.

use std::{
    fs,
    path::{Path, PathBuf},
};

use figment::{
    Metadata, Profile, Provider,
    providers::{Format, Toml},
    value::{Dict, Map, Value},
};

use super::mistake::Mistake;

pub(super) const ENVIRONMENT_PREFIX: &str = "DIPTYCH_";
/// Variables that are no settings: the name of the file, the token that callers send, and what `cargo stack` and the tests go by. After
/// `eval "$(cargo stack env)"` they stand beside the settings of that stack.
const NO_SETTINGS: [&str; 6] = ["CONFIG", "TOKEN", "STACK", "STACK_TOOLS", "SEED", "SEEDS"];
/// What the names of others begin with: where the servers of tests are.
const NO_SETTING_PREFIX: &str = "TEST_";
/// The name of the layer of variables.
pub(super) const ENVIRONMENT: &str = "environment";
/// The name of the layer of flags.
pub(super) const FLAGS: &str = "flags";

/// Where a configuration is read from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources {
    /// The file.
    pub(crate) file: Option<PathBuf>,
    /// The variables of the environment, whatever they are called.
    pub(crate) environment: Vec<(String, String)>,
    /// Keys with the values of flags, and the names of these flags.
    pub(crate) flags: Vec<Flag>,
}

/// A setting that is given as a flag.
#[derive(Clone, Debug)]
pub(crate) struct Flag {
    pub(crate) key: &'static str,
    pub(crate) name: &'static str,
    pub(crate) value: String,
}

impl Flag {
    /// The setting, where the flag was given.
    pub(crate) fn given(key: &'static str, name: &'static str, value: Option<String>) -> Option<Self> {
        value.map(|value| Self { key, name, value })
    }
}

impl Sources {
    /// A file, flags, and the environment of this process.
    pub(crate) fn of_process(file: Option<PathBuf>, flags: impl IntoIterator<Item = Flag>) -> Self {
        // What is not text is none of this product's variables, or is told to be a mistake by its replacement characters.
        let environment = std::env::vars_os()
            .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()));
        Self { file, environment: environment.collect(), flags: flags.into_iter().collect() }
    }
}

/// The text of a file, if it is TOML.
pub(super) fn read_file(path: &Path) -> Result<String, Mistake> {
    let source = format!("file {}", path.display());
    let mistake = |allowed| Mistake { key: String::new(), value: String::new(), source: source.clone(), allowed };
    let text = fs::read_to_string(path)
        .map_err(|error| mistake(format!("cannot be read ({error}): name another one with --config FILE")))?;
    match toml::from_str::<toml::Table>(&text) {
        Ok(_) => Ok(text),
        Err(error) => Err(mistake(format!("is not TOML: {}", error.to_string().trim_end().replace('\n', "\n    ")))),
    }
}

/// The text of a file that was read and is TOML.
pub(super) struct FileText {
    pub(super) path: PathBuf,
    pub(super) text: String,
}

impl Provider for FileText {
    fn metadata(&self) -> Metadata {
        Metadata::from("file", self.path.as_path())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Toml::string(&self.text).data()
    }
}

/// The key that a variable of the environment sets: `grpc.connections_max` for `DIPTYCH_GRPC__CONNECTIONS_MAX`.
pub(super) fn key_of(variable: &str) -> Option<String> {
    let name = variable.strip_prefix(ENVIRONMENT_PREFIX)?;
    if NO_SETTINGS.contains(&name) || name.starts_with(NO_SETTING_PREFIX) {
        return None;
    }
    Some(name.to_lowercase().replace("__", "."))
}

/// Keys and their values as texts.
pub(super) struct Texts<'a> {
    pub(super) from: &'static str,
    pub(super) texts: Vec<(String, &'a str)>,
}

impl Provider for Texts<'_> {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.from)
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let mut all = Dict::new();
        for (key, text) in &self.texts {
            insert(&mut all, key, text);
        }
        Ok(Profile::Default.collect(all))
    }
}

/// Puts a text in under a key with dots. Where a group and a value have the same key, the later one stays.
fn insert(group: &mut Dict, key: &str, text: &str) {
    let Some((name, rest)) = key.split_once('.') else {
        group.insert(key.to_owned(), text.into());
        return;
    };
    let inner = group.entry(name.to_owned()).or_insert_with(|| Dict::new().into());
    if !matches!(inner, Value::Dict(..)) {
        *inner = Dict::new().into();
    }
    if let Value::Dict(_, inner) = inner {
        insert(inner, rest, text);
    }
}
