//! Maps errors of the CQL driver to errors of a port.

use std::fmt::Display;

use diptych_kernel::ports::{PortError, Remedy};
use scylla::errors::{
    ConnectionError, ConnectionPoolError, ConnectionSetupRequestErrorKind, DbError, ExecutionError, MetadataError,
    NewSessionError, PrepareError, RequestAttemptError, UseKeyspaceError,
};

use crate::config::ScyllaConfig;

/// The error of a failed read, or of a failed statement that can be repeated without harm.
pub(crate) fn read_error(what: impl Display, error: ExecutionError) -> PortError {
    match remedy(&error) {
        Remedy::Retry => PortError::not_done(format!("{what} failed")).caused_by(error),
        Remedy::Operator => PortError::operator(format!("the read database refuses {what}")).caused_by(error),
    }
}

/// A part of ScyllaDB's message for a write timestamp that it refuses.
const FUTURE_TIMESTAMP: &str = "days into the future";

/// The error of a failed write. The driver retries on other nodes and reports only the last error, so a write that was
/// sent may have happened.
pub(crate) fn write_error(what: impl Display, error: ExecutionError) -> PortError {
    match (remedy(&error), was_never_sent(&error)) {
        (Remedy::Operator, _) if is_future_timestamp(&error) => PortError::operator(format!(
            "the read database refuses {what}: it takes a position from 2^62 on for a time in the future: set \
             restrict_future_timestamp: false in scylla.yaml of every node"
        ))
        .caused_by(error),
        (Remedy::Operator, _) => PortError::operator(format!("the read database refuses {what}")).caused_by(error),
        (Remedy::Retry, true) => PortError::not_done(format!("{what} failed")).caused_by(error),
        (Remedy::Retry, false) => PortError::unknown(format!("{what} was interrupted")).caused_by(error),
    }
}

/// The error of a statement that could not be prepared.
pub(crate) fn prepare_error(error: PrepareError) -> PortError {
    read_error("preparing a statement", ExecutionError::PrepareError(error))
}

/// The error of a session that could not be opened.
pub(crate) fn connect_error(config: &ScyllaConfig, error: NewSessionError) -> PortError {
    let is_refused = match &error {
        NewSessionError::EmptyKnownNodesList | NewSessionError::IllegalConfig(_) => true,
        NewSessionError::MetadataError(MetadataError::ConnectionPoolError(error)) => {
            pool_remedy(error) == Remedy::Operator
        }
        _ => false,
    };
    let target = target(config);
    if is_refused {
        let message = format!("{target} refuses the connection: check scylla.user and scylla.password");
        return PortError::operator(message).caused_by(error);
    }
    PortError::not_done(format!("cannot connect to {target}")).caused_by(error)
}

/// The error of a keyspace that cannot be selected.
pub(crate) fn keyspace_error(config: &ScyllaConfig, error: UseKeyspaceError) -> PortError {
    let target = target(config);
    match error {
        UseKeyspaceError::RequestError(RequestAttemptError::DbError(DbError::Invalid, reason)) => {
            PortError::operator(format!(
                "cannot use {target}: the keyspace does not exist ({reason}): run `diptych migrate`, which creates it"
            ))
        }
        UseKeyspaceError::RequestError(ref refused) if attempt_remedy(refused) == Remedy::Operator => {
            PortError::operator(format!("cannot use {target}: the server refuses the keyspace")).caused_by(error)
        }
        error => PortError::not_done(format!("cannot use {target}")).caused_by(error),
    }
}

/// Names addresses and keyspace, and the settings that they come from.
fn target(config: &ScyllaConfig) -> String {
    let points = config.contact_points.join(", ");
    format!("ScyllaDB at {points} (setting scylla.contact_points, keyspace {})", config.keyspace)
}

/// The error for a stored value that this program does not write.
pub(crate) fn corrupt_data(what: impl Display) -> PortError {
    PortError::operator(format!("the read database holds {what}: it was changed by another program or is damaged"))
}

/// Returns whether the statement was not sent, not even by an earlier attempt.
fn was_never_sent(error: &ExecutionError) -> bool {
    matches!(error, ExecutionError::BadQuery(_) | ExecutionError::EmptyPlan | ExecutionError::PrepareError(_))
}

/// Returns whether the server refuses the write timestamp as one in the future; see `timestamp`.
fn is_future_timestamp(error: &ExecutionError) -> bool {
    let ExecutionError::LastAttemptError(RequestAttemptError::DbError(DbError::Invalid, reason)) = error else {
        return false;
    };
    reason.contains(FUTURE_TIMESTAMP)
}

