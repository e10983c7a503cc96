//! The configuration as a file that would give it.

use super::Loaded;

/// TOML that reads back as this configuration. Whatever is not a default says where it came from.
///
/// # Errors
/// When a value has no form in TOML, which none of this product's has.
pub(crate) fn dump(loaded: &Loaded) -> Result<String, toml::ser::Error> {
    let mut group = String::new();
    let mut text = String::new();
    for line in toml::to_string(&loaded.config)?.lines() {
        text.push_str(line);
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            group = format!("{name}.");
        } else if let Some((name, _)) = line.split_once(" = ")
            && let Some(source) = loaded.source(&format!("{group}{name}"))
        {
            text.push_str(&format!("  # from {source}"));
        }
        text.push('\n');
    }
    Ok(text)
}
