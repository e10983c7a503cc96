//! The system clock.

use std::{
    sync::LazyLock,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use diptych_kernel::{Clock, Timestamp};
use tokio::time::Instant;

/// The system clock. A time before 1970 reads as 1970.
pub(crate) struct SystemClock;

/// Start of the monotonic time.
static FIRST_CALL: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_micros(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
    }

    fn monotonic(&self) -> Duration {
        FIRST_CALL.elapsed()
    }
}
