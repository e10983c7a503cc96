//! Trace spans of calls, from the headers of the request to the last byte of the response, and of the commands on a
//! stream.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use diptych_kernel::EventMetadata;
use http::{HeaderMap, Response};
use http_body::{Frame, SizeHint};
use prost::bytes::Bytes;
use tonic::{Code, Status, body::Body};
use tracing::{Span, field::Empty, info_span};

use super::code_name::code_name;
use crate::trace::{self, TARGET, TraceContext};

/// The span of a call; disabled if the call is not traced. If it is dropped before [`CallSpan::end`], the call was
/// cancelled.
pub(super) struct CallSpan {
    span: Span,
    has_ended: bool,
}

impl CallSpan {
    /// The disabled span of a call that is not traced.
    pub(super) fn none() -> Self {
        Self { span: Span::none(), has_ended: true }
    }

    /// Begins the span of a call of `rpc` (`package.Service/Method`) if the caller's trace, or one that begins here, is
    /// sampled.
    pub(super) fn begin(rpc: &str, headers: &HeaderMap) -> Self {
        if !trace::is_on() {
            return Self::none();
        }
        let span = info_span!(
            target: TARGET,
            parent: None,
            "rpc",
            otel.name = rpc,
            otel.kind = "server",
            rpc.system.name = "grpc",
            rpc.method = rpc,
            rpc.response.status_code = Empty,
            error.type = Empty,
            otel.status_code = Empty,
        );
        trace::set_caller(&span, headers);
        if TraceContext::of(&span).is_some() { Self { span, has_ended: false } } else { Self::none() }
    }

    /// The span, to enter during the call.
    pub(super) fn span(&self) -> &Span {
        &self.span
    }

    /// Ends the call with a status code.
    pub(super) fn end(&mut self, code: Code) {
        if self.has_ended {
            return;
        }
        self.has_ended = true;
        record(&self.span, code);
    }

    /// Ends the span with the last byte of the response.
    pub(super) fn follow(self, response: Response<Body>) -> Response<Body> {
        if self.has_ended { response } else { response.map(|body| Body::new(TracedBody { body, call: self })) }
    }
}

impl Drop for CallSpan {
    fn drop(&mut self) {
        self.end(Code::Cancelled);
    }
}

/// The span of one command of a stream; disabled if the stream is not traced. Ends when it is dropped.
#[derive(Debug)]
pub struct CommandSpan(Span);

impl CommandSpan {
    /// Begins the span of a command. `stream` is the span of the stream, taken once by [`trace::current`] when the
    /// stream begins; `name` is the name of the message.
    #[must_use]
    pub fn begin(stream: Option<&Span>, name: &str) -> Self {
        let Some(stream) = stream else { return Self(Span::none()) };
        Self(info_span!(
            target: TARGET,
            parent: stream,
            "command",
            otel.name = %format_args!("execute {name}"),
            otel.kind = "internal",
            rpc.response.status_code = Empty,
            error.type = Empty,
            otel.status_code = Empty,
        ))
    }

    /// The metadata for the events of the command; `stream` is that of the stream.
    #[must_use]
    pub fn metadata(&self, stream: &EventMetadata) -> EventMetadata {
        TraceContext::of(&self.0).map_or_else(|| stream.clone(), |own| own.to_metadata())
    }

    /// Ends the command with a status code.
    pub fn end(&self, code: Code) {
        record(&self.0, code);
    }
}

fn record(span: &Span, code: Code) {
    span.record("rpc.response.status_code", code_name(code));
    if is_server_error(code) {
        span.record("error.type", code_name(code));
        span.record("otel.status_code", "ERROR");
    }
}

/// Returns whether a code is an error of the server, by the semantic conventions of OpenTelemetry. The others are
/// errors of the caller.
fn is_server_error(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}

/// The body of the response to a traced call; the trailers have the status.
struct TracedBody {
    body: Body,
    call: CallSpan,
}

impl http_body::Body for TracedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        let frame = {
            let _in_call = this.call.span.enter();
            ready!(Pin::new(&mut this.body).poll_frame(cx))
        };
        match &frame {
            Some(Ok(frame)) => {
                if let Some(trailers) = frame.trailers_ref() {
                    this.call.end(Status::from_header_map(trailers).map_or(Code::Unknown, |status| status.code()));
                }
            }
            Some(Err(status)) => this.call.end(status.code()),
            None => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
