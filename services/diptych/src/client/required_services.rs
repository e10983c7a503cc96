//! Check at the start of a subcommand that the services that it calls are served at its addresses.

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::bail;
use diptych_proto::ledger::{
    command::v1::{DepositRequest, command_service_client::CommandServiceClient},
    query::v1::{GetAccountRequest, query_service_client::QueryServiceClient},
};
use http::{Response, StatusCode, header::CONTENT_TYPE};
use tonic::{Code, Request, Status, body::Body};
use tower::{Service, ServiceExt, util::MapResponse};

use super::{
    address::Address,
    connection::Connection,
    diagnosis::{diagnose, http_without_grpc},
};

const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// The services that a subcommand calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequiredServices {
    /// The command service.
    Commands,
    /// The command service and the query service.
    CommandsAndQueries,
}

impl RequiredServices {
    /// Checks that the required services are served. `queries` is `None` if it is the same server as `commands`.
    ///
    /// # Errors
    /// An error for the user: what answers at the address instead, and what to do.
    pub(super) async fn check(
        self,
        commands: &CheckedServer<'_>,
        queries: Option<&CheckedServer<'_>>,
    ) -> anyhow::Result<()> {
        let needs_queries = self == Self::CommandsAndQueries;
        if !commands.serves_commands().await? {
            let found = if commands.serves_queries().await? { "serves queries but no commands" } else { NEITHER };
            bail!("{} {found}\n{GIVE_BOTH}", commands.address);
        }
        match queries {
            None if needs_queries && !commands.serves_queries().await? => {
                bail!("{} serves commands but no queries; both are needed\n{GIVE_BOTH}", commands.address)
            }
            Some(queries) if !queries.serves_queries().await? && needs_queries => {
                let found = if queries.serves_commands().await? { "serves commands but no queries" } else { NEITHER };
                bail!("{} {found}\n{GIVE_QUERIES}", queries.address)
            }
            None | Some(_) => Ok(()),
        }
    }
}

const NEITHER: &str = "serves gRPC, but neither commands nor queries: is this a relay, a projector or another program?";
const GIVE_BOTH: &str = "Give the address of a gateway, of `diptych dev` or of `diptych all` with --to URL; or that of the command service \
     with --to URL and that of the query service with --queries URL";
const GIVE_QUERIES: &str = "Give the address of the query service, or of a gateway, with --queries URL";

/// A server to check.
pub(super) struct CheckedServer<'a> {
    pub(super) address: &'a Address,
    pub(super) connection: &'a Connection,
}

impl CheckedServer<'_> {
    async fn serves_commands(&self) -> anyhow::Result<bool> {
        let (connection, is_other_http) = self.observed();
        // Without a request id it is refused, and changes nothing.
        let request = with_timeout(DepositRequest::default());
        let answer = CommandServiceClient::new(connection).deposit(request).await;
        self.is_served(answer.err(), &is_other_http).await
    }

    async fn serves_queries(&self) -> anyhow::Result<bool> {
        let (connection, is_other_http) = self.observed();
        let request = with_timeout(GetAccountRequest::default());
        let answer = QueryServiceClient::new(connection).get_account(request).await;
        self.is_served(answer.err(), &is_other_http).await
    }

    /// The connection, and a flag that is set if an answer is one of HTTP, but not of gRPC.
    fn observed(&self) -> (MapResponse<Connection, impl FnOnce(CheckAnswer) -> CheckAnswer + Clone>, Arc<AtomicBool>) {
        let is_other_http = Arc::<AtomicBool>::default();
        let flag = Arc::clone(&is_other_http);
        let connection = ServiceExt::<http::Request<Body>>::map_response(self.connection.clone(), move |answer| {
            flag.store(!may_be_grpc(&answer), Ordering::Relaxed);
            answer
        });
        (connection, is_other_http)
    }

    /// Returns whether the service is served: then it refuses the call as invalid. Temporary errors count as served, as
    /// the subcommand retries or counts them.
    async fn is_served(&self, error: Option<Status>, is_other_http: &AtomicBool) -> anyhow::Result<bool> {
        if is_other_http.load(Ordering::Relaxed) {
            return Err(http_without_grpc(self.address));
        }
        match error {
            // Only errors of the client itself, which received no answer, have a source.
            Some(error) if error.source().is_some() => diagnose(self.address).await.map(|()| true),
            Some(error) => Ok(error.code() != Code::Unimplemented),
            None => Ok(true),
        }
    }
}

type CheckAnswer = <Connection as Service<http::Request<Body>>>::Response;

/// Returns whether an answer may be one of gRPC: of its content type, or an error of a proxy on the way.
fn may_be_grpc<B>(answer: &Response<B>) -> bool {
    let content_type = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type.is_some_and(|text| text.starts_with("application/grpc"))
        || matches!(
            answer.status(),
            StatusCode::UNAUTHORIZED
                | StatusCode::FORBIDDEN
                | StatusCode::REQUEST_TIMEOUT
                | StatusCode::TOO_MANY_REQUESTS
                | StatusCode::INTERNAL_SERVER_ERROR
                | StatusCode::BAD_GATEWAY
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::GATEWAY_TIMEOUT
        )
}

fn with_timeout<M>(message: M) -> Request<M> {
    let mut request = Request::new(message);
    request.set_timeout(CALL_TIMEOUT);
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_without_the_content_type_of_grpc_are_those_of_another_server_or_of_a_proxy() {
        for (status, content_type, expected) in [
            (200, "application/grpc", true),
            (200, "application/grpc+proto", true),
            (200, "text/html", false),
            (404, "text/plain", false),
            (408, "text/plain", true),
            (500, "text/plain", true),
            (503, "text/plain", true),
            (401, "text/plain", true),
        ] {
            let answer = Response::builder().status(status).header(CONTENT_TYPE, content_type).body(()).unwrap();
            assert_eq!(may_be_grpc(&answer), expected, "{status} {content_type}");
        }
    }
}
