//! Handling around every call: metrics, trace spans, load shedding, deadlines, and reasons for errors of the transport.
//! Allocates nothing for a successful call that is not traced.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{HeaderMap, Request, Response};
use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use prost_reflect::DescriptorPool;
use tokio::time::Instant;
use tonic::{Code, Status, body::Body, service::Routes};
use tower::{Service, ServiceExt, service_fn};
use tracing::Instrument;

use super::{Limits, call_span::CallSpan, code_name::code_name, deadline::Deadline, reflection, with_reason};
use crate::Failure;

const CODES: usize = 17;
/// The method name in traces for unknown methods, by the semantic conventions of OpenTelemetry.
const RPC_UNKNOWN: &str = "_OTHER";

/// The methods of a server and its calls in flight.
pub(super) struct Calls {
    by_path: HashMap<String, MethodMetrics>,
    /// One entry for all unknown paths, so that callers cannot create metrics with arbitrary names.
    unknown: MethodMetrics,
    in_flight: AtomicUsize,
    in_flight_max: usize,
    in_flight_gauge: Gauge,
    duration_max: Duration,
}

struct MethodMetrics {
    service: String,
    name: String,
    /// The name in traces: `package.Service/Method`.
    rpc: String,
    /// Streaming calls are counted when they begin, and not timed.
    streaming: bool,
    /// Methods of health and reflection are never shed and not traced.
    is_standard: bool,
    duration: Histogram,
    /// By code, registered on first use: most methods never return most codes.
    counters: [OnceLock<Counter>; CODES],
}

impl Calls {
    /// Reads the methods of the services from the proto files.
    pub(super) fn new(services: &[&str], limits: &Limits) -> Self {
        describe_metrics();
        let mut by_path = HashMap::new();
        for descriptors in reflection::DESCRIPTOR_SETS {
            // A set that cannot be read costs only names in metrics; reflection, built before this, has already failed
            // on it.
            let Ok(pool) = DescriptorPool::decode(descriptors) else { continue };
            for service in pool.services().filter(|service| services.contains(&service.full_name())) {
                for method in service.methods() {
                    let streaming = method.is_client_streaming() || method.is_server_streaming();
                    let path = format!("/{}/{}", service.full_name(), method.name());
                    let rpc = format!("{}/{}", service.full_name(), method.name());
                    by_path.insert(path, MethodMetrics::new(service.full_name(), method.name(), rpc, streaming));
                }
            }
        }
        Self {
            by_path,
            unknown: MethodMetrics::new("other", "other", RPC_UNKNOWN.to_owned(), true),
            in_flight: AtomicUsize::new(0),
            in_flight_max: limits.calls_in_flight_max,
            in_flight_gauge: gauge!("diptych_rpc_calls_in_flight"),
            duration_max: limits.call_duration_max,
        }
    }

    fn method(&self, path: &str) -> &MethodMetrics {
        self.by_path.get(path).unwrap_or(&self.unknown)
    }
}

fn describe_metrics() {
    describe_counter!(
        "diptych_rpc_calls_total",
        "Calls by method and status code; streaming calls by the status at their beginning"
    );
    describe_histogram!(
        "diptych_rpc_duration_seconds",
        Unit::Seconds,
        "Time from a unary call to its response, in seconds"
    );
    describe_gauge!("diptych_rpc_calls_in_flight", "Calls in progress");
    describe_gauge!("diptych_rpc_connections", "Open connections");
}

impl MethodMetrics {
    fn new(service: &str, name: &str, rpc: String, streaming: bool) -> Self {
        let labels = [("service", service.to_owned()), ("method", name.to_owned())];
        Self {
            service: service.to_owned(),
            name: name.to_owned(),
            rpc,
            streaming,
            is_standard: service.starts_with("grpc."),
            duration: histogram!("diptych_rpc_duration_seconds", &labels),
            counters: [const { OnceLock::new() }; CODES],
        }
    }

    fn span(&self, headers: &HeaderMap) -> CallSpan {
        if self.is_standard { CallSpan::none() } else { CallSpan::begin(&self.rpc, headers) }
    }

    fn count(&self, code: Code) {
        let Some(counter) = usize::try_from(code as i32).ok().and_then(|index| self.counters.get(index)) else {
            return;
        };
        let labels =
            || [("service", self.service.clone()), ("method", self.name.clone()), ("code", code_name(code).to_owned())];
        counter.get_or_init(|| counter!("diptych_rpc_calls_total", &labels())).increment(1);
    }
}

/// A call in flight. If it is dropped before its end, its caller has cancelled it.
struct CallInFlight<'a> {
    calls: &'a Calls,
    method: &'a MethodMetrics,
    began_at: Instant,
    code: Code,
}

impl<'a> CallInFlight<'a> {
    /// Counts the call, or fails if too many are in flight.
    fn begin(calls: &'a Calls, method: &'a MethodMetrics) -> Result<Self, Failure> {
        let before = calls.in_flight.fetch_add(1, Ordering::Relaxed);
        calls.in_flight_gauge.increment(1);
        let mut call = Self { calls, method, began_at: Instant::now(), code: Code::Cancelled };
        if !method.is_standard && before >= calls.in_flight_max {
            call.code = Code::ResourceExhausted;
            return Err(Failure::Overloaded { what: "the number of calls in flight" });
        }
        Ok(call)
    }
}

impl Drop for CallInFlight<'_> {
    fn drop(&mut self) {
        self.calls.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.calls.in_flight_gauge.decrement(1);
        self.method.count(self.code);
        if !self.method.streaming {
            self.method.duration.record(self.began_at.elapsed());
        }
    }
}

/// Wraps the services in this handling.
pub(super) fn monitor(
    routes: Routes,
    calls: Arc<Calls>,
) -> impl Service<
    Request<Body>,
    Response = Response<Body>,
    Error = Infallible,
    Future = impl Future<Output = Result<Response<Body>, Infallible>> + Send,
> + Clone
+ Send
+ 'static {
    service_fn(move |request: Request<Body>| {
        let (routes, calls) = (routes.clone(), Arc::clone(&calls));
        let deadline = Deadline::begin(request.headers(), calls.duration_max);
        async move {
            let method = calls.method(request.uri().path());
            let mut span = method.span(request.headers());
            let mut call = match CallInFlight::begin(&calls, method) {
                Ok(call) => call,
                Err(failure) => {
                    span.end(failure.code());
                    return Ok(Status::from(failure).into_http());
                }
            };
            let result = deadline.run(routes.oneshot(request).instrument(span.span().clone())).await.transpose()?;
            let status = match result {
                None => deadline.exceeded_status(&method.rpc),
                Some(response) => match failed(response.headers()) {
                    None => {
                        call.code = Code::Ok;
                        return Ok(span.follow(response));
                    }
                    Some(status) => with_reason(status),
                },
            };
            call.code = status.code();
            span.end(status.code());
            Ok(status.into_http())
        }
    })
}

/// The status of a call that failed before its first response message: it is in the headers then.
fn failed(headers: &HeaderMap) -> Option<Status> {
    // The common case first: no status in the headers.
    headers.get(Status::GRPC_STATUS)?;
    Status::from_header_map(headers).filter(|status| status.code() != Code::Ok)
}
