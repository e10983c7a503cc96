//! Settings that apply to every cached item.

use std::time::Duration;

use crate::config::MemcachedConfig;

/// Times to live and limits of items, in the units of the protocol.
#[derive(Clone, Copy, Debug)]
pub(super) struct ItemSettings {
    pub(super) ttl_s: u32,
    pub(super) lease_ttl_s: u32,
    pub(super) value_bytes_max: usize,
    pub(super) refresh_puts_absent: bool,
}

impl ItemSettings {
    pub(super) fn new(config: &MemcachedConfig) -> Self {
        Self {
            ttl_s: whole_seconds(config.ttl),
            // The clock of a server ticks once a second, so an item with a time to live of n seconds lives for n - 1 to
            // n.
            lease_ttl_s: whole_seconds(config.lease_ttl).saturating_add(1),
            value_bytes_max: config.value_bytes_max,
            refresh_puts_absent: config.refresh_puts_absent,
        }
    }
}

/// Whole seconds, rounded up.
fn whole_seconds(time: Duration) -> u32 {
    let started = u64::from(time.subsec_nanos() > 0);
    u32::try_from(time.as_secs().saturating_add(started)).unwrap_or(u32::MAX)
}
