//! Metrics of the write database.

use std::time::Duration;

use metrics::{Counter, Gauge, Unit, counter, describe_counter, describe_gauge, gauge};

const CLOCK_DIFFERENCE: &str = "diptych_postgres_clock_difference_seconds";
const RETENTION_LAG: &str = "diptych_postgres_request_id_retention_lag_seconds";
const FORGETTING_REFUSED: &str = "diptych_postgres_request_forgetting_refused_total";

/// Metric handles of the retention of request ids.
pub(crate) struct RetentionMetrics {
    clock_difference: Gauge,
    retention_lag: Gauge,
    refused: Counter,
}

impl RetentionMetrics {
    pub(crate) fn new() -> Self {
        describe_gauge!(
            CLOCK_DIFFERENCE,
            Unit::Seconds,
            "Time by which the clock of this machine is ahead of that of the database server, in seconds; negative if \
             it is behind. Measured every ten minutes by command services"
        );
        describe_gauge!(
            RETENTION_LAG,
            Unit::Seconds,
            "Time by which request ids are kept longer, as no process ran or the clock of the database server was set \
             ahead, in seconds"
        );
        describe_counter!(
            FORGETTING_REFUSED,
            "Runs that forgot no request ids, as far more than usual would have been forgotten"
        );
        Self {
            clock_difference: gauge!(CLOCK_DIFFERENCE),
            retention_lag: gauge!(RETENTION_LAG),
            refused: counter!(FORGETTING_REFUSED),
        }
    }

    pub(crate) fn difference(&self, seconds: f64) {
        self.clock_difference.set(seconds);
    }

    pub(crate) fn lag(&self, lag: Duration) {
        self.retention_lag.set(lag.as_secs_f64());
    }

    pub(crate) fn refused(&self) {
        self.refused.increment(1);
    }
}
