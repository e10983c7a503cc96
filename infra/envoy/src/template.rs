//! The part of Go's template language that the templates may use, so that Helm renders the same files.
//!
//! - `{{ .name | toJson }}`: the setting as JSON, which is YAML too, whatever is in it. Within a block, a field of the block's value;
//!   `{{ . | toJson }}` there is the value itself.
//! - `{{ range .name }} ... {{ end }}`: once for each value of a list.
//! - `{{ with .name }} ... {{ end }}`: once, or not at all where the setting is null.
//!
//! `{{-` takes away the white space before it. Blocks do not stand within blocks.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::RenderError;

/// Fills the template. Every placeholder must have its setting, and every setting its placeholder.
pub(crate) fn render(template: &str, settings: &Map<String, Value>) -> Result<String, RenderError> {
    let pieces = cut(template)?;
    let mut used = BTreeSet::new();
    let mut text = String::new();
    let mut rest = pieces.as_slice();
    while let Some((piece, after)) = rest.split_first() {
        rest = after;
        match piece.action {
            Action::Text => text.push_str(piece.text),
            Action::Value => text.push_str(&setting(settings, piece, &mut used)?.to_string()),
            Action::Block => {
                let length =
                    rest.iter().position(|piece| piece.action != Action::Text && piece.action != Action::Value);
                let Some((body, [end, after @ ..])) = length.map(|length| rest.split_at(length)) else {
                    return Err(piece.malformed());
                };
                if end.action != Action::End {
                    return Err(end.malformed());
                }
                for value in values(setting(settings, piece, &mut used)?) {
                    block(body, value, &mut text)?;
                }
                rest = after;
            }
            Action::End => return Err(piece.malformed()),
        }
    }
    match settings.keys().find(|name| !used.contains(name.as_str())) {
        Some(name) => Err(RenderError::UnusedSetting { name: name.clone() }),
        None => Ok(text),
    }
}

/// What a block is rendered for: each value of a list, the one value, or nothing.
fn values(value: &Value) -> &[Value] {
    match value {
        Value::Null => &[],
        Value::Array(values) => values,
        value => std::slice::from_ref(value),
    }
}

/// What stands in a block, once.
fn block(body: &[Piece<'_>], value: &Value, text: &mut String) -> Result<(), RenderError> {
    for piece in body {
        match (piece.action, piece.text) {
            (Action::Text, literal) => text.push_str(literal),
            (_, "") => text.push_str(&value.to_string()),
            (_, name) => text.push_str(&value.get(name).ok_or_else(|| piece.unknown())?.to_string()),
        }
    }
    Ok(())
}

fn setting<'s>(
    settings: &'s Map<String, Value>,
    piece: &Piece<'_>,
    used: &mut BTreeSet<String>,
) -> Result<&'s Value, RenderError> {
    used.insert(piece.text.to_owned());
    settings.get(piece.text).ok_or_else(|| piece.unknown())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Action {
    /// As it is.
    Text,
    /// A value as JSON.
    Value,
    /// The beginning of a block.
    Block,
    /// The end of a block.
    End,
}

struct Piece<'t> {
    action: Action,
    /// The text, or the name without its dot.
    text: &'t str,
    line: usize,
}

impl Piece<'_> {
    fn unknown(&self) -> RenderError {
        RenderError::UnknownPlaceholder { name: self.text.to_owned(), line: self.line }
    }

    fn malformed(&self) -> RenderError {
        RenderError::Malformed { action: self.text.to_owned(), line: self.line }
    }
}

/// Cuts the template into text and actions.
fn cut(template: &str) -> Result<Vec<Piece<'_>>, RenderError> {
    let mut pieces = Vec::new();
    let mut rest = template;
    let mut line = 1;
    while let Some((text, after)) = rest.split_once("{{") {
        let text_line = line;
        line += text.matches('\n').count();
        let Some((inner, after)) = after.split_once("}}") else {
            return Err(RenderError::Malformed { action: after.lines().next().unwrap_or_default().to_owned(), line });
        };
        let (text, inner) = match inner.strip_prefix('-') {
            Some(inner) => (text.trim_end(), inner),
            None => (text, inner),
        };
        pieces.push(Piece { action: Action::Text, text, line: text_line });
        pieces.push(action(inner, line)?);
        rest = after;
    }
    pieces.push(Piece { action: Action::Text, text: rest, line });
    Ok(pieces)
}

