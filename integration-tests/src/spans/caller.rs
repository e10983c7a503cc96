//! Callers that begin traces.

use tonic::Request;
use uuid::Uuid;

/// A caller with a trace context (W3C Trace Context).
#[derive(Clone, Debug)]
pub struct Caller {
    /// Trace id, in hexadecimal digits.
    pub trace_id: String,
    /// Span id of the caller, in hexadecimal digits.
    pub span_id: String,
    /// Value of the header `traceparent`.
    pub traceparent: String,
}

impl Caller {
    /// A caller whose calls are traced.
    #[must_use]
    pub fn sampled() -> Self {
        Self::with_flags("01")
    }

    /// A caller whose calls are not traced.
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

    /// Headers of a call.
    #[must_use]
    pub fn headers(&self) -> [(&'static str, &str); 1] {
        [("traceparent", self.traceparent.as_str())]
    }

    /// Creates a request of this caller.
    pub fn request<M>(&self, message: M) -> Request<M> {
        with_headers(message, &self.headers())
    }
}

/// Creates a request with these headers.
///
/// # Panics
/// If a header value is invalid.
pub fn with_headers<M>(message: M, headers: &[(&'static str, &str)]) -> Request<M> {
    let mut request = Request::new(message);
    for (name, value) in headers {
        request.metadata_mut().insert(*name, value.parse().unwrap());
    }
    request
}
