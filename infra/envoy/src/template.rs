//! The subset of Go's template language that the templates may use, so that Helm renders the same files.
//!
//! - `{{ .name | toJson }}`: the setting as JSON, which is valid YAML for any value. In a block, a field of the block's
//!   value; `{{ . | toJson }}` there is the value itself.
//! - `{{ range .name }} ... {{ end }}`: once for each value of a list.
//! - `{{ with .name }} ... {{ end }}`: once, or not at all if the setting is null.
//!
//! `{{-` removes the white space before it. Blocks cannot be nested.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::error::RenderError;

/// Renders the template. Every placeholder must have its setting, and every setting its placeholder.
pub(crate) fn render(template: &str, settings: &Map<String, Value>) -> Result<String, RenderError> {
    let segments = parse(template)?;
    let mut used = BTreeSet::new();
    let mut output = String::new();
    let mut rest = segments.as_slice();
    while let Some((segment, after)) = rest.split_first() {
        rest = after;
        match segment.kind {
            SegmentKind::Text => output.push_str(segment.text),
            SegmentKind::Value => output.push_str(&setting(settings, segment, &mut used)?.to_string()),
            SegmentKind::BlockStart => {
                let is_in_body = |segment: &Segment<'_>| matches!(segment.kind, SegmentKind::Text | SegmentKind::Value);
                let length = rest.iter().position(|segment| !is_in_body(segment));
                let Some((body, [end, after @ ..])) = length.map(|length| rest.split_at(length)) else {
                    return Err(segment.malformed());
                };
                if end.kind != SegmentKind::BlockEnd {
                    return Err(end.malformed());
                }
                for value in block_values(setting(settings, segment, &mut used)?) {
                    render_block(body, value, &mut output)?;
                }
                rest = after;
            }
            SegmentKind::BlockEnd => return Err(segment.malformed()),
        }
    }
    match settings.keys().find(|name| !used.contains(name.as_str())) {
        Some(name) => Err(RenderError::UnusedSetting { name: name.clone() }),
        None => Ok(output),
    }
}

/// Values that a block is rendered for: each value of a list, the single value, or none for null.
fn block_values(value: &Value) -> &[Value] {
    match value {
        Value::Null => &[],
        Value::Array(values) => values,
        value => std::slice::from_ref(value),
    }
}

/// Renders the body of a block for one value.
fn render_block(body: &[Segment<'_>], value: &Value, output: &mut String) -> Result<(), RenderError> {
    for segment in body {
        match (segment.kind, segment.text) {
            (SegmentKind::Text, literal) => output.push_str(literal),
            (_, "") => output.push_str(&value.to_string()),
            (_, name) => output.push_str(&value.get(name).ok_or_else(|| segment.unknown())?.to_string()),
        }
    }
    Ok(())
}

fn setting<'s>(
    settings: &'s Map<String, Value>,
    segment: &Segment<'_>,
    used: &mut BTreeSet<String>,
) -> Result<&'s Value, RenderError> {
    used.insert(segment.text.to_owned());
    settings.get(segment.text).ok_or_else(|| segment.unknown())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum SegmentKind {
    /// Literal text.
    Text,
    /// A placeholder for a value as JSON.
    Value,
    /// `range` or `with`.
    BlockStart,
    /// `end`.
    BlockEnd,
}

/// A literal text or an action of the template.
struct Segment<'t> {
    kind: SegmentKind,
    /// The literal text, or the name without its dot.
    text: &'t str,
    line: usize,
}

impl Segment<'_> {
    fn unknown(&self) -> RenderError {
        RenderError::UnknownPlaceholder { name: self.text.to_owned(), line: self.line }
    }

    fn malformed(&self) -> RenderError {
        RenderError::Malformed { action: self.text.to_owned(), line: self.line }
    }
}

/// Splits the template into literal texts and actions.
fn parse(template: &str) -> Result<Vec<Segment<'_>>, RenderError> {
    let mut segments = Vec::new();
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
        segments.push(Segment { kind: SegmentKind::Text, text, line: text_line });
        segments.push(parse_action(inner, line)?);
        rest = after;
    }
    segments.push(Segment { kind: SegmentKind::Text, text: rest, line });
    Ok(segments)
}

fn parse_action(inner: &str, line: usize) -> Result<Segment<'_>, RenderError> {
    let malformed = || RenderError::Malformed { action: inner.to_owned(), line };
    let words: Vec<&str> = inner.split_ascii_whitespace().collect();
    let (kind, path) = match words.as_slice() {
        [path, "|", "toJson"] => (SegmentKind::Value, *path),
        ["range" | "with", path] => (SegmentKind::BlockStart, *path),
        ["end"] => (SegmentKind::BlockEnd, "."),
        _ => return Err(malformed()),
    };
    let text = path.strip_prefix('.').ok_or_else(malformed)?;
    if text.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_') {
        Ok(Segment { kind, text, line })
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
    fn values_are_rendered_as_json() {
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
    fn blocks_are_rendered_as_by_helm() {
        let template = "a:\n  {{- range .list }}\n  - {{ .x | toJson }}\n  {{- end }}\n\
                        {{- with .one }}\nb: {{ . | toJson }}\n{{- end }}\nc\n";
        let text = rendered(template, json!({ "list": [{ "x": 1 }, { "x": "y" }], "one": "z" })).unwrap();
        assert_eq!(text, "a:\n  - 1\n  - \"y\"\nb: \"z\"\nc\n");
        assert_eq!(rendered(template, json!({ "list": [], "one": null })).unwrap(), "a:\nc\n");
    }

    #[test]
    fn placeholders_and_settings_must_correspond() {
        let unknown = |name: &str, line| Err(RenderError::UnknownPlaceholder { name: name.into(), line });
        assert_eq!(rendered("\n{{ .a | toJson }}", json!({})), unknown("a", 2));
        assert_eq!(
            rendered("{{ range .a }}\n{{ .b | toJson }}{{ end }}", json!({ "a": [{ "c": 1 }] })),
            unknown("b", 2)
        );
        assert_eq!(rendered("a", json!({ "a": 1 })), Err(RenderError::UnusedSetting { name: "a".into() }));
    }

    #[test]
    fn syntax_outside_the_common_subset_is_refused() {
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
