//! A minimal gateway: one address for both services, and authentication by a token.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use diptych_runtime::{Shutdown, Tasks};
use http::{Request, Response};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{
    Status,
    body::Body,
    transport::{Channel, Endpoint, Server},
};
use tower::{Service, ServiceExt, service_fn};

/// A gateway in front of a command and a query service.
pub(crate) struct Gateway {
    /// Its URL.
    pub(crate) url: String,
    counts: Arc<Counts>,
    tasks: Tasks,
}

#[derive(Default)]
struct Counts {
    connections: AtomicUsize,
    calls: AtomicUsize,
    failing: AtomicUsize,
}

struct Routes {
    commands: Channel,
    queries: Channel,
    token: Option<&'static str>,
    counts: Arc<Counts>,
}

impl Gateway {
    /// Routes calls to these addresses. Calls without the token are refused.
    pub(crate) async fn start(commands: &str, queries: &str, token: Option<&'static str>) -> Self {
        let channel = |url: &str| Endpoint::from_shared(url.to_owned()).unwrap().connect_lazy();
        let counts = Arc::<Counts>::default();
        let routes =
            Routes { commands: channel(commands), queries: channel(queries), token, counts: Arc::clone(&counts) };
        let routes = Arc::new(routes);
        let service = service_fn(move |request| {
            let routes = Arc::clone(&routes);
            async move { Ok::<_, Infallible>(routes.answer(request).await) }
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let counted = Arc::clone(&counts);
        let connections = futures::StreamExt::inspect(TcpListenerStream::new(listener), move |_| {
            counted.connections.fetch_add(1, Ordering::SeqCst);
        });
        let tasks = Tasks::new(Shutdown::new());
        tasks.spawn_fallible("gateway", Server::builder().serve_with_incoming(service, connections));
        Self { url, counts, tasks }
    }

    /// The number of connections accepted.
    pub(crate) fn connections(&self) -> usize {
        self.counts.connections.load(Ordering::SeqCst)
    }

    /// The number of calls received.
    pub(crate) fn calls(&self) -> usize {
        self.counts.calls.load(Ordering::SeqCst)
    }

    /// Answers the next calls, this many, as if no upstream were healthy.
    pub(crate) fn fail_next(&self, calls: usize) {
        self.counts.failing.store(calls, Ordering::SeqCst);
    }
}

impl Routes {
    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        self.counts.calls.fetch_add(1, Ordering::SeqCst);
        let token = request.headers().get("authorization").and_then(|value| value.to_str().ok());
        if token != self.token.map(|token| format!("Bearer {token}")).as_deref() {
            return Status::unauthenticated("Jwt is missing").into_http();
        }
        let left = self.counts.failing.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if left.is_ok() {
            return Status::unavailable("no healthy upstream").into_http();
        }
        let is_command = request.uri().path().starts_with("/ledger.command.");
        let mut channel = if is_command { self.commands.clone() } else { self.queries.clone() };
        let answer = match channel.ready().await {
            Ok(channel) => channel.call(request).await,
            Err(error) => Err(error),
        };
        answer.unwrap_or_else(|error| Status::unavailable(format!("upstream connect error: {error}")).into_http())
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.tasks.shutdown().begin();
    }
}