fn remedy(error: &ExecutionError) -> Remedy {
    match error {
        ExecutionError::BadQuery(_) => Remedy::Operator,
        ExecutionError::PrepareError(PrepareError::AllAttemptsFailed { first_attempt: error })
        | ExecutionError::LastAttemptError(error) => attempt_remedy(error),
        ExecutionError::PrepareError(PrepareError::ConnectionPoolError(error))
        | ExecutionError::ConnectionPoolError(error) => pool_remedy(error),
        // Timeouts, unavailable nodes and schema disagreement are temporary.
        _ => Remedy::Retry,
    }
}

fn attempt_remedy(error: &RequestAttemptError) -> Remedy {
    match error {
        RequestAttemptError::SerializationError(_) | RequestAttemptError::CqlRequestSerialization(_) => {
            Remedy::Operator
        }
        RequestAttemptError::DbError(error, _) => db_error_remedy(error),
        _ => Remedy::Retry,
    }
}

fn pool_remedy(error: &ConnectionPoolError) -> Remedy {
    match error {
        ConnectionPoolError::Broken { last_connection_error: ConnectionError::ConnectionSetupRequestError(error) } => {
            match error.get_error() {
                ConnectionSetupRequestErrorKind::DbError(error, _) => db_error_remedy(error),
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

/// Returns `Operator` for errors that a retry does not mend: the schema, the permissions or the statement are wrong.
fn db_error_remedy(error: &DbError) -> Remedy {
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
    fn a_write_that_timed_out_may_have_happened() {
        for error in [
            answer(write_timeout()),
            answer(DbError::Overloaded),
            ExecutionError::RequestTimeout(Duration::from_secs(1)),
            ExecutionError::ConnectionPoolError(ConnectionPoolError::Initializing),
        ] {
            let error = write_error("writing", error);
            assert_eq!((error.effect(), error.remedy()), (Effect::Unknown, Remedy::Retry), "{error}");
        }
        let error = write_error("writing", ExecutionError::EmptyPlan);
        assert_eq!((error.effect(), error.remedy()), (Effect::None, Remedy::Retry));
    }

    #[test]
    fn a_read_has_no_effect() {
        let error = read_error("reading", ExecutionError::RequestTimeout(Duration::from_secs(1)));
        assert_eq!((error.effect(), error.remedy()), (Effect::None, Remedy::Retry));
    }

    #[test]
    fn permanent_errors_are_for_the_operator() {
        for error in [DbError::Invalid, DbError::SyntaxError, DbError::Unauthorized, DbError::AuthenticationError] {
            assert_eq!(read_error("reading", answer(error.clone())).remedy(), Remedy::Operator);
            assert_eq!(write_error("writing", answer(error.clone())).remedy(), Remedy::Operator);
            let first_attempt = RequestAttemptError::DbError(error, "reason".into());
            assert_eq!(prepare_error(PrepareError::AllAttemptsFailed { first_attempt }).remedy(), Remedy::Operator);
        }
    }

    /// The message is ScyllaDB's; Cassandra, which the tests run against, accepts every timestamp.
    #[test]
    fn a_refused_future_timestamp_names_the_remedy() {
        let message = "Cannot provide a timestamp more than 3 days into the future. If this was not intended, make sure \
                       the timestamp is in microseconds";
        let refused = RequestAttemptError::DbError(DbError::Invalid, message.into());
        let error = write_error("writing a row in table a.b", ExecutionError::LastAttemptError(refused));
        assert_eq!((error.effect(), error.remedy()), (Effect::None, Remedy::Operator));
        for part in ["a.b", "2^62", "restrict_future_timestamp: false", message] {
            assert!(error.to_string().contains(part), "{part:?} is not in: {error}");
        }
    }

    #[test]
    fn a_missing_keyspace_names_the_address_and_the_remedy() {
        let error = RequestAttemptError::DbError(DbError::Invalid, "Keyspace 'x' does not exist".into());
        let config = ScyllaConfig::new(vec!["one:9042".into(), "two:9042".into()], "x");
        let error = keyspace_error(&config, UseKeyspaceError::RequestError(error));
        assert_eq!(error.remedy(), Remedy::Operator);
        for part in ["one:9042, two:9042", "scylla.contact_points", "keyspace x", "run `diptych migrate`"] {
            assert!(error.to_string().contains(part), "{part:?} is not in: {error}");
        }
    }
}
