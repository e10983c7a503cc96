//! Connection of a caller to the edge, with a bearer token and retries.

use std::time::Duration;

use diptych_proto::{
    diptych::v1::{Consistency, ConsistencyToken},
    ledger::{
        command::v1::command_service_client::CommandServiceClient, query::v1::query_service_client::QueryServiceClient,
    },
};
use diptych_runtime::pause;
use tokio::time::Instant;
use tonic::{
    Code, Request, Response, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint},
};
use tonic_types::StatusExt;

use super::call_log::CallRecorder;
use crate::support::edge::{Edge, WAIT_MAX};

/// Deadline of one attempt.
const ATTEMPT_MAX: Duration = Duration::from_secs(3);
/// Wait before a retry if the error has no retry delay.
const RETRY_DELAY_DEFAULT: Duration = Duration::from_millis(50);

type Connection = InterceptedService<Channel, Bearer>;

/// A connection to the edge, which reconnects by itself. Clones share it.
#[derive(Clone)]
pub(crate) struct EdgeConnection {
    pub(crate) commands: CommandServiceClient<Connection>,
    pub(crate) queries: QueryServiceClient<Connection>,
}

/// Adds the bearer token to every call.
#[derive(Clone)]
pub(crate) struct Bearer(MetadataValue<Ascii>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

impl EdgeConnection {
    /// Creates a connection, which connects with the first call.
    pub(crate) fn to(edge: &Edge) -> Self {
        let channel = Endpoint::from_shared(format!("http://{}", edge.address)).unwrap().connect_lazy();
        let connection = InterceptedService::new(channel, Bearer(format!("Bearer {}", edge.token).parse().unwrap()));
        Self { commands: CommandServiceClient::new(connection.clone()), queries: QueryServiceClient::new(connection) }
    }
}

/// Repeats a call until there is an answer, or an error that a retry does not change.
pub(crate) async fn call_with_retries<Q: Clone, A, F>(
    recorder: &CallRecorder,
    message: &Q,
    call: impl Fn(Request<Q>) -> F,
) -> Result<A, Status>
where
    F: Future<Output = Result<Response<A>, Status>>,
{
    let began_at = Instant::now();
    loop {
        let mut request = Request::new(message.clone());
        request.set_timeout(ATTEMPT_MAX);
        let status = match call(request).await {
            Ok(answer) => return Ok(answer.into_inner()),
            Err(status) => status,
        };
        if was_not_sent(&status) {
            continue;
        }
        if !is_retryable(&status) {
            return Err(status);
        }
        recorder.failed(&status);
        assert!(began_at.elapsed() < WAIT_MAX, "no answer within {:?}, last error: {status:?}", began_at.elapsed());
        pause(retry_delay(&status).unwrap_or(RETRY_DELAY_DEFAULT)).await;
    }
}

/// `RetryInfo.retry_delay`; `None` if the error has none.
pub(crate) fn retry_delay(status: &Status) -> Option<Duration> {
    status.get_details_retry_info().and_then(|info| info.retry_delay)
}

/// `ErrorInfo.reason`; empty if the error has none.
pub(crate) fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

/// Consistency that includes everything up to a token.
pub(crate) fn at_least(token: &str) -> Option<Consistency> {
    Some(Consistency {
        at_least_as_fresh: Some(ConsistencyToken { value: token.to_owned() }),
        ..Consistency::default()
    })
}

/// Returns whether the call never left this machine, as the edge was closing the connection: other gRPC libraries
/// repeat such a call themselves (gRPC's "transparent retry"), and tonic tells its caller.
fn was_not_sent(status: &Status) -> bool {
    // The text of hyper, of which tonic tells no more.
    status.code() == Code::Cancelled && status.message() == "operation was canceled"
}

/// Returns whether the call may be retried: by the contract of the proto files, or because the connection broke.
fn is_retryable(status: &Status) -> bool {
    match status.code() {
        Code::Unavailable | Code::ResourceExhausted => true,
        Code::Aborted => reason(status) == "CONTENTION",
        Code::Unknown | Code::Internal | Code::Cancelled | Code::DeadlineExceeded => reason(status).is_empty(),
        _ => false,
    }
}
