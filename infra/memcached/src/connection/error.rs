//! Errors of calls to a server.

use std::sync::Arc;

use diptych_kernel::ports::PortError;
use memcache::exp::Error;

/// A call that a server did not answer. Cheap to clone, as every caller that shared the round trip gets one.
#[derive(Clone, Debug, thiserror::Error)]
#[error("memcached at {server} {reason}")]
pub(crate) struct CallError {
    server: Arc<str>,
    reason: Arc<str>,
    /// True if anything may have been sent to the server.
    was_sent: bool,
}

impl CallError {
    /// The server is known to be down.
    pub(crate) fn down(server: &Arc<str>) -> Self {
        Self { server: Arc::clone(server), reason: "is down".into(), was_sent: false }
    }

    /// The connection task has ended, because the runtime is shutting down.
    pub(crate) fn closed(server: &Arc<str>) -> Self {
        Self {
            server: Arc::clone(server),
            reason: "was disconnected: the process is shutting down".into(),
            was_sent: true,
        }
    }

    /// No connection could be established.
    pub(crate) fn unreachable(server: &Arc<str>, error: &Error) -> Self {
        let reason = match error {
            Error::Rejected(response) => {
                format!("does not support the meta protocol; use memcached 1.6 or later ({response})")
            }
            error => format!("cannot be reached: {error}"),
        };
        Self { server: Arc::clone(server), reason: reason.into(), was_sent: false }
    }

    /// A round trip failed.
    pub(crate) fn interrupted(server: &Arc<str>, error: &Error) -> Self {
        Self { server: Arc::clone(server), reason: format!("did not answer: {error}").into(), was_sent: true }
    }
}

impl From<CallError> for PortError {
    fn from(error: CallError) -> Self {
        if error.was_sent { Self::unknown(error.to_string()) } else { Self::not_done(error.to_string()) }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use diptych_kernel::ports::Effect;

    use super::*;

    #[test]
    fn an_error_names_the_server_and_the_cause() {
        let server = Arc::from("cache-1:11211");
        let refused = Error::Io(io::Error::from(io::ErrorKind::ConnectionRefused));
        let cases = [
            (CallError::down(&server), "is down", Effect::None),
            (CallError::unreachable(&server, &refused), "cannot be reached", Effect::None),
            (CallError::unreachable(&server, &Error::Rejected("ERROR".into())), "memcached 1.6 or later", Effect::None),
            (CallError::interrupted(&server, &refused), "did not answer", Effect::Unknown),
            (CallError::closed(&server), "was disconnected", Effect::Unknown),
        ];
        for (error, what, effect) in cases {
            let error = PortError::from(error);
            let text = error.to_string();
            assert!(text.contains("cache-1:11211") && text.contains(what), "{text}");
            assert_eq!(error.effect(), effect, "{text}");
        }
    }
}
