//! A service that is mounted before what it needs is there.

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

/// Stands in for a service until that is there, and answers its calls with a failure meanwhile. Every clone is the same service.
pub(crate) struct Later<S> {
    service: Arc<OnceLock<S>>,
    until_then: Failure,
}

impl<S> Later<S> {
    /// Answers every call with this failure until the service is there.
    pub(crate) fn new(until_then: Failure) -> Self {
        Self { service: Arc::default(), until_then }
    }

    /// Another instance may be further.
    fn not_yet(&self) -> Status {
        let mut status = Status::from(self.until_then.clone());
        mark_try_elsewhere(&mut status);
        status
    }

    /// From now on the service answers. The first one stays.
    pub(crate) fn set(&self, service: S) {
        // Nobody sets a second one.
        let _ = self.service.set(service);
    }
}

impl<S: NamedService> NamedService for Later<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for Later<S>
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
            None => Either::Right(ready(Ok(self.not_yet().into_http()))),
        }
    }
}

// By hand, as a derive would ask for services that can be cloned.
impl<S> Clone for Later<S> {
    fn clone(&self) -> Self {
        Self { service: Arc::clone(&self.service), until_then: self.until_then.clone() }
    }
}

#[cfg(test)]
mod tests {
    use diptych_runtime::TRY_ELSEWHERE;
    use tonic_types::StatusExt;
    use tower::{ServiceExt, service_fn};

    use super::*;

    #[tokio::test]
    async fn calls_fail_until_the_service_is_there() {
        let later = Later::new(Failure::ReadUnavailable);
        let mounted = later.clone();
        let call = || mounted.clone().oneshot(Request::new(Body::empty()));
        let early = call().await.unwrap();
        let status = Status::from_header_map(early.headers()).unwrap();
        assert_eq!(status.get_details_error_info().unwrap().reason, "READ_UNAVAILABLE");
        assert!(status.get_details_retry_info().is_some(), "it says when to come again");
        assert!(status.metadata().contains_key(TRY_ELSEWHERE), "and that another instance may be further");
        later.set(service_fn(|_| ready(Ok(Response::new(Body::empty())))));
        assert!(Status::from_header_map(call().await.unwrap().headers()).is_none());
    }
}
