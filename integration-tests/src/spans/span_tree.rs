//! The spans of one trace as a tree.

use std::collections::HashMap;

use diptych_runtime::testing::{AttributeValue, Span, SpanKind, hex};

/// The spans of a trace, a tree below its caller's span.
#[derive(Clone, Debug)]
pub struct SpanTree {
    spans: HashMap<String, Span>,
    root: String,
}

impl SpanTree {
    /// Builds the tree. It must have one root, a child of the span `caller` (or without a parent, if that is empty),
    /// and every other span must have its parent in the tree.
    ///
    /// # Panics
    /// If the spans do not form such a tree.
    #[must_use]
    pub fn of(spans: Vec<Span>, caller: &str) -> Self {
        let count = spans.len();
        let spans: HashMap<String, Span> = spans.into_iter().map(|span| (hex(&span.span_id), span)).collect();
        assert_eq!(spans.len(), count, "a span came twice");
        let (mut roots, mut orphans) = (Vec::new(), Vec::new());
        for (id, span) in &spans {
            let parent = hex(&span.parent_span_id);
            if parent == caller {
                roots.push(id.clone());
            } else if !spans.contains_key(&parent) {
                orphans.push(span.name.clone());
            }
        }
        assert_eq!(orphans, Vec::<String>::new(), "spans without parents");
        let [root] = roots.as_slice() else { panic!("expected one root, found {}", roots.len()) };
        Self { root: root.clone(), spans }
    }

    /// The root span.
    #[must_use]
    pub fn root(&self) -> &Span {
        &self.spans[&self.root]
    }

    /// The only span with this name.
    ///
    /// # Panics
    /// If there is none, or more than one.
    #[must_use]
    pub fn span(&self, name: &str) -> &Span {
        let mut named = self.spans.values().filter(|span| span.name == name);
        let span = named.next().unwrap_or_else(|| panic!("no span {name}"));
        assert!(named.next().is_none(), "several spans {name}");
        span
    }

    /// Every span as `parent's name > name (kind)`, sorted.
    #[must_use]
    pub fn edges(&self) -> Vec<String> {
        let edge = |span: &Span| {
            let parent = self.spans.get(&hex(&span.parent_span_id)).map_or("caller", |parent| parent.name.as_str());
            format!("{parent} > {} ({})", span.name, kind(span))
        };
        let mut edges: Vec<String> = self.spans.values().map(edge).collect();
        edges.sort();
        edges
    }
}

fn kind(span: &Span) -> &'static str {
    match span.kind() {
        SpanKind::Internal => "internal",
        SpanKind::Server => "server",
        SpanKind::Client => "client",
        SpanKind::Producer => "producer",
        SpanKind::Consumer => "consumer",
        SpanKind::Unspecified => "unspecified",
    }
}

/// An attribute as text; `None` if the span does not have it.
///
/// # Panics
/// If it is neither text nor a number.
#[must_use]
pub fn attribute(span: &Span, key: &str) -> Option<String> {
    let found = span.attributes.iter().find(|attribute| attribute.key == key)?;
    Some(match found.value.clone()?.value? {
        AttributeValue::StringValue(text) => text,
        AttributeValue::IntValue(number) => number.to_string(),
        other => panic!("{key} is {other:?}"),
    })
}

/// Returns whether a span has a link to another.
#[must_use]
pub fn is_linked(span: &Span, to: &Span) -> bool {
    span.links.iter().any(|link| link.span_id == to.span_id && link.trace_id == to.trace_id)
}
