//! A service with two methods, its server, and its clients.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use diptych_kernel::EventMetadata;
use diptych_proto::Encoded;
use futures::future::BoxFuture;
use http::{Request as HttpRequest, Response as HttpResponse, uri::PathAndQuery};
use parking_lot::Mutex;
use prost::bytes::Bytes;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_util::task::AbortOnDropHandle;
use tonic::{
    Request, Response, Status,
    body::Body,
    client,
    server::{self, NamedService, UnaryService},
    transport::{Channel, Endpoint},
};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
use tonic_prost::ProstCodec;
use tower::Service;

use super::super::{Health, Limits, ServerBuilder};
use crate::{Shutdown, Tasks, pause};

pub(super) const NAME: &str = "theatre.v1.BoxOffice";

/// A service that responds to `Reserve` at once, and to `Wait` when the doors are open. A request is any message with a
/// string in field 1.
#[derive(Clone)]
pub(super) struct BoxOffice {
    doors_open: Arc<watch::Sender<bool>>,
    waiting: Arc<watch::Sender<usize>>,
    message_bytes_max: usize,
    /// The event metadata of each call.
    event_metadata: Arc<Mutex<Vec<EventMetadata>>>,
}

impl BoxOffice {
    /// The `traceparent` of the events of the last call.
    pub(super) fn last_traceparent(&self) -> Option<String> {
        self.event_metadata.lock().last()?.traceparent.as_deref().map(str::to_owned)
    }

    pub(super) fn open_doors(&self) {
        self.doors_open.send_replace(true);
    }

    async fn until_a_call_waits(&self) {
        self.waiting.subscribe().wait_for(|waiting| *waiting > 0).await.unwrap();
    }

    pub(super) async fn until_no_call_waits(&self) {
        self.waiting.subscribe().wait_for(|waiting| *waiting == 0).await.unwrap();
    }
}

impl NamedService for BoxOffice {
    const NAME: &'static str = NAME;
}

impl Service<HttpRequest<Body>> for BoxOffice {
    type Response = HttpResponse<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: HttpRequest<Body>) -> Self::Future {
        let method = BoxOfficeMethod { waits: request.uri().path().ends_with("/Wait"), office: self.clone() };
        let message_bytes_max = self.message_bytes_max;
        Box::pin(async move {
            let codec = ProstCodec::<(), HealthCheckRequest>::default();
            let mut grpc = server::Grpc::new(codec)
                .apply_max_message_size_config(Some(message_bytes_max), Some(message_bytes_max));
            Ok(grpc.unary(method, request).await)
        })
    }
}

struct BoxOfficeMethod {
    waits: bool,
    office: BoxOffice,
}

impl UnaryService<HealthCheckRequest> for BoxOfficeMethod {
    type Response = ();
    type Future = BoxFuture<'static, Result<Response<()>, Status>>;

    fn call(&mut self, request: Request<HealthCheckRequest>) -> Self::Future {
        let (waits, office) = (self.waits, self.office.clone());
        office.event_metadata.lock().push(crate::event_metadata(request.metadata()));
        Box::pin(async move {
            if waits {
                let _waiting = WaitingCall::begin(&office);
                office.doors_open.subscribe().wait_for(|open| *open).await.unwrap();
            }
            Ok(Response::new(()))
        })
    }
}

struct WaitingCall(Arc<watch::Sender<usize>>);

impl WaitingCall {
    fn begin(office: &BoxOffice) -> Self {
        office.waiting.send_modify(|waiting| *waiting += 1);
        Self(Arc::clone(&office.waiting))
    }
}

impl Drop for WaitingCall {
    fn drop(&mut self) {
        self.0.send_modify(|waiting| *waiting -= 1);
    }
}

/// A server of the box office on a real socket.
pub(super) struct TestServer {
    pub(super) address: SocketAddr,
    pub(super) health: Health,
    pub(super) tasks: Tasks,
    pub(super) box_office: BoxOffice,
    pub(super) channel: Channel,
}

impl TestServer {
    pub(super) async fn start(limits: Limits) -> Self {
        Self::start_with_drain(limits, Duration::from_secs(5)).await
    }

    pub(super) async fn start_with_drain(limits: Limits, drain_max: Duration) -> Self {
        Self::start_with(limits, drain_max, |server| server).await
    }

