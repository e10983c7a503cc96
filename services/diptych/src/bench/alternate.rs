//! Two measurements in turns.

use std::time::Duration;

use super::measurement::Measurement;

/// The turns of two measurements that alternate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turns {
    /// Turns of each of the two.
    pub(super) count: u32,
    /// Duration of one turn.
    pub(super) duration: Duration,
}

impl Turns {
    /// Splits the duration of each of the two measurements into this number of turns.
    pub(super) fn split(duration: Duration, count: u32) -> Self {
        Self { count, duration: duration / count.max(1) }
    }

    /// Runs both measurements in turns, so that other load on the machine affects both.
    ///
    /// # Errors
    /// The first error of either.
    pub(super) async fn run(
        self,
        mut first: impl AsyncFnMut(Duration) -> anyhow::Result<Measurement>,
        mut second: impl AsyncFnMut(Duration) -> anyhow::Result<Measurement>,
    ) -> anyhow::Result<(Measurement, Measurement)> {
        let (mut firsts, mut seconds) = (Measurement::new()?, Measurement::new()?);
        for _ in 0..self.count {
            firsts.merge(&first(self.duration).await?)?;
            seconds.merge(&second(self.duration).await?)?;
        }
        Ok((firsts, seconds))
    }
}
