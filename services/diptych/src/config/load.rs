//! Reading all sources, and finding every problem in them.

use figment::{
    Figment,
    providers::Serialized,
    value::{Dict, Value},
};

use super::{
    Config,
    origins::Origins,
    problem::{ConfigProblem, ConfigProblems},
    rules::check_rules,
    sources::{ENVIRONMENT, FLAGS, FileText, Sources, Texts, key_of, read_file},
    unknown::remove_unknown,
};

/// A valid configuration, and where each value came from.
#[derive(Debug)]
pub(crate) struct LoadedConfig {
    pub(crate) config: Config,
    origins: Origins,
}

impl LoadedConfig {
    /// Returns where the value of this key came from; `None` for a default.
    pub(crate) fn source(&self, key: &str) -> Option<String> {
        self.origins.source(key)
    }
}

/// Reads the configuration.
///
/// # Errors
/// With every problem of every source.
pub(crate) fn load(sources: Sources) -> Result<LoadedConfig, ConfigProblems> {
    let mut problems = Vec::new();
    let mut figment = Figment::from(Serialized::defaults(Config::default()));
    if let Some(path) = &sources.file {
        match read_file(path) {
            Ok(text) => figment = figment.merge(FileText { path: path.clone(), text }),
            Err(problem) => problems.push(problem),
        }
    }
    let environment = sources.environment.iter().filter_map(|(name, value)| Some((key_of(name)?, value.as_str())));
    figment = figment.merge(Texts { from: ENVIRONMENT, texts: environment.collect() });
    let flags = sources.flags.iter().map(|flag| (flag.key.to_owned(), flag.value.as_str()));
    figment = figment.merge(Texts { from: FLAGS, texts: flags.collect() });

    let origins = Origins { figment, flags: sources.flags };
    let config = check(&origins, &mut problems);
    if problems.is_empty() { Ok(LoadedConfig { config, origins }) } else { Err(ConfigProblems(problems)) }
}

/// Reads the merged sources into a configuration. Each problem is recorded, and its value replaced by the default, so
/// that the rest is checked too.
fn check(origins: &Origins, problems: &mut Vec<ConfigProblem>) -> Config {
    let defaults = Figment::from(Serialized::defaults(Config::default()));
    let (Ok(mut tree), Ok(defaults)) = (origins.figment.extract::<Dict>(), defaults.extract::<Dict>()) else {
        problems.push(origins.problem(&[], "the sources cannot be merged".to_owned()));
        return Config::default();
    };
    problems.extend(remove_unknown(origins, &mut tree, &defaults));
    // Each round either succeeds or restores one more default, so this ends.
    loop {
        let error = match Value::from(tree.clone()).deserialize::<Config>() {
            Ok(config) => {
                problems.extend(check_rules(&config, origins));
                return config;
            }
            Err(error) => error,
        };
        problems.push(origins.problem(&error.path, error.kind.to_string()));
        if !restore_default(&mut tree, &defaults, &error.path) {
            return Config::default();
        }
    }
}

/// Restores the default at this path. Returns whether there is one.
fn restore_default(tree: &mut Dict, defaults: &Dict, path: &[String]) -> bool {
    match (path, path.first().and_then(|name| defaults.get(name))) {
        ([name], Some(default)) => {
            tree.insert(name.clone(), default.clone());
            true
        }
        ([name, rest @ ..], Some(Value::Dict(_, defaults))) => {
            let Some(Value::Dict(_, section)) = tree.get_mut(name) else { return false };
            restore_default(section, defaults, rest)
        }
        _ => false,
    }
}
