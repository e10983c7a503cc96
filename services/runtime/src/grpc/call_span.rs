//! The span of a call, from its headers to the last byte of its answer, and those of the commands on a stream.

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

/// The span of a call; nothing where the call is not traced. One that goes without having been told how the call ended stands for
/// a call that was cancelled.
pub(super) struct CallSpan {
    span: Span,
    has_ended: bool,
}

impl CallSpan {
    /// Of a call that is not traced.
    pub(super) fn none() -> Self {
        Self { span: Span::none(), has_ended: true }
    }

    /// Begins the span of a call of `rpc`, as `package.Service/Method`, where the caller's trace, or one that begins here, is sampled.
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

    /// To work in.
    pub(super) fn span(&self) -> &Span {
        &self.span
    }

    /// The call has ended like this.
    pub(super) fn end(&mut self, code: Code) {
        if self.has_ended {
            return;
        }
        self.has_ended = true;
        record(&self.span, code);
    }

    /// The answer has begun: its end is the end of the call.
    pub(super) fn follow(self, answer: Response<Body>) -> Response<Body> {
        if self.has_ended { answer } else { answer.map(|body| Body::new(TracedBody { body, call: self })) }
    }
}

impl Drop for CallSpan {
    fn drop(&mut self) {
        self.end(Code::Cancelled);
    }
}

/// The span of one command among many of a stream; nothing where the stream is not traced. Ends when it is dropped.
#[derive(Debug)]
pub struct CommandSpan(Span);

impl CommandSpan {
    /// Begins the span of a command of `stream`, which is asked for once, where the stream begins: [`trace::current`]. `name` is that of its message.
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

    /// What the events of the command take along, where that of the stream is `stream`.
    #[must_use]
    pub fn metadata(&self, stream: &EventMetadata) -> EventMetadata {
        TraceContext::of(&self.0).map_or_else(|| stream.clone(), |own| own.to_metadata())
    }

    /// The command has ended like this.
    pub fn end(&self, code: Code) {
        record(&self.0, code);
    }
}

fn record(span: &Span, code: Code) {
    span.record("rpc.response.status_code", code_name(code));
    if is_servers_fault(code) {
        span.record("error.type", code_name(code));
        span.record("otel.status_code", "ERROR");
    }
}

/// Which codes make the span of a server a failed one. By the others it says that the caller is to do something.
fn is_servers_fault(code: Code) -> bool {
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

/// An answer whose call is traced: how it ended stands in its trailers.
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
