//! Query services that read tables of views.

use std::{collections::BTreeMap, time::Duration};

use diptych_kernel::{domain::ViewId, ports::TableReader};
use parking_lot::Mutex;

/// The readers of the tables of a database, each until its time to live has passed. They are kept in memory, as query
/// services and projectors on an embedded database are in the process that has locked its folder.
#[derive(Default)]
pub(crate) struct Readers(Mutex<BTreeMap<TableReader, Duration>>);

impl Readers {
    /// Adds a reader until a monotonic time.
    pub(super) fn add(&self, instance: &str, views: &[ViewId], expires_at: Duration) {
        self.0.lock().extend(of_views(instance, views).map(|reader| (reader, expires_at)));
    }

    pub(super) fn remove(&self, instance: &str, views: &[ViewId]) {
        let mut readers = self.0.lock();
        for reader in of_views(instance, views) {
            readers.remove(&reader);
        }
    }

    /// Returns the readers that expire after a monotonic time, and forgets the others.
    pub(super) fn unexpired(&self, now: Duration) -> Vec<TableReader> {
        let mut readers = self.0.lock();
        readers.retain(|_, expires_at| now < *expires_at);
        readers.keys().cloned().collect()
    }
}

fn of_views(instance: &str, views: &[ViewId]) -> impl Iterator<Item = TableReader> {
    views.iter().map(move |view| TableReader { table: view.to_string(), instance: instance.to_owned() })
}
