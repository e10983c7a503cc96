//! Latencies, failures and duration of calls.

use std::{collections::BTreeMap, time::Duration};

use hdrhistogram::Histogram;

/// The largest latency of the histogram, one minute; larger ones are recorded as this.
const LATENCY_MICROS_MAX: u64 = 60_000_000;
/// The precision of the histogram.
const SIGNIFICANT_DIGITS: u8 = 3;

/// The measurement of calls of one kind: latencies of those that succeeded, and reasons of those that failed.
#[derive(Clone, Debug)]
pub(crate) struct Measurement {
    latency_micros: Histogram<u64>,
    failures: BTreeMap<String, u64>,
    elapsed: Duration,
}

impl Measurement {
    /// Creates an empty measurement.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let latency_micros = Histogram::new_with_bounds(1, LATENCY_MICROS_MAX, SIGNIFICANT_DIGITS)?;
        Ok(Self { latency_micros, failures: BTreeMap::new(), elapsed: Duration::ZERO })
    }

    /// Records a call that succeeded.
    pub(crate) fn record_success(&mut self, latency: Duration) {
        self.latency_micros.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX).max(1));
    }

    /// Records a call that failed.
    pub(crate) fn record_failure(&mut self, reason: impl Into<String>) {
        *self.failures.entry(reason.into()).or_default() += 1;
    }

    /// Adds to the time during which calls were made.
    pub(crate) fn add_elapsed(&mut self, elapsed: Duration) {
        self.elapsed += elapsed;
    }

    /// Adds another measurement of calls of the same kind that ran at another time.
    ///
    /// # Errors
    /// None in practice: all histograms have the same bounds.
    pub(crate) fn merge(&mut self, other: &Self) -> anyhow::Result<()> {
        self.latency_micros.add(&other.latency_micros)?;
        self.elapsed += other.elapsed;
        for (reason, count) in &other.failures {
            *self.failures.entry(reason.clone()).or_default() += count;
        }
        Ok(())
    }

    /// The number of calls that succeeded.
    pub(crate) fn success_count(&self) -> u64 {
        self.latency_micros.len()
    }

    /// The number of failed calls by reason.
    pub(crate) fn failures(&self) -> &BTreeMap<String, u64> {
        &self.failures
    }

    /// The number of calls that failed.
    pub(crate) fn failure_count(&self) -> u64 {
        self.failures.values().sum()
    }

    /// The time during which calls were made.
    pub(crate) fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// Successful calls per second; 0 if no time was measured.
    pub(crate) fn success_rate(&self) -> f64 {
        let seconds = self.elapsed.as_secs_f64();
        #[allow(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
        let count = self.success_count() as f64;
        if seconds > 0.0 { count / seconds } else { 0.0 }
    }

    /// The latency in milliseconds that `percent` of the successful calls do not exceed; 0 if no call succeeded.
    pub(crate) fn percentile_ms(&self, percent: f64) -> f64 {
        // A latency is at most a minute, so its microseconds fit into 32 bits.
        f64::from(u32::try_from(self.latency_micros.value_at_quantile(percent / 100.0)).unwrap_or(u32::MAX)) / 1_000.0
    }
}
