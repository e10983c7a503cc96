//! Core of Diptych: the vocabulary types, the traits of a domain, and the ports with their contracts.
//!
//! This crate does no I/O and depends on no async runtime. A domain implements [`domain::Domain`] and [`domain::View`]
//! as pure functions. An adapter implements a trait of [`ports`] and must pass the suite of the same name in `testing`
//! (feature `testing`).
//!
//! Guarantees, with the identifiers that docs, tests and metrics use:
//!
//! | | |
//! |---|---|
//! | G1 durable | a command with a COMMITTED receipt survives the loss of any single server |
//! | G2 once | a request id with the same content takes effect once, and every repeat returns the same receipt |
//! | G3 atomic | either all events of a command are stored or none, also across streams |
//! | G4 ordered | the events of a stream keep their order everywhere |
//! | G5 none missed | every committed event reaches every view, and takes effect there exactly once |
//! | G6 own writes | a query with the token of a command sees that command, or fails |
//! | G7 forward only | readers never see the position of a row go back |
//! | G8 true refusals | a refusal is decided on state that was current after the command arrived |

pub mod domain;
pub mod ports;
#[cfg(feature = "testing")]
pub mod testing;
pub mod vocabulary;

pub use vocabulary::{
    Clock, EventIdentity, EventMetadata, EventTypeInterner, Fingerprint, NewEvent, Partition, Partitions, Position,
    Receipt, ReceiptStreams, RecordedEvent, RequestId, StreamId, StreamReceipt, Timestamp, Token, Version,
};
