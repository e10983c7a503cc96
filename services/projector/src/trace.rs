//! Tracing spans of a batch.

use diptych_kernel::{RecordedEvent, domain::ViewId, ports::Offset};
use diptych_runtime::trace::{self, MessageOperation, TARGET, TraceContext, systems};
use tracing::{Span, info_span};

use crate::{apply::EventBatch, rows::TableIndex};

/// The spans of a batch from the log: one per traced event, as a child of the span in its record, and one for the
/// batch, linked to all of them. There are none, at no cost, where nothing is traced.
///
/// They end when the batch is stored. The span of the batch is named after the poll, but begins when the poll has
/// returned records, as it is not known before whether they are traced.
#[derive(Default)]
#[must_use]
pub(crate) struct BatchSpans {
    events: Vec<EventSpan>,
    /// The span of the batch.
    poll: Option<Span>,
}

struct EventSpan {
    /// The index of the event in the batch.
    index: usize,
    span: Span,
    /// The views in which it has changed a row.
    changed: Vec<TableIndex>,
}

/// The spans of one call to a store, one per traced event concerned.
#[must_use]
pub(crate) struct CallSpans(Vec<Span>);

impl CallSpans {
    /// Marks the call as failed.
    pub(crate) fn fail(&self, error_type: &'static str) {
        for span in &self.0 {
            trace::fail(span, error_type);
        }
    }
}

impl BatchSpans {
    /// Begins the spans for events and the offsets of their records, in the same order.
    pub(crate) fn begin(events: &[RecordedEvent], offsets: impl Iterator<Item = Offset>, group: &str) -> Self {
        let mut spans = Self::default();
        if !trace::is_on() {
            return spans;
        }
        let messages = events.len();
        for (index, (event, offset)) in events.iter().zip(offsets).enumerate() {
            let Some(header) = TraceContext::of_event(&event.metadata) else { continue };
            let poll = spans.poll.get_or_insert_with(|| poll_span(messages, group));
            trace::link(poll, &header);
            let span = trace::message_span(event, MessageOperation::Process { group, offset });
            trace::set_parent(&span, &header);
            trace::link_to_parent(&span, &header);
            if let Some(poll) = TraceContext::of(poll) {
                trace::link(&span, &poll);
            }
            spans.events.push(EventSpan { index, span, changed: Vec::new() });
        }
        spans
    }

    /// Marks an event as failed, if it is traced: it was not applied to all views.
    pub(crate) fn fail(&self, index: usize, error_type: &'static str) {
        for event in self.events.iter().filter(|event| event.index == index) {
            trace::fail(&event.span, error_type);
        }
    }

    /// Records which rows the traced events have changed, after all events are folded.
    pub(crate) fn record_changes<E>(&mut self, batch: &EventBatch<E>) {
        for event in &mut self.events {
            event.changed = batch.changed_views(event.index).collect();
        }
    }

    /// Begins the spans of a write of rows: one per traced event and view in which it has changed a row.
    pub(crate) fn begin_write(&self, rows: usize, view_of: impl Fn(TableIndex) -> Option<ViewId>) -> CallSpans {
        let changed = self.events.iter().flat_map(|event| event.changed.iter().map(|view| (&event.span, *view)));
        CallSpans(changed.filter_map(|(event, view)| Some(insert_span(event, view_of(view)?, rows))).collect())
    }

    /// Begins the spans of a refresh of cached rows of a view.
    pub(crate) fn begin_refresh(&self, table: TableIndex, view: ViewId, rows: usize) -> CallSpans {
        let concerned = self.events.iter().filter(|event| event.changed.contains(&table));
        CallSpans(concerned.map(|event| set_span(&event.span, view, rows)).collect())
    }
}

fn poll_span(messages: usize, group: &str) -> Span {
    let systems = systems();
    info_span!(
        target: TARGET,
        parent: None,
        "poll",
        otel.name = %format_args!("poll {}", systems.topic),
        otel.kind = "client",
        messaging.system = systems.log,
        messaging.operation.name = "poll",
        messaging.operation.type = "receive",
        messaging.destination.name = &*systems.topic,
        messaging.consumer.group.name = group,
        messaging.batch.message_count = trace::count(messages),
    )
}

fn insert_span(event: &Span, view: ViewId, rows: usize) -> Span {
    info_span!(
        target: TARGET,
        parent: event,
        "write",
        otel.name = %format_args!("INSERT {view}"),
        otel.kind = "client",
        db.system.name = systems().views,
        db.operation.name = "INSERT",
        db.collection.name = %view,
        db.operation.batch.size = trace::batch_size(rows),
    )
}

fn set_span(event: &Span, view: ViewId, rows: usize) -> Span {
    info_span!(
        target: TARGET,
        parent: event,
        "set",
        otel.kind = "client",
        db.system.name = systems().cache,
        db.operation.name = "set",
        db.collection.name = %view,
        db.operation.batch.size = trace::batch_size(rows),
    )
}
