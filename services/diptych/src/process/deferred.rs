//! A gRPC service that is mounted before it can be started.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::{Arc, OnceLock},
    task::{Context, Poll},
};

use diptych_runtime::{Failure, mark_try_elsewhere};
use futures::future::Either;
use http::{Request, Response};
use tonic::{Status, body::Body, server::NamedService};
use tower::Service;

/// A gRPC service that fails every call until the real service is set. Clones share it.
pub(crate) struct DeferredService<S> {
    service: Arc<OnceLock<S>>,
    failure_until_set: Failure,
}

impl<S> DeferredService<S> {
    /// Answers every call with this failure until the service is set.
    pub(crate) fn new(failure_until_set: Failure) -> Self {
        Self { service: Arc::default(), failure_until_set }
    }

    /// The failure, marked for a gateway to try another instance, which may be ready.
    fn failure(&self) -> Status {
        let mut status = Status::from(self.failure_until_set.clone());
        mark_try_elsewhere(&mut status);
        status
    }

    /// Answers all calls from now on by this service. Only the first one set counts.
    pub(crate) fn set(&self, service: S) {
        // Set once, at start.
        let _ = self.service.set(service);
    }
}

impl<S: NamedService> NamedService for DeferredService<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for DeferredService<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<S::Future, Ready<Result<Response<Body>, Infallible>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Generated services are always ready.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match self.service.get() {
            Some(service) => Either::Left(service.clone().call(request)),
            None => Either::Right(ready(Ok(self.failure().into_http()))),
        }
    }
}

// By hand, as a derive would require `S: Clone`.
impl<S> Clone for DeferredService<S> {
    fn clone(&self) -> Self {
        Self { service: Arc::clone(&self.service), failure_until_set: self.failure_until_set.clone() }
    }
}

#[cfg(test)]
mod tests {
    use diptych_runtime::TRY_ELSEWHERE;
    use tonic_types::StatusExt;
    use tower::{ServiceExt, service_fn};

    use super::*;

    #[tokio::test]
    async fn calls_fail_until_the_service_is_set() {
        let deferred = DeferredService::new(Failure::ReadUnavailable);
        let mounted = deferred.clone();
        let call = || mounted.clone().oneshot(Request::new(Body::empty()));
        let early = call().await.unwrap();
        let status = Status::from_header_map(early.headers()).unwrap();
        assert_eq!(status.get_details_error_info().unwrap().reason, "READ_UNAVAILABLE");
        assert!(status.get_details_retry_info().is_some(), "with a delay after which to retry");
        assert!(status.metadata().contains_key(TRY_ELSEWHERE), "and marked for another instance to be tried");
        deferred.set(service_fn(|_| ready(Ok(Response::new(Body::empty())))));
        assert!(Status::from_header_map(call().await.unwrap().headers()).is_none());
    }
}
