//! From the driver's failures to those of a port.

use std::fmt::Display;

use diptych_kernel::ports::{PortError, Remedy};
use scylla::errors::{
    ConnectionError, ConnectionPoolError, ConnectionSetupRequestErrorKind, DbError, ExecutionError, MetadataError,
    NewSessionError, PrepareError, RequestAttemptError, UseKeyspaceError,
};

/// A read that failed, or a statement that repeats itself without harm when it is asked again.
pub(crate) fn reading(what: impl Display, error: ExecutionError) -> PortError {
    match remedy(&error) {
        Remedy::Retry => PortError::not_done(format!("{what} failed")).caused_by(error),
        Remedy::Operator => PortError::operator(format!("the read database refuses {what}")).caused_by(error),
    }
}

/// What ScyllaDB says of a write timestamp that it takes for a mistake.
const TOO_LATE: &str = "days into the future";

/// A write that failed. The driver tries other nodes by itself and tells its last failure only, so whatever was sent may have happened.
pub(crate) fn writing(what: impl Display, error: ExecutionError) -> PortError {
    match (remedy(&error), was_never_sent(&error)) {
        (Remedy::Operator, _) if is_too_late(&error) => PortError::operator(format!(
            "the read database refuses {what}: it takes a position from 2^62 on for a time in the future; set restrict_future_timestamp: \
             false in scylla.yaml of every node"
        ))
        .caused_by(error),
        (Remedy::Operator, _) => PortError::operator(format!("the read database refuses {what}")).caused_by(error),
        (Remedy::Retry, true) => PortError::not_done(format!("{what} failed")).caused_by(error),
        (Remedy::Retry, false) => PortError::unknown(format!("{what} was interrupted")).caused_by(error),
    }
}

/// A statement that could not be prepared.
pub(crate) fn preparing(error: PrepareError) -> PortError {
    reading("preparing a statement", ExecutionError::PrepareError(error))
}

/// A session that could not be opened.
pub(crate) fn connecting(contact_points: &[String], error: NewSessionError) -> PortError {
    let is_refused = match &error {
        NewSessionError::EmptyKnownNodesList | NewSessionError::IllegalConfig(_) => true,
        NewSessionError::MetadataError(MetadataError::ConnectionPoolError(error)) => pool(error) == Remedy::Operator,
        _ => false,
    };
    let points = contact_points.join(", ");
    if is_refused {
        let message = format!("the read database at {points} refuses the connection: check user and password");
        return PortError::operator(message).caused_by(error);
    }
    PortError::not_done(format!("cannot reach the read database at {points}")).caused_by(error)
}

/// A keyspace that cannot be used.
pub(crate) fn entering(keyspace: &str, error: UseKeyspaceError) -> PortError {
    match error {
        UseKeyspaceError::RequestError(RequestAttemptError::DbError(DbError::Invalid, reason)) => {
            PortError::operator(format!("keyspace {keyspace} is not there ({reason}): run `diptych migrate`"))
        }
        UseKeyspaceError::RequestError(ref refused) if attempt(refused) == Remedy::Operator => {
            PortError::operator(format!("the read database refuses keyspace {keyspace}")).caused_by(error)
        }
        error => PortError::not_done(format!("cannot use keyspace {keyspace}")).caused_by(error),
    }
}

/// A stored value that this program would never have written.
pub(crate) fn garbled(what: impl Display) -> PortError {
    PortError::operator(format!("the read database holds {what}: it was changed from outside or is damaged"))
}

/// Nothing was sent before these, not even by an earlier attempt.
fn was_never_sent(error: &ExecutionError) -> bool {
    matches!(error, ExecutionError::BadQuery(_) | ExecutionError::EmptyPlan | ExecutionError::PrepareError(_))
}

/// Whether the server takes the write timestamp for one in the future; see `timestamp`.
fn is_too_late(error: &ExecutionError) -> bool {
    let ExecutionError::LastAttemptError(RequestAttemptError::DbError(DbError::Invalid, reason)) = error else {
        return false;
    };
    reason.contains(TOO_LATE)
}

fn remedy(error: &ExecutionError) -> Remedy {
    match error {
        ExecutionError::BadQuery(_) => Remedy::Operator,
        ExecutionError::PrepareError(PrepareError::AllAttemptsFailed { first_attempt: error })
        | ExecutionError::LastAttemptError(error) => attempt(error),
        ExecutionError::PrepareError(PrepareError::ConnectionPoolError(error))
        | ExecutionError::ConnectionPoolError(error) => pool(error),
        // Time, place and agreement: they come and go.
        _ => Remedy::Retry,
    }
}

