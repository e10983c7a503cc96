//! Metrics of the write database.

use std::time::Duration;

use metrics::{Counter, Gauge, Unit, counter, describe_counter, describe_gauge, gauge};
use parking_lot::Mutex;

use crate::events::OldestWriter;

const CLOCK_DIFFERENCE: &str = "diptych_postgres_clock_difference_seconds";
const RETENTION_LAG: &str = "diptych_postgres_request_id_retention_lag_seconds";
const FORGETTING_REFUSED: &str = "diptych_postgres_request_forgetting_refused_total";

const HELD_BACK_AGE: &str = "diptych_postgres_held_back_age_seconds";
const OLDEST_WRITER_AGE: &str = "diptych_postgres_oldest_writer_age_seconds";

/// Metric handles of the horizon of readers.
pub(crate) struct HorizonMetrics {
    held_back_age: Gauge,
    /// The gauge of the transaction that was named last.
    writer_age: Mutex<Option<Gauge>>,
}

impl HorizonMetrics {
    pub(crate) fn new() -> Self {
        describe_gauge!(
            HELD_BACK_AGE,
            Unit::Seconds,
            "Age of the oldest committed event that the relay does not get yet, as an older transaction that has \
             written is still open, in seconds; 0 if none"
        );
        describe_gauge!(
            OLDEST_WRITER_AGE,
            Unit::Seconds,
            "Age of the open transaction that holds the relay back for more than a second, in seconds, by pid, \
             database and application_name; 0 once it does not"
        );
        Self { held_back_age: gauge!(HELD_BACK_AGE), writer_age: Mutex::default() }
    }

    /// Sets the age of the oldest event that is held back, 0 if there is none.
    pub(crate) fn held_back(&self, age_seconds: f64) {
        self.held_back_age.set(age_seconds);
        if age_seconds <= 0.0 {
            self.clear_writer();
        }
    }

    /// Names the transaction that holds readers back.
    pub(crate) fn writer(&self, writer: &OldestWriter) {
        self.clear_writer();
        let session = writer.pid.map(|pid| pid.to_string()).or_else(|| writer.prepared_as.clone());
        let gauge = gauge!(
            OLDEST_WRITER_AGE,
            "pid" => session.unwrap_or_default(),
            "database" => writer.database.clone().unwrap_or_default(),
            "application_name" => writer.application_name.clone().unwrap_or_default()
        );
        gauge.set(writer.age_seconds.unwrap_or_default());
        *self.writer_age.lock() = Some(gauge);
    }

    fn clear_writer(&self) {
        if let Some(gauge) = self.writer_age.lock().take() {
            gauge.set(0.0);
        }
    }
}

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
