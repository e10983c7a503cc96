//! Spans of cache requests, reads of the read database, and waits for progress.

use std::future::Future;

use diptych_kernel::{Partition, domain::ViewId};
use diptych_runtime::trace::{self, TARGET, systems};
use tracing::{Instrument, Span, info_span};

use crate::error::RowReadError;

/// Returns the span of a cache request for `keys` keys of a view; [`Span::none`] if the query is not traced.
pub(crate) fn cache_span(operation: &'static str, view: ViewId, keys: usize) -> Span {
    let Some(query) = trace::current() else { return Span::none() };
    info_span!(
        target: TARGET,
        parent: &query,
        "cache",
        otel.name = operation,
        otel.kind = "client",
        db.system.name = systems().cache,
        db.operation.name = operation,
        db.collection.name = %view,
        db.operation.batch.size = trace::batch_size(keys),
    )
}

/// Returns the span of a read of the read database, failed attempts included.
pub(crate) fn store_span(view: ViewId, keys: usize) -> Span {
    let Some(query) = trace::current() else { return Span::none() };
    info_span!(
        target: TARGET,
        parent: &query,
        "read",
        otel.name = %format_args!("SELECT {view}"),
        otel.kind = "client",
        db.system.name = systems().views,
        db.operation.name = "SELECT",
        db.collection.name = %view,
        db.operation.batch.size = trace::batch_size(keys),
    )
}

/// Returns the span of a wait for a view's progress in a partition.
pub(crate) fn wait_span(view: ViewId, partition: Partition) -> Span {
    let Some(query) = trace::current() else { return Span::none() };
    info_span!(
        target: TARGET,
        parent: &query,
        "wait",
        otel.name = %format_args!("wait {view}"),
        otel.kind = "internal",
        db.collection.name = %view,
        messaging.destination.partition.id = %partition,
    )
}

/// Runs a read inside a span, and marks the span as failed if the read fails.
pub(crate) async fn read_in<T>(
    span: Span,
    read: impl Future<Output = Result<T, RowReadError>>,
) -> Result<T, RowReadError> {
    let result = read.instrument(span.clone()).await;
    if let Err(error) = &result {
        trace::fail(&span, error.error_type());
    }
    result
}
