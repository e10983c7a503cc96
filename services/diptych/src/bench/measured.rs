//! What was measured.

use std::{collections::BTreeMap, time::Duration};

use hdrhistogram::Histogram;

/// Latencies are kept up to a minute, to three digits.
const LATENCY_MICROS_MAX: u64 = 60_000_000;
const DIGITS: u8 = 3;

/// Calls of one kind: how long they took, and why some failed.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    latency_micros: Histogram<u64>,
    failures: BTreeMap<String, u64>,
    elapsed: Duration,
}

impl Measured {
    /// Nothing yet.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let latency_micros = Histogram::new_with_bounds(1, LATENCY_MICROS_MAX, DIGITS)?;
        Ok(Self { latency_micros, failures: BTreeMap::new(), elapsed: Duration::ZERO })
    }

    /// A call that was answered.
    pub(crate) fn answered(&mut self, latency: Duration) {
        // What takes more than a minute counts as a minute.
        self.latency_micros.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX).max(1));
    }

    /// A call that failed, with its reason.
    pub(crate) fn failed(&mut self, reason: impl Into<String>) {
        *self.failures.entry(reason.into()).or_default() += 1;
    }

    /// For how long it was measured: that much more.
    pub(crate) fn lasted(&mut self, elapsed: Duration) {
        self.elapsed += elapsed;
    }

    /// Takes in another measurement of the same kind.
    ///
    /// # Errors
    /// None in practice: all histograms have the same bounds.
    pub(crate) fn absorb(&mut self, other: &Self) -> anyhow::Result<()> {
        self.latency_micros.add(&other.latency_micros)?;
        self.elapsed += other.elapsed;
        for (reason, count) in &other.failures {
            *self.failures.entry(reason.clone()).or_default() += count;
        }
        Ok(())
    }

    /// How many calls were answered.
    pub(crate) fn count(&self) -> u64 {
        self.latency_micros.len()
    }

    /// Why calls failed, and how many.
    pub(crate) fn failures(&self) -> &BTreeMap<String, u64> {
        &self.failures
    }

    /// For how long it was measured.
    pub(crate) fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// The latency in milliseconds that `percent` of the calls do not exceed; 0 where there was none.
    pub(crate) fn percentile_ms(&self, percent: f64) -> f64 {
        // A latency is at most a minute, so its microseconds fit into 32 bits.
        f64::from(u32::try_from(self.latency_micros.value_at_quantile(percent / 100.0)).unwrap_or(u32::MAX)) / 1_000.0
    }
}
