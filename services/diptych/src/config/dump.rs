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

/// Returns a description of each setting whose key or variable contains this text; if there is none, of each whose key
/// and meaning contain all words of it.
///
/// # Errors
/// As [`dump`].
pub(crate) fn table(text: &str) -> Result<String, toml::ser::Error> {
    let settings = described(&Config::default())?.groups.into_iter().flat_map(|group| group.settings);
    let variable_part = text.to_uppercase();
    let (named, others): (Vec<_>, Vec<_>) =
        settings.partition(|setting| setting.key.contains(text) || variable(&setting.key).contains(&variable_part));
    if !named.is_empty() {
        return Ok(described_settings(&named));
    }
    let words: Vec<_> = text.split_whitespace().map(str::to_lowercase).collect();
    let is_described = |setting: &SettingInfo| {
        let described = format!("{} {}", setting.key, setting.meaning).to_lowercase();
        words.iter().all(|word| described.contains(word))
    };
    Ok(described_settings(&others.into_iter().filter(is_described).collect::<Vec<_>>()))
}

fn described_settings(settings: &[SettingInfo]) -> String {
    let mut text = String::new();
    for SettingInfo { key, meaning, allowed, value, .. } in settings {
        let variable = variable(key);
        let _ =
            write!(text, "{key}\n  {meaning}\n  default   {value}\n  allowed   {allowed}\n  variable  {variable}\n");
    }
    text
}

fn described(config: &Config) -> Result<Reference, toml::ser::Error> {
    let mut reference = Reference::default();
    config.describe("", "", &mut reference)?;
    Ok(reference)
}
