//! What a domain is: pure functions over its own types. Nothing here does I/O, so a rule runs in microseconds and is tested
//! given/when/then, and a new domain is one crate.

mod view;

use std::{fmt, sync::Arc};

use bytes::Bytes;

use crate::vocabulary::StreamId;
pub use view::{DecodedEvent, FoldError, RowKey, Scope, View, ViewId};

/// How many streams one command may touch. More would make one command wait for many.
pub const STREAMS_PER_COMMAND_MAX: usize = 16;

/// How many events one command may cause.
pub const EVENTS_PER_COMMAND_MAX: usize = 1_024;

/// A domain: its commands, the events that they become, the state that decisions are made on, and the refusals.
///
/// All functions are pure and total: the same arguments give the same result, and nothing panics on any value.
pub trait Domain: Send + Sync + Sized + 'static {
    /// What a caller asks for, already checked for form.
    type Command: Send + Sync + 'static;
    /// What happened. Stored for ever.
    type Event: Clone + PartialEq + fmt::Debug + Send + Sync + 'static;
    /// What decisions about one stream need to know. The default is the state of a stream without events.
    type State: Clone + Default + PartialEq + fmt::Debug + Send + Sync + 'static;
    /// Why a rule says no.
    type Refusal: fmt::Debug + Send + Sync + 'static;

    /// Changes when the meaning of an encoded snapshot changes: snapshots of another format are not read.
    const SNAPSHOT_FORMAT: u32;

    /// The streams that the command touches: 1 to [`STREAMS_PER_COMMAND_MAX`], each once. `expected_version` of a command speaks of
    /// the first.
    fn streams(command: &Self::Command) -> Vec<StreamId>;

    /// Decides. `states[i]` is the state of the stream `streams(command)[i]`. Each event comes with the index of its stream; there
    /// is at least one of each stream, because an append checks only the streams that it writes to, and there are at most
    /// [`EVENTS_PER_COMMAND_MAX`] in all.
    ///
    /// # Errors
    /// The refusal of a business rule. Nothing is stored then.
    fn decide(states: &[Self::State], command: &Self::Command) -> Result<Vec<(usize, Self::Event)>, Self::Refusal>;

    /// Folds an event into the state. Every event that `decide` gave is accepted; one that does not fit changes nothing.
    fn evolve(state: &mut Self::State, event: &Self::Event);

    /// The event as it is stored: the full name of its message, and the encoded message.
    fn encode_event(event: &Self::Event) -> (Arc<str>, Bytes);

    /// Reads a stored event.
    ///
    /// # Errors
    /// When the type is not known or the payload cannot be read.
    fn decode_event(event_type: &str, payload: &[u8]) -> Result<Self::Event, DecodeError>;

    /// The state as it is stored in a snapshot.
    fn encode_snapshot(state: &Self::State) -> Bytes;

    /// Reads a snapshot of format [`Domain::SNAPSHOT_FORMAT`].
    ///
    /// # Errors
    /// When it cannot be read; the stream is then loaded from its events.
    fn decode_snapshot(snapshot: &[u8]) -> Result<Self::State, DecodeError>;

    /// The views of the domain. Names are distinct.
    fn views() -> Vec<Box<dyn View<Self::Event>>>;
}

/// A stored event or snapshot that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot read {what}: {reason}")]
pub struct DecodeError {
    /// The type of what was to be read.
    pub what: String,
    /// Why not.
    pub reason: String,
}

impl DecodeError {
    /// Names what could not be read and why.
    pub fn new(what: impl Into<String>, reason: impl fmt::Display) -> Self {
        Self { what: what.into(), reason: reason.to_string() }
    }
}
