//! The limit of commands by stream in a build without adapters for servers: there is none.

use std::time::Duration;

use super::load::WrittenEvents;
use crate::bench::measurement::Measurement;

/// Cannot exist: the bare INSERT needs the adapter of the write database.
pub(super) enum InsertLimit {}

impl InsertLimit {
    pub(super) async fn server_version(&self) -> anyhow::Result<String> {
        match *self {}
    }

    pub(super) async fn prepare(&mut self, _written: &WrittenEvents, _connections: usize) -> anyhow::Result<()> {
        match *self {}
    }

    pub(super) async fn insert(&mut self, _duration: Duration) -> anyhow::Result<Measurement> {
        match *self {}
    }

    pub(super) fn events_per_batch(&self) -> usize {
        match *self {}
    }

    pub(super) async fn close(self) -> anyhow::Result<()> {
        match self {}
    }
}

/// The reason of a figure that is not compared because the INSERT could not be prepared.
pub(super) fn unprepared_reason(error: &anyhow::Error) -> String {
    format!("none: {error:#}")
}

/// The reason why a report has no such limit.
pub(super) fn missing_reason() -> String {
    "none: this build has no adapters for servers".to_owned()
}
