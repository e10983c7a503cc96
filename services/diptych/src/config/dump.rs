//! Printed settings: as a settings file, as a Markdown table, and as text.

use std::fmt::Write;

use super::{
    Config,
    declare::{Describe, Reference, SettingInfo},
    load::LoadedConfig,
    origins::variable,
};

/// Returns a settings file that reads back as this configuration. Each setting has its meaning as a comment above it,
/// and its source behind it unless it is the default.
///
/// # Errors
/// When a value has no TOML form, which no setting type lacks.
pub(crate) fn dump(loaded: &LoadedConfig) -> Result<String, toml::ser::Error> {
    let mut text = String::new();
    for group in described(&loaded.config)?.groups {
        if !group.name.is_empty() {
            let _ = write!(text, "\n# {}\n[{}]\n", group.meaning, group.name);
        }
        for SettingInfo { name, key, meaning, value, .. } in group.settings {
            let source = loaded.source(&key).map(|source| format!("  # from {source}")).unwrap_or_default();
            let _ = writeln!(text, "# {meaning}\n{name} = {value}{source}");
        }
    }
    Ok(text)
}

/// Returns the settings reference: a Markdown table of the settings of each section.
///
/// # Errors
/// As [`dump`].
pub(crate) fn reference() -> Result<String, toml::ser::Error> {
    let mut text = String::new();
    for group in described(&Config::default())?.groups {
        if !group.name.is_empty() {
            let _ = write!(text, "\n`[{}]`: {}\n\n", group.name, group.meaning);
        }
        text.push_str("| key | environment variable | default | allowed | meaning |\n|---|---|---|---|---|\n");
        for SettingInfo { key, meaning, allowed, value, .. } in group.settings {
            let variable = variable(&key);
            let _ = writeln!(text, "| `{key}` | `{variable}` | `{value}` | {allowed} | {meaning} |");
        }
    }
    Ok(text)
}

/// Returns a description of each setting whose key or variable contains this text, or whose key and meaning contain
/// all words of it.
///
/// # Errors
/// As [`dump`].
pub(crate) fn table(text: &str) -> Result<String, toml::ser::Error> {
    let words: Vec<_> = text.split_whitespace().map(str::to_lowercase).collect();
    let is_meant = |setting: &SettingInfo| {
        let described = format!("{} {}", setting.key, setting.meaning).to_lowercase();
        variable(&setting.key).contains(&text.to_uppercase()) || words.iter().all(|word| described.contains(word))
    };
    let settings = described(&Config::default())?.groups.into_iter().flat_map(|group| group.settings);
    let mut table = String::new();
    for SettingInfo { key, meaning, allowed, value, .. } in settings.filter(is_meant) {
        let variable = variable(&key);
        let _ =
            write!(table, "{key}\n  {meaning}\n  default   {value}\n  allowed   {allowed}\n  variable  {variable}\n");
    }
    Ok(table)
}

fn described(config: &Config) -> Result<Reference, toml::ser::Error> {
    let mut reference = Reference::default();
    config.describe("", "", &mut reference)?;
    Ok(reference)
}
