//! Sources of a configuration, as layers for figment.

use std::{
    fs,
    path::{Path, PathBuf},
};

use figment::{
    Metadata, Profile, Provider,
    providers::{Format, Toml},
    value::{Dict, Map, Value},
};

use super::problem::ConfigProblem;

pub(super) const ENVIRONMENT_PREFIX: &str = "DIPTYCH_";
/// Variables that are not settings: the settings file, the address and the token that clients use, and variables of
/// `cargo stack` and the tests, which `eval "$(cargo stack env)"` sets beside the settings of that stack.
pub(super) const NO_SETTINGS: [&str; 7] = ["CONFIG", "ADDRESS", "TOKEN", "STACK", "STACK_TOOLS", "SEED", "SEEDS"];
/// The prefix of variables with the servers of tests.
const NO_SETTING_PREFIX: &str = "TEST_";
/// The name of the layer of variables.
pub(super) const ENVIRONMENT: &str = "environment";
/// The name of the layer of flags.
pub(super) const FLAGS: &str = "flags";

/// The sources of a configuration.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources {
    /// The settings file.
    pub(crate) file: Option<PathBuf>,
    /// All environment variables.
    pub(crate) environment: Vec<(String, String)>,
    /// The flags that are settings.
    pub(crate) flags: Vec<Flag>,
}

/// A setting given by a flag.
#[derive(Clone, Debug)]
pub(crate) struct Flag {
    pub(crate) key: &'static str,
    pub(crate) name: &'static str,
    pub(crate) value: String,
}

impl Flag {
    /// The setting; `None` where the flag was not used.
    pub(crate) fn new(key: &'static str, name: &'static str, value: Option<String>) -> Option<Self> {
        value.map(|value| Self { key, name, value })
    }
}

impl Sources {
    /// A settings file, flags, and the environment of this process.
    pub(crate) fn of_process(file: Option<PathBuf>, flags: impl IntoIterator<Item = Flag>) -> Self {
        // Bytes that are not UTF-8 become replacement characters, which no setting allows.
        let environment = std::env::vars_os()
            .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()));
        Self { file, environment: environment.collect(), flags: flags.into_iter().collect() }
    }
}

/// Reads a settings file.
///
/// # Errors
/// When it cannot be read, or is not TOML.
pub(super) fn read_file(path: &Path) -> Result<String, ConfigProblem> {
    let source = format!("file {}", path.display());
    let problem = |remedy| ConfigProblem { key: String::new(), value: String::new(), source: source.clone(), remedy };
    let text = fs::read_to_string(path)
        .map_err(|error| problem(format!("cannot be read ({error}): name another file with --config FILE")))?;
    match toml::from_str::<toml::Table>(&text) {
        Ok(_) => Ok(text),
        Err(error) => Err(problem(format!("is not TOML: {}", error.to_string().trim_end().replace('\n', "\n    ")))),
    }
}

/// The text of a settings file, known to be TOML.
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

/// Returns the key that an environment variable sets: `grpc.connections_max` for `DIPTYCH_GRPC__CONNECTIONS_MAX`.
pub(super) fn key_of(variable: &str) -> Option<String> {
    let name = variable.strip_prefix(ENVIRONMENT_PREFIX)?;
    if NO_SETTINGS.contains(&name) || name.starts_with(NO_SETTING_PREFIX) {
        return None;
    }
    Some(name.to_lowercase().replace("__", "."))
}

/// Keys and their values, as text.
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

/// Inserts a text under a key with dots. Where a section and a value have the same key, the later one stays.
fn insert(section: &mut Dict, key: &str, text: &str) {
    let Some((name, rest)) = key.split_once('.') else {
        section.insert(key.to_owned(), text.into());
        return;
    };
    let inner = section.entry(name.to_owned()).or_insert_with(|| Dict::new().into());
    if !matches!(inner, Value::Dict(..)) {
        *inner = Dict::new().into();
    }
    if let Value::Dict(_, inner) = inner {
        insert(inner, rest, text);
    }
}
