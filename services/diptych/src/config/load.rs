//! Reading all sources, and finding every mistake in them.

use figment::{
    Figment,
    providers::Serialized,
    value::{Dict, Value},
};

use super::{
    Config,
    mistake::{Mistake, Mistakes},
    sources::{ENVIRONMENT, ENVIRONMENT_PREFIX, FLAGS, FileText, Flag, Sources, Texts, key_of, read_file},
    together::check_together,
    unknown::remove_unknown,
    values::as_far_as_may_be_shown,
};

/// A configuration without mistakes, and what tells where each value came from.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) config: Config,
    origins: Origins,
}

#[derive(Debug)]
pub(super) struct Origins {
    figment: Figment,
    flags: Vec<Flag>,
}

impl Loaded {
    /// Where the value of this key came from, or `None` where it is the default.
    pub(super) fn source(&self, key: &str) -> Option<String> {
        self.origins.source(key)
    }
}

/// Reads the configuration.
///
/// # Errors
/// With every mistake that there is.
pub(crate) fn load(sources: Sources) -> Result<Loaded, Mistakes> {
    let mut mistakes = Vec::new();
    let mut figment = Figment::from(Serialized::defaults(Config::default()));
    if let Some(path) = &sources.file {
        match read_file(path) {
            Ok(text) => figment = figment.merge(FileText { path: path.clone(), text }),
            Err(mistake) => mistakes.push(mistake),
        }
    }
    let environment = sources.environment.iter().filter_map(|(name, value)| Some((key_of(name)?, value.as_str())));
    figment = figment.merge(Texts { from: ENVIRONMENT, texts: environment.collect() });
    let flags = sources.flags.iter().map(|flag| (flag.key.to_owned(), flag.value.as_str()));
    figment = figment.merge(Texts { from: FLAGS, texts: flags.collect() });

    let origins = Origins { figment, flags: sources.flags };
    let config = check(&origins, &mut mistakes);
    if mistakes.is_empty() { Ok(Loaded { config, origins }) } else { Err(Mistakes(mistakes)) }
}

/// Reads the tree into the configuration. Whatever is wrong goes to `mistakes` and is replaced by its default, so that the rest is
/// read too.
fn check(origins: &Origins, mistakes: &mut Vec<Mistake>) -> Config {
    let defaults = Figment::from(Serialized::defaults(Config::default()));
    let (Ok(mut tree), Ok(defaults)) = (origins.figment.extract::<Dict>(), defaults.extract::<Dict>()) else {
        mistakes.push(origins.mistake(&[], "the sources cannot be read together".to_owned()));
        return Config::default();
    };
    remove_unknown(origins, &mut tree, &defaults, &mut Vec::new(), mistakes);
    // Each round either succeeds or puts one more default in, so this ends.
    loop {
        let error = match Value::from(tree.clone()).deserialize::<Config>() {
            Ok(config) => {
                check_together(&config, origins, mistakes);
                return config;
            }
            Err(error) => error,
        };
        mistakes.push(origins.mistake(&error.path, error.kind.to_string()));
        if !restore_default(&mut tree, &defaults, &error.path) {
            return Config::default();
        }
    }
}

/// Puts the default in at this path. Returns whether there is one.
fn restore_default(tree: &mut Dict, defaults: &Dict, path: &[String]) -> bool {
    match (path, path.first().and_then(|name| defaults.get(name))) {
        ([name], Some(default)) => {
            tree.insert(name.clone(), default.clone());
            true
        }
        ([name, rest @ ..], Some(Value::Dict(_, defaults))) => {
            let Some(Value::Dict(_, group)) = tree.get_mut(name) else { return false };
            restore_default(group, defaults, rest)
        }
        _ => false,
    }
}

impl Origins {
    pub(super) fn mistake(&self, path: &[String], allowed: String) -> Mistake {
        let key = path.join(".");
        let value = self.figment.find_value(&key).map(|value| shown(&key, &value)).unwrap_or_default();
        let source = self.source(&key).unwrap_or_else(|| "the defaults".to_owned());
        Mistake { key, value, source, allowed }
    }

    fn source(&self, key: &str) -> Option<String> {
        let metadata = self.figment.find_metadata(key)?;
        if let Some(path) = metadata.source.as_ref().and_then(|source| source.file_path()) {
            return Some(format!("file {}", path.display()));
        }
        if metadata.name == FLAGS {
            let flag = self.flags.iter().find(|flag| flag.key == key)?;
            return Some(format!("flag {}", flag.name));
        }
        if metadata.name == ENVIRONMENT {
            return Some(format!("environment variable {ENVIRONMENT_PREFIX}{}", key.replace('.', "__").to_uppercase()));
        }
        None
    }
}

/// A value as it would stand in a file, without what is secret in it.
fn shown(key: &str, value: &Value) -> String {
    match value {
        Value::String(_, text) => format!("{:?}", as_far_as_may_be_shown(key, text)),
        Value::Dict(..) => "{ ... }".to_owned(),
        Value::Array(..) => "[ ... ]".to_owned(),
        Value::Bool(_, value) => value.to_string(),
        Value::Num(_, number) => {
            let whole = number.to_i128().or_else(|| number.to_u128().and_then(|number| i128::try_from(number).ok()));
            whole
                .map(|number| number.to_string())
                .or_else(|| number.to_f64().map(|number| number.to_string()))
                .unwrap_or_default()
        }
        Value::Char(_, letter) => format!("\"{letter}\""),
        Value::Empty(..) => "nothing".to_owned(),
    }
}