fn action(inner: &str, line: usize) -> Result<Piece<'_>, RenderError> {
    let malformed = || RenderError::Malformed { action: inner.to_owned(), line };
    let words: Vec<&str> = inner.split_ascii_whitespace().collect();
    let (action, path) = match words.as_slice() {
        [path, "|", "toJson"] => (Action::Value, *path),
        ["range" | "with", path] => (Action::Block, *path),
        ["end"] => (Action::End, "."),
        _ => return Err(malformed()),
    };
    let text = path.strip_prefix('.').ok_or_else(malformed)?;
    if text.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_') {
        Ok(Piece { action, text, line })
    } else {
        Err(malformed())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn rendered(template: &str, settings: Value) -> Result<String, RenderError> {
        let Value::Object(settings) = settings else { panic!("settings are an object") };
        render(template, &settings)
    }

    #[test]
    fn values_become_json() {
        let settings = json!({ "port": 7400, "name": "a \"b\": {c}\n# d {{ .port }}", "none": null });
        let text = rendered("p: {{ .port | toJson }}\nn: {{.name|toJson}}", settings.clone());
        assert_eq!(text, Err(RenderError::Malformed { action: ".name|toJson".into(), line: 2 }));
        let text = rendered("p: {{ .port | toJson }}\nn: {{ .name | toJson }} {{ .none | toJson }}", settings).unwrap();
        assert_eq!(
            text,
            r#"p: 7400
n: "a \"b\": {c}\n# d {{ .port }}" null"#
        );
    }

    #[test]
    fn blocks_are_rendered_as_helm_does() {
        let template = "a:\n  {{- range .list }}\n  - {{ .x | toJson }}\n  {{- end }}\n\
                        {{- with .one }}\nb: {{ . | toJson }}\n{{- end }}\nc\n";
        let text = rendered(template, json!({ "list": [{ "x": 1 }, { "x": "y" }], "one": "z" })).unwrap();
        assert_eq!(text, "a:\n  - 1\n  - \"y\"\nb: \"z\"\nc\n");
        assert_eq!(rendered(template, json!({ "list": [], "one": null })).unwrap(), "a:\nc\n");
    }

    #[test]
    fn placeholders_and_settings_must_fit() {
        let unknown = |name: &str, line| Err(RenderError::UnknownPlaceholder { name: name.into(), line });
        assert_eq!(rendered("\n{{ .a | toJson }}", json!({})), unknown("a", 2));
        assert_eq!(
            rendered("{{ range .a }}\n{{ .b | toJson }}{{ end }}", json!({ "a": [{ "c": 1 }] })),
            unknown("b", 2)
        );
        assert_eq!(rendered("a", json!({ "a": 1 })), Err(RenderError::UnusedSetting { name: "a".into() }));
    }

    #[test]
    fn what_helm_would_read_otherwise_is_refused() {
        let settings = json!({ "a": [], "b": [] });
        for template in [
            "{{ .a }}",
            "{{ a | toJson }}",
            "{{ .a.b | toJson }}",
            "{{ .a | quote }}",
            "{{ .a | toJson",
            "{{ end }}",
            "{{ range .a }}",
            "{{ range .a }}{{ with .b }}{{ end }}{{ end }}",
            "{{ if .a }}{{ end }}",
            "{{ $a | toJson }}",
            "{{ .a | toJson -}}",
        ] {
            let refused = rendered(template, settings.clone());
            assert!(matches!(refused, Err(RenderError::Malformed { .. })), "{template}: {refused:?}");
        }
    }
}
