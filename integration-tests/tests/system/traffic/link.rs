//! The way of a caller to the product: through the edge, with a bearer token, and again until there is an answer.

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

use super::journal::Pen;
use crate::installation::{Installation, PATIENCE};

/// The deadline of one attempt.
const ATTEMPT_MAX: Duration = Duration::from_secs(3);
/// How long to wait where a failure does not say it.
const AGAIN_AFTER: Duration = Duration::from_millis(50);

type Connection = InterceptedService<Channel, Bearer>;

/// A connection to the edge, made again when it is lost. Every clone is the same connection.
#[derive(Clone)]
pub(crate) struct Link {
    pub(crate) commands: CommandServiceClient<Connection>,
    pub(crate) queries: QueryServiceClient<Connection>,
}

/// Says with every call who calls.
#[derive(Clone)]
pub(crate) struct Bearer(MetadataValue<Ascii>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

impl Link {
    /// A connection of its own, made with the first call.
    pub(crate) fn to(installation: &Installation) -> Self {
        let channel = Endpoint::from_shared(format!("http://{}", installation.address())).unwrap().connect_lazy();
        let connection =
            InterceptedService::new(channel, Bearer(format!("Bearer {}", installation.token()).parse().unwrap()));
        Self { commands: CommandServiceClient::new(connection.clone()), queries: QueryServiceClient::new(connection) }
    }
}

/// Asks until there is an answer, or a refusal that stays.
pub(crate) async fn insist<Q: Clone, A, F>(pen: &Pen, question: &Q, call: impl Fn(Request<Q>) -> F) -> Result<A, Status>
where
    F: Future<Output = Result<Response<A>, Status>>,
{
    let began_at = Instant::now();
    loop {
        let mut request = Request::new(question.clone());
        request.set_timeout(ATTEMPT_MAX);
        let status = match call(request).await {
            Ok(answer) => return Ok(answer.into_inner()),
            Err(status) => status,
        };
        if !passes(&status) {
            return Err(status);
        }
        pen.failed(&status);
        assert!(began_at.elapsed() < PATIENCE, "no answer for {:?}, last: {status:?}", began_at.elapsed());
        pause(retry_delay(&status).unwrap_or(AGAIN_AFTER)).await;
    }
}

/// When the product says that the same should be asked again.
pub(crate) fn retry_delay(status: &Status) -> Option<Duration> {
    status.get_details_retry_info().and_then(|info| info.retry_delay)
}

/// `ErrorInfo.reason`; empty where there is none.
pub(crate) fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

/// Asks for an answer that includes everything up to a token.
pub(crate) fn at_least(token: &str) -> Option<Consistency> {
    Some(Consistency { at_least_as_fresh: Some(ConsistencyToken { value: token.to_owned() }) })
}

/// Whether the same may be asked again, by what the proto files say about codes; and what a connection that broke looks like.
fn passes(status: &Status) -> bool {
    match status.code() {
        Code::Unavailable | Code::ResourceExhausted => true,
        Code::Aborted => reason(status) == "CONTENTION",
        Code::Unknown | Code::Internal | Code::Cancelled | Code::DeadlineExceeded => reason(status).is_empty(),
        _ => false,
    }
}