    /// With further services.
    pub(super) async fn start_with_services(add_services: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Self {
        Self::start_with(Limits::default(), Duration::from_secs(5), add_services).await
    }

    async fn start_with(
        limits: Limits,
        drain_max: Duration,
        add_services: impl FnOnce(ServerBuilder) -> ServerBuilder,
    ) -> Self {
        let box_office = BoxOffice {
            doors_open: Arc::new(watch::Sender::new(false)),
            waiting: Arc::new(watch::Sender::new(0)),
            message_bytes_max: limits.message_received_bytes_max,
            event_metadata: Arc::default(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = add_services(ServerBuilder::new(limits).add_service(box_office.clone())).build().await.unwrap();
        let health = server.health();
        let tasks = Tasks::new(Shutdown::new());
        tasks.spawn_fallible("grpc", server.serve(listener, tasks.shutdown(), drain_max));
        Self { address, health, tasks, box_office, channel: lazy(address) }
    }

    pub(super) async fn health(&self, service: &str) -> Result<bool, Status> {
        let request = HealthCheckRequest { service: service.to_owned() };
        let answer = HealthClient::new(self.channel.clone()).check(request).await?;
        Ok(answer.into_inner().status() == ServingStatus::Serving)
    }

    pub(super) async fn health_of<const N: usize>(&self, services: [&str; N]) -> [bool; N] {
        let mut healthy = [false; N];
        for (healthy, service) in healthy.iter_mut().zip(services) {
            *healthy = self.health(service).await.unwrap();
        }
        healthy
    }

    pub(super) async fn call(&self, method: &str) -> Result<(), Status> {
        self.call_with(method, &[]).await
    }

    pub(super) async fn call_with(&self, method: &str, message: &[u8]) -> Result<(), Status> {
        self.call_path(&format!("/{NAME}/{method}"), message).await
    }

    pub(super) async fn call_path(&self, path: &str, message: &[u8]) -> Result<(), Status> {
        call(self.channel.clone(), path, message, &[]).await
    }

    /// Calls `Reserve` with these headers.
    pub(super) async fn call_from(&self, caller: &[(&'static str, &str)]) -> Result<(), Status> {
        call(self.channel.clone(), &format!("/{NAME}/Reserve"), &[], caller).await
    }

    pub(super) async fn begin_on_new_connection(&self, method: &str) -> Result<(), Status> {
        call(lazy(self.address), &format!("/{NAME}/{method}"), &[], &[]).await
    }

    /// Begins a call, and returns once the service has it.
    pub(super) async fn begin(&self, method: &str) -> AbortOnDropHandle<Result<(), Status>> {
        let (channel, path) = (self.channel.clone(), format!("/{NAME}/{method}"));
        let tracker = tokio_util::task::TaskTracker::new();
        let held = tracker.spawn(async move { call(channel, &path, &[], &[]).await });
        self.box_office.until_a_call_waits().await;
        AbortOnDropHandle::new(held)
    }

    /// Waits until new connections are refused.
    pub(super) async fn until_refusing(&self) {
        while TcpStream::connect(self.address).await.is_ok() {
            pause(Duration::from_millis(1)).await;
        }
    }
}

fn lazy(address: SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{address}")).unwrap().connect_lazy()
}

async fn call(channel: Channel, path: &str, message: &[u8], headers: &[(&'static str, &str)]) -> Result<(), Status> {
    let mut grpc = client::Grpc::new(channel);
    grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let codec = ProstCodec::<Encoded<HealthCheckRequest>, ()>::default();
    let mut request = Request::new(Encoded::new(Bytes::copy_from_slice(message)));
    for (name, value) in headers {
        request.metadata_mut().insert(*name, value.parse().unwrap());
    }
    let answer = grpc.unary(request, PathAndQuery::try_from(path).unwrap(), codec).await;
    answer.map(Response::into_inner)
}

/// The value of the metric whose labels have all these values.
pub(super) fn metric(text: &str, name: &str, labels: &[&str]) -> Option<f64> {
    let lines = text.lines().filter(|line| line.starts_with(name) && !line.starts_with(&format!("{name}_")));
    let mut lines = lines.filter(|line| labels.iter().all(|label| line.contains(&format!("\"{label}\""))));
    lines.next()?.rsplit(' ').next()?.parse().ok()
}
