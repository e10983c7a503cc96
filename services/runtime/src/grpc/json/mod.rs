//! JSON over HTTP for every method with a `google.api.http` annotation, as Envoy's JSON transcoder serves it.
//!
//! A request that is not gRPC is matched against the annotations, converted to a gRPC request, sent to the mounted
//! services in this process, and its answer converted back. Conversions follow the canonical JSON mapping of protobuf.
//! Differences between this and Envoy in front of the services would confuse a client that moves from one to the other,
//! so the same options hold: unset scalar fields are printed, unknown query parameters and fields are refused, and an
//! error is a `google.rpc.Status` in JSON.

mod body;
mod fields;
mod rejection;
mod request;
mod response;
mod routes;

use std::{convert::Infallible, sync::Arc};

use futures::future::Either;
use http::{HeaderMap, HeaderValue, Method, Request, Response, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use prost_reflect::DescriptorPool;
use tonic::body::Body;
use tower::{Service, ServiceExt, service_fn};

use rejection::Rejection;
pub use routes::RouteError;
use routes::{Route, Routes};

/// Headers of the HTTP request that describe its own body or connection and mean nothing to the gRPC request.
const HEADERS_NOT_FORWARDED: [header::HeaderName; 7] = [
    header::ACCEPT_ENCODING,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::HOST,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Converts between JSON over HTTP and gRPC.
pub(super) struct JsonTranscoder {
    routes: Routes,
    pool: DescriptorPool,
    request_bytes_max: usize,
    response_bytes_max: usize,
}

impl JsonTranscoder {
    /// Reads the annotations of the services.
    ///
    /// # Errors
    /// When the descriptor set is invalid, or an annotation uses a form that is not supported.
    pub(super) fn new(
        descriptor_set: &[u8],
        services: &[&str],
        request_bytes_max: usize,
        response_bytes_max: usize,
    ) -> Result<Self, RouteError> {
        let pool = DescriptorPool::decode(descriptor_set)
            .map_err(|error| RouteError::new(format!("the descriptor set cannot be decoded: {error}")))?;
        let routes = Routes::of_services(&pool, services)?;
        Ok(Self { routes, pool, request_bytes_max, response_bytes_max })
    }

    async fn answer<S>(&self, request: Request<Body>, grpc: S) -> Response<Body>
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    {
        match self.call(request, grpc).await {
            Ok(response) => response,
            Err(rejection) => response::rejected(&rejection),
        }
    }

    async fn call<S>(&self, request: Request<Body>, grpc: S) -> Result<Response<Body>, Rejection>
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    {
        let (head, body) = request.into_parts();
        let (route, path_fields) = self.routes.find(&head.method, head.uri.path())?;
        refuse_cross_origin_forms(&head.method, &head.headers)?;
        let body =
            Limited::new(body, self.request_bytes_max).collect().await.map_err(|error| self.unreadable(&*error))?;
        let query = head.uri.query().unwrap_or_default();
        let message = request::message(route, path_fields, query, &body.to_bytes())?;
        let request = grpc_request(route, &head.headers, &message)?;
        let Ok(response) = grpc.oneshot(request).await;
        Ok(response::json(&self.pool, route, response, self.response_bytes_max).await)
    }

    fn unreadable(&self, error: &(dyn std::error::Error + Send + Sync + 'static)) -> Rejection {
        if error.is::<LengthLimitError>() {
            let message = format!("the request body is larger than {} bytes", self.request_bytes_max);
            Rejection::too_large(message)
        } else {
            Rejection::body(format!("the request body cannot be read: {error}"))
        }
    }
}

/// Serves gRPC, and with a transcoder everything else as JSON.
///
/// `grpc` must always be ready, as the one of [`super::calls::monitor`] is: it is called without `poll_ready`.
pub(super) fn serve<S>(
    grpc: S,
    transcoder: Option<Arc<JsonTranscoder>>,
) -> impl Service<
    Request<Body>,
    Response = Response<Body>,
    Error = Infallible,
    Future = impl Future<Output = Result<Response<Body>, Infallible>> + Send,
> + Clone
+ Send
+ 'static
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    service_fn(move |request: Request<Body>| {
        let mut grpc = grpc.clone();
        match transcoder.clone() {
            Some(transcoder) if !is_grpc(request.headers()) => {
                Either::Left(async move { Ok(transcoder.answer(request, grpc).await) })
            }
            // Called here and not at the first poll, as `oneshot` would: the deadline of the call begins here, and must
            // begin before tonic's own.
            _ => Either::Right(grpc.call(request)),
        }
    })
}

fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// A page of another origin can make a browser send a form without asking first, but not `application/json`. Without
/// this check any web page could send commands to a server on the developer's machine.
fn refuse_cross_origin_forms(method: &Method, headers: &HeaderMap) -> Result<(), Rejection> {
    let content_type = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    if method == Method::GET || !headers.contains_key(header::ORIGIN) || content_type.starts_with(b"application/json") {
        return Ok(());
    }
    Err(Rejection::content_type("a browser must send content-type: application/json"))
}

fn grpc_request(route: &Route, headers: &HeaderMap, message: &[u8]) -> Result<Request<Body>, Rejection> {
    let mut frame = Vec::with_capacity(message.len() + response::FRAME_HEADER_BYTES);
    frame.push(0);
    let length = u32::try_from(message.len()).map_err(|_| Rejection::too_large("the request is larger than 4 GiB"))?;
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(message);
    let mut request = Request::new(Body::new(Full::from(frame)));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = route.grpc_path();
    *request.headers_mut() = headers.clone();
    for name in HEADERS_NOT_FORWARDED {
        request.headers_mut().remove(name);
    }
    request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    request.headers_mut().insert(header::TE, HeaderValue::from_static("trailers"));
    Ok(request)
}

#[cfg(test)]
mod tests;
