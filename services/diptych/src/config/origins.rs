//! Origins of values: the file, environment variable or flag that each came from.

use figment::{Figment, value::Value};

use super::{
    problem::ConfigProblem,
    sources::{ENVIRONMENT, ENVIRONMENT_PREFIX, FLAGS, Flag},
    values::redacted,
};

/// All sources, merged, with where each value came from.
#[derive(Debug)]
pub(super) struct Origins {
    pub(super) figment: Figment,
    pub(super) flags: Vec<Flag>,
}

impl Origins {
    /// A problem with the value at this path.
    pub(super) fn problem(&self, path: &[String], remedy: String) -> ConfigProblem {
        let key = path.join(".");
        let value = self.figment.find_value(&key).map(|value| shown(&key, &value)).unwrap_or_default();
        let source = self.source(&key).unwrap_or_else(|| "the defaults".to_owned());
        ConfigProblem { key, value, source, remedy }
    }

    /// Returns whether the value of this key came from an environment variable.
    pub(super) fn is_from_environment(&self, key: &str) -> bool {
        self.figment.find_metadata(key).is_some_and(|metadata| metadata.name == ENVIRONMENT)
    }

    /// Returns where the value of this key came from; `None` for a default.
    pub(super) fn source(&self, key: &str) -> Option<String> {
        let metadata = self.figment.find_metadata(key)?;
        if let Some(path) = metadata.source.as_ref().and_then(|source| source.file_path()) {
            return Some(format!("file {}", path.display()));
        }
        if metadata.name == FLAGS {
            let flag = self.flags.iter().find(|flag| flag.key == key)?;
            return Some(format!("flag {}", flag.name));
        }
        if metadata.name == ENVIRONMENT {
            return Some(format!("environment variable {}", variable(key)));
        }
        None
    }
}

/// Returns the environment variable of a setting: `DIPTYCH_GRPC__CONNECTIONS_MAX` for `grpc.connections_max`.
pub(crate) fn variable(key: &str) -> String {
    format!("{ENVIRONMENT_PREFIX}{}", key.replace('.', "__").to_uppercase())
}

/// A value as a settings file would have it, without secrets.
fn shown(key: &str, value: &Value) -> String {
    match value {
        Value::String(_, text) => format!("{:?}", redacted(key, text)),
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
