//! Index of the queue: what this process knows of the commands that have no outcome yet.

use std::{
    collections::HashMap,
    hash::BuildHasher,
    sync::atomic::{AtomicU64, Ordering},
};

use diptych_kernel::{
    Fingerprint, RequestId, StreamId,
    ports::{Offset, QueuedCommand},
};
use metrics::{Gauge, Unit, describe_gauge, gauge};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::metrics::as_f64;

const QUEUED: &str = "diptych_command_queued";
const QUEUED_BYTES: &str = "diptych_command_queued_bytes";

pub(super) fn describe_metrics() {
    describe_gauge!(QUEUED, Unit::Count, "Commands in the queue that have no outcome yet, as this process knows");
    describe_gauge!(QUEUED_BYTES, Unit::Bytes, "Size of the commands in the queue that have no outcome yet, in bytes");
}

/// Where a request is queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueuedRequest {
    pub(super) offset: Offset,
    /// The first bytes of the fingerprint: enough to tell another content from the same.
    fingerprint: [u8; 8],
}

impl QueuedRequest {
    /// Returns whether a command with this fingerprint is the one that is queued.
    pub(super) fn is_same(&self, fingerprint: &Fingerprint) -> bool {
        self.fingerprint == start_of(fingerprint)
    }
}

/// The last record of a stream, and whether another process queued one.
#[derive(Clone, Copy, Debug)]
struct QueuedStream {
    last: Offset,
    has_foreign: bool,
}

/// What a stream has in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StreamQueue {
    /// Nothing without an outcome.
    Empty,
    /// Commands of this process only.
    Own,
    /// Commands of other processes too.
    Foreign,
}

/// Commands without an outcome, by request id and by stream. Streams are kept by their hash: where two have the same,
/// the commands of one wait for those of the other.
#[derive(Debug)]
pub(crate) struct QueueIndex {
    known: Mutex<Known>,
    /// The offset of the next record that this process has not read.
    read_before: watch::Sender<Offset>,
    /// Number of commands without an outcome; read before the lock is taken.
    commands: AtomicU64,
    queued: Gauge,
    queued_bytes: Gauge,
}

#[derive(Debug, Default)]
struct Known {
    requests: HashMap<RequestId, QueuedRequest>,
    streams: HashMap<u64, QueuedStream>,
    hasher: std::hash::RandomState,
    done_before: Offset,
    /// The offset before which commands with an outcome were removed from the maps.
    removed_before: Offset,
    /// The last offset that was added.
    last: Offset,
    /// Size of the commands from `done_before` on. The sizes of single commands are not kept, so it is that of the
    /// average command times their number.
    bytes: u64,
}

impl QueueIndex {
    /// An index of a queue of which everything before this offset has its outcome.
    pub(crate) fn new(done_before: Offset) -> Self {
        let known = Known { done_before, removed_before: done_before, ..Known::default() };
        Self {
            known: Mutex::new(known),
            read_before: watch::Sender::new(done_before),
            commands: AtomicU64::new(0),
            queued: gauge!(QUEUED),
            queued_bytes: gauge!(QUEUED_BYTES),
        }
    }

    /// Adds a record, if it is not known yet.
    pub(super) fn add(&self, offset: Offset, command: &QueuedCommand, is_own: bool) {
        let mut known = self.known.lock();
        if offset < known.done_before {
            return;
        }
        known.last = known.last.max(offset);
        let fingerprint = start_of(&command.fingerprint);
        let first = *known.requests.entry(command.request_id).or_insert(QueuedRequest { offset, fingerprint });
        if first.offset == offset {
            known.bytes += bytes_of(command);
        }
        for stream in &command.streams {
            let hash = known.hasher.hash_one(stream);
            let queued = known.streams.entry(hash).or_insert(QueuedStream { last: offset, has_foreign: false });
            queued.last = queued.last.max(offset);
            queued.has_foreign |= !is_own;
        }
        self.report(&known);
        drop(known);
        self.read_before.send_modify(|_| {});
    }

