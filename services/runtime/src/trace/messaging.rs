//! Spans of messages on the log, by OpenTelemetry's semantic conventions for messaging.

use diptych_kernel::{RecordedEvent, ports::Offset};
use tracing::{Span, info_span};

use super::{export::TARGET, systems::systems};

/// Operation of a process on a message of the log.
#[derive(Clone, Copy, Debug)]
pub enum MessageOperation<'a> {
    /// Appends it.
    Send,
    /// Projects it.
    Process {
        /// The consumer group.
        group: &'a str,
        /// The offset of the record in its partition.
        offset: Offset,
    },
}

/// Returns a root span for an operation on one event; give it a parent with [`super::set_parent`].
#[must_use]
pub fn message_span(event: &RecordedEvent, operation: MessageOperation<'_>) -> Span {
    let (name, kind, group, offset) = match operation {
        MessageOperation::Send => ("send", "producer", None, None),
        MessageOperation::Process { group, offset } => ("process", "consumer", Some(group), Some(offset)),
    };
    let systems = systems();
    info_span!(
        target: TARGET,
        parent: None,
        "message",
        otel.name = %format_args!("{name} {}", systems.topic),
        otel.kind = kind,
        messaging.system = systems.log,
        messaging.operation.name = name,
        messaging.operation.type = name,
        messaging.destination.name = &*systems.topic,
        messaging.destination.partition.id = %event.partition,
        messaging.consumer.group.name = group,
        messaging.message.id = %event.position,
        messaging.kafka.message.key = event.stream_id.as_str(),
        messaging.kafka.offset = offset.map(|offset| i64::try_from(offset.0).unwrap_or(i64::MAX)),
    )
}
