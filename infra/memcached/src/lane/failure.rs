//! What can go wrong between here and a server.

use std::sync::Arc;

use diptych_kernel::ports::PortError;
use memcache::exp::Error;

/// A call that a server did not answer. Cheap to copy, as all who shared the round trip get one.
#[derive(Clone, Debug, thiserror::Error)]
#[error("memcached at {server} {reason}")]
pub(crate) struct Failure {
    server: Arc<str>,
    reason: Arc<str>,
    /// Whether anything was said to the server.
    was_sent: bool,
}

impl Failure {
    /// The server is known not to answer.
    pub(crate) fn down(server: &Arc<str>) -> Self {
        Self { server: Arc::clone(server), reason: "is down".into(), was_sent: false }
    }

    /// There is nobody left who talks to the server: the runtime goes away.
    pub(crate) fn closed(server: &Arc<str>) -> Self {
        Self { server: Arc::clone(server), reason: "is not talked to any more".into(), was_sent: true }
    }

    /// No connection could be made.
    pub(crate) fn unreachable(server: &Arc<str>, error: &Error) -> Self {
        let reason = match error {
            Error::Rejected(said) => format!("does not speak the meta protocol, memcached 1.6 or later does ({said})"),
            error => format!("cannot be reached: {error}"),
        };
        Self { server: Arc::clone(server), reason: reason.into(), was_sent: false }
    }

    /// A round trip failed.
    pub(crate) fn interrupted(server: &Arc<str>, error: &Error) -> Self {
        Self { server: Arc::clone(server), reason: format!("did not answer: {error}").into(), was_sent: true }
    }
}

impl From<Failure> for PortError {
    fn from(failure: Failure) -> Self {
        if failure.was_sent { Self::unknown(failure.to_string()) } else { Self::not_done(failure.to_string()) }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use diptych_kernel::ports::Effect;

    use super::*;

    #[test]
    fn a_failure_says_which_server_and_what_happened() {
        let server = Arc::from("cache-1:11211");
        let refused = Error::Io(io::Error::from(io::ErrorKind::ConnectionRefused));
        let told = [
            (Failure::down(&server), "is down", Effect::None),
            (Failure::unreachable(&server, &refused), "cannot be reached", Effect::None),
            (Failure::unreachable(&server, &Error::Rejected("ERROR".into())), "memcached 1.6 or later", Effect::None),
            (Failure::interrupted(&server, &refused), "did not answer", Effect::Unknown),
            (Failure::closed(&server), "not talked to any more", Effect::Unknown),
        ];
        for (failure, what, effect) in told {
            let error = PortError::from(failure);
            let text = error.to_string();
            assert!(text.contains("cache-1:11211") && text.contains(what), "{text}");
            assert_eq!(error.effect(), effect, "{text}");
        }
    }
}
