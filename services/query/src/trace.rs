//! The spans of calls to the cache and to the read database.

use std::future::Future;

use diptych_kernel::domain::ViewId;
use diptych_runtime::trace::{self, TARGET, systems};
use tracing::{Instrument, Span, info_span};

use crate::{error::Trouble, wait::Goal};

/// A call to the cache, for so many keys of a view. Nothing where the query is not traced.
pub(crate) fn cache_call(operation: &'static str, view: ViewId, keys: usize) -> Span {
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

/// A read of the read database, tries that failed included.
pub(crate) fn store_read(view: ViewId, keys: usize) -> Span {
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

/// Waiting until a view has got as far as the caller asks.
pub(crate) fn wait(goal: &Goal) -> Span {
    let Some(query) = trace::current() else { return Span::none() };
    info_span!(
        target: TARGET,
        parent: &query,
        "wait",
        otel.name = %format_args!("wait {}", goal.view),
        otel.kind = "internal",
        db.collection.name = %goal.view,
        messaging.destination.partition.id = %goal.partition,
    )
}

/// Reads in a span, and has that say whether it went wrong.
pub(crate) async fn read_in<T>(span: Span, read: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
    let result = read.instrument(span.clone()).await;
    if let Err(trouble) = &result {
        trace::fail(&span, trouble.error_type());
    }
    result
}