    /// Notes that everything before an offset was read.
    pub(super) fn read(&self, before: Offset) {
        self.read_before.send_if_modified(|read| {
            let is_later = before > *read;
            *read = before.max(*read);
            is_later
        });
    }

    /// Waits until everything up to an offset was read.
    pub(super) async fn wait_until_read(&self, offset: Offset) {
        // The sender lives as long as the index.
        let _ = self.read_before.subscribe().wait_for(|read| *read > offset).await;
    }

    /// Notes that everything before an offset has its outcome. What has is removed when it is much, as each removal
    /// looks at everything.
    pub(super) fn done(&self, before: Offset) {
        let mut known = self.known.lock();
        if before <= known.done_before {
            return;
        }
        known.done_before = before;
        let done = usize::try_from(before.0 - known.removed_before.0).unwrap_or(usize::MAX);
        if before > known.last || done >= known.requests.len() / 2 {
            known.remove_done();
            self.report(&known);
        }
    }

    /// The offset before which everything has its outcome.
    pub(super) fn done_before(&self) -> Offset {
        self.known.lock().done_before
    }

    /// Number and size of the commands without an outcome, and of some that have one since shortly.
    pub(super) fn size(&self) -> (u64, u64) {
        let known = self.known.lock();
        (known.requests.len() as u64, known.bytes)
    }

    /// Returns whether no command is without an outcome. Takes no lock.
    pub(crate) fn is_empty(&self) -> bool {
        self.commands.load(Ordering::Acquire) == 0
    }

    /// Waits until a command is without an outcome.
    pub(super) async fn until_not_empty(&self) {
        let mut read_before = self.read_before.subscribe();
        // The sender lives as long as the index, and is changed by each new record, after the number of commands.
        while self.is_empty() && read_before.changed().await.is_ok() {}
    }

    /// Where a request is queued, if it has no outcome yet.
    pub(super) fn request(&self, request_id: RequestId) -> Option<QueuedRequest> {
        if self.is_empty() {
            return None;
        }
        let known = self.known.lock();
        known.requests.get(&request_id).copied().filter(|request| request.offset >= known.done_before)
    }

    /// What a stream has in the queue.
    pub(crate) fn stream(&self, stream_id: &StreamId) -> StreamQueue {
        if self.is_empty() {
            return StreamQueue::Empty;
        }
        let known = self.known.lock();
        match known.streams.get(&known.hasher.hash_one(stream_id)) {
            Some(queued) if queued.last < known.done_before => StreamQueue::Empty,
            Some(QueuedStream { has_foreign: true, .. }) => StreamQueue::Foreign,
            Some(_) => StreamQueue::Own,
            None => StreamQueue::Empty,
        }
    }

    fn report(&self, known: &Known) {
        self.commands.store(known.requests.len() as u64, Ordering::Release);
        self.queued.set(as_f64(known.requests.len()));
        self.queued_bytes.set(as_f64(usize::try_from(known.bytes).unwrap_or(usize::MAX)));
    }
}

impl Known {
    fn remove_done(&mut self) {
        let (before, count_before) = (self.done_before, self.requests.len().max(1) as u64);
        self.requests.retain(|_, request| request.offset >= before);
        self.streams.retain(|_, stream| stream.last >= before);
        self.removed_before = before;
        let share = u128::from(self.bytes) * self.requests.len() as u128 / u128::from(count_before);
        self.bytes = u64::try_from(share).unwrap_or(u64::MAX);
    }
}

/// The size of a command in the queue, in bytes.
pub(super) fn bytes_of(command: &QueuedCommand) -> u64 {
    let streams: usize = command.streams.iter().map(|stream| stream.as_str().len()).sum();
    (command.payload.len() + command.command_type.len() + streams + FIXED_BYTES) as u64
}

/// Size of ids, versions and times.
const FIXED_BYTES: usize = 128;

fn start_of(fingerprint: &Fingerprint) -> [u8; 8] {
    let mut start = [0; 8];
    start.iter_mut().zip(fingerprint.as_bytes()).for_each(|(to, from)| *to = *from);
    start
}
