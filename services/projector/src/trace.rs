//! The spans of a batch.

use diptych_kernel::{RecordedEvent, domain::ViewId, ports::Offset};
use diptych_runtime::trace::{self, MessageOperation, TARGET, TraceContext, systems};
use tracing::{Span, info_span};

use crate::{apply::Work, rows::TableIndex};

/// The spans of a batch from the log: one for each event that is traced, a child of what its record brought along, and one for the batch,
/// tied to all of them. There are none, and nothing is done, where nothing is traced.
///
/// They are as long as it takes until the batch is stored. That of the batch is named after the poll; it begins when the poll has brought something,
/// as before nobody knows whether that is traced.
#[derive(Default)]
#[must_use]
pub(crate) struct BatchSpans {
    events: Vec<EventSpan>,
    /// That of the batch.
    poll: Option<Span>,
}

struct EventSpan {
    /// The number of the event in the batch.
    item: usize,
    span: Span,
    /// The views whose rows it has changed.
    changed: Vec<TableIndex>,
}

/// The spans of one call of a store, one for each traced event that it is made for.
#[must_use]
pub(crate) struct CallSpans(Vec<Span>);

impl CallSpans {
    /// The call has failed.
    pub(crate) fn fail(&self, error_type: &'static str) {
        for span in &self.0 {
            trace::fail(span, error_type);
        }
    }
}

impl BatchSpans {
    /// Begins them, for events and the offsets of their records, in the same order.
    pub(crate) fn begin(events: &[RecordedEvent], offsets: impl Iterator<Item = Offset>, group: &str) -> Self {
        let mut spans = Self::default();
        if !trace::is_on() {
            return spans;
        }
        let messages = events.len();
        for (item, (event, offset)) in events.iter().zip(offsets).enumerate() {
            let Some(header) = TraceContext::of_event(&event.metadata) else { continue };
            let poll = spans.poll.get_or_insert_with(|| poll_span(messages, group));
            trace::link(poll, &header);
            let span = trace::message_span(event, MessageOperation::Process { group, offset });
            trace::set_parent(&span, &header);
            trace::link_to_parent(&span, &header);
            if let Some(poll) = TraceContext::of(poll) {
                trace::link(&span, &poll);
            }
            spans.events.push(EventSpan { item, span, changed: Vec::new() });
        }
        spans
    }

    /// An event of the batch, if it is traced, did not get into all views.
    pub(crate) fn fail(&self, item: usize, error_type: &'static str) {
        for event in self.events.iter().filter(|event| event.item == item) {
            trace::fail(&event.span, error_type);
        }
    }

    /// All events are folded: remembers which rows those that are traced have changed.
    pub(crate) fn note_changes<E>(&mut self, work: &Work<E>) {
        for event in &mut self.events {
            event.changed = work.changed_views(event.item).collect();
        }
    }

    /// A write of rows begins: one span for each traced event and each view in which it has changed a row.
    pub(crate) fn begin_write(&self, rows: usize, view_of: impl Fn(TableIndex) -> Option<ViewId>) -> CallSpans {
        let changed = self.events.iter().flat_map(|event| event.changed.iter().map(|view| (&event.span, *view)));
        CallSpans(changed.filter_map(|(event, view)| Some(insert_span(event, view_of(view)?, rows))).collect())
    }

    /// A refresh of cached rows of a view begins.
    pub(crate) fn begin_refresh(&self, index: TableIndex, view: ViewId, rows: usize) -> CallSpans {
        let concerned = self.events.iter().filter(|event| event.changed.contains(&index));
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
