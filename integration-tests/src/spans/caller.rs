//! Who calls.

use tonic::Request;
use uuid::Uuid;

/// Who calls, and which span of theirs the call is made in, as W3C Trace Context has it.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The trace, in hexadecimal digits.
    pub trace_id: String,
    /// The caller's span, in hexadecimal digits.
    pub span_id: String,
    /// The header that says so.
    pub traceparent: String,
}

impl Caller {
    /// Wants the trace.
    #[must_use]
    pub fn sampled() -> Self {
        Self::with_flags("01")
    }

    /// Does not.
    #[must_use]
    pub fn unsampled() -> Self {
        Self::with_flags("00")
    }

    fn with_flags(flags: &str) -> Self {
        let trace_id = Uuid::new_v4().simple().to_string();
        let span_id = Uuid::new_v4().simple().to_string()[..16].to_owned();
        let traceparent = format!("00-{trace_id}-{span_id}-{flags}");
        Self { trace_id, span_id, traceparent }
    }

    /// What is sent with a call.
    #[must_use]
    pub fn headers(&self) -> [(&'static str, &str); 1] {
        [("traceparent", self.traceparent.as_str())]
    }

    /// A call of this caller.
    pub fn request<M>(&self, message: M) -> Request<M> {
        with_headers(message, &self.headers())
    }
}

/// A call with these headers.
///
/// # Panics
/// When one cannot be sent.
pub fn with_headers<M>(message: M, headers: &[(&'static str, &str)]) -> Request<M> {
    let mut request = Request::new(message);
    for (name, value) in headers {
        request.metadata_mut().insert(*name, value.parse().unwrap());
    }
    request
}
