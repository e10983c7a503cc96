//! Wakes tasks that wait for events.
//!
//! Each handle wakes its own waiting tasks at once after its appends, and those of other handles by a notification
//! (`NOTIFY`) on a separate connection after the commit. A notification inside the appending transaction would make all
//! appends of the server queue up for one lock. Notifications only save time: a handle that misses one finds the events
//! by polling.

mod auxiliary;
mod listener;
mod notifier;
mod tail;
mod wait;

pub(crate) use wait::AppendNotifications;