fn attempt(error: &RequestAttemptError) -> Remedy {
    match error {
        RequestAttemptError::SerializationError(_) | RequestAttemptError::CqlRequestSerialization(_) => {
            Remedy::Operator
        }
        RequestAttemptError::DbError(error, _) => refusal(error),
        _ => Remedy::Retry,
    }
}

fn pool(error: &ConnectionPoolError) -> Remedy {
    match error {
        ConnectionPoolError::Broken { last_connection_error: ConnectionError::ConnectionSetupRequestError(error) } => {
            match error.get_error() {
                ConnectionSetupRequestErrorKind::DbError(error, _) => refusal(error),
                ConnectionSetupRequestErrorKind::MissingAuthentication
                | ConnectionSetupRequestErrorKind::StartAuthSessionError(_)
                | ConnectionSetupRequestErrorKind::AuthChallengeEvaluationError(_)
                | ConnectionSetupRequestErrorKind::AuthFinishError(_) => Remedy::Operator,
                _ => Remedy::Retry,
            }
        }
        _ => Remedy::Retry,
    }
}

/// Whether the same statement gets the same answer for ever: the schema, the rights or the statement itself is wrong.
fn refusal(error: &DbError) -> Remedy {
    match error {
        DbError::SyntaxError
        | DbError::Invalid
        | DbError::AlreadyExists { .. }
        | DbError::FunctionFailure { .. }
        | DbError::AuthenticationError
        | DbError::Unauthorized
        | DbError::ConfigError
        | DbError::ProtocolError => Remedy::Operator,
        _ => Remedy::Retry,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use diptych_kernel::ports::Effect;
    use scylla::errors::WriteType;

    use super::*;

    fn answer(error: DbError) -> ExecutionError {
        ExecutionError::LastAttemptError(RequestAttemptError::DbError(error, "reason".into()))
    }

    fn write_timeout() -> DbError {
        DbError::WriteTimeout {
            consistency: scylla::statement::Consistency::LocalQuorum,
            received: 1,
            required: 2,
            write_type: WriteType::Simple,
        }
    }

    #[test]
    fn a_write_that_took_too_long_may_have_happened() {
        for error in [
            answer(write_timeout()),
            answer(DbError::Overloaded),
            ExecutionError::RequestTimeout(Duration::from_secs(1)),
            ExecutionError::ConnectionPoolError(ConnectionPoolError::Initializing),
        ] {
            let error = writing("writing", error);
            assert_eq!((error.effect(), error.remedy()), (Effect::Unknown, Remedy::Retry), "{error}");
        }
        let error = writing("writing", ExecutionError::EmptyPlan);
        assert_eq!((error.effect(), error.remedy()), (Effect::None, Remedy::Retry));
    }

    #[test]
    fn a_read_has_no_effect() {
        let error = reading("reading", ExecutionError::RequestTimeout(Duration::from_secs(1)));
        assert_eq!((error.effect(), error.remedy()), (Effect::None, Remedy::Retry));
    }

    #[test]
    fn what_stays_wrong_is_for_the_operator() {
        for error in [DbError::Invalid, DbError::SyntaxError, DbError::Unauthorized, DbError::AuthenticationError] {
            assert_eq!(reading("reading", answer(error.clone())).remedy(), Remedy::Operator);
            assert_eq!(writing("writing", answer(error.clone())).remedy(), Remedy::Operator);
            let first_attempt = RequestAttemptError::DbError(error, "reason".into());
            assert_eq!(preparing(PrepareError::AllAttemptsFailed { first_attempt }).remedy(), Remedy::Operator);
        }
    }

    /// The words are ScyllaDB's; Cassandra, which the tests have, takes every timestamp.
    #[test]
    fn a_position_that_looks_like_the_future_tells_what_to_do() {
        let said = "Cannot provide a timestamp more than 3 days into the future. If this was not intended, make sure the timestamp is in \
                    microseconds";
        let refused = RequestAttemptError::DbError(DbError::Invalid, said.into());
        let error = writing("writing a row in table a.b", ExecutionError::LastAttemptError(refused));
        assert_eq!((error.effect(), error.remedy()), (Effect::None, Remedy::Operator));
        for part in ["a.b", "2^62", "restrict_future_timestamp: false", said] {
            assert!(error.to_string().contains(part), "{part:?} is not in: {error}");
        }
    }

    #[test]
    fn a_keyspace_that_is_not_there_tells_what_to_do() {
        let error = RequestAttemptError::DbError(DbError::Invalid, "Keyspace 'x' does not exist".into());
        let error = entering("x", UseKeyspaceError::RequestError(error));
        assert_eq!(error.remedy(), Remedy::Operator);
        assert!(error.to_string().contains("diptych migrate"), "{error}");
    }
}
