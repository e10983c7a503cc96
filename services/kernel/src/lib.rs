//! What every part of Diptych shares: the vocabulary, the traits of a domain, and the ports with their contracts.
//!
//! No I/O happens here and no async runtime is named. A domain implements [`domain::Domain`] and [`domain::View`] as pure functions; an
//! adapter implements a trait of [`ports`] and passes the suite of the same name in `testing` (feature `testing`).
//!
//! The guarantees, by the identifiers that docs, tests and counters use:
//!
//! | | |
//! |---|---|
//! | G1 durable | a receipt that says COMMITTED survives the loss of any one server |
//! | G2 once | the same request id with the same content takes effect once and gets the same receipt |
//! | G3 whole | the events of a command are stored all or none, also across streams |
//! | G4 ordered | events of one stream keep their order everywhere |
//! | G5 none missed | every committed event reaches every view, and its effect is there exactly once |
//! | G6 own writes | a query with the token of a command sees that command, or is told that it cannot |
//! | G7 forward only | the position of a row, as readers see it, never goes back |
//! | G8 refusals are true | a refusal is decided on state that was current after the command arrived |

pub mod domain;
pub mod ports;
#[cfg(feature = "testing")]
pub mod testing;
pub mod vocabulary;

pub use vocabulary::{
    Clock, EventMetadata, EventTypeInterner, Fingerprint, NewEvent, Partition, Partitions, Position, Receipt,
    ReceiptStreams, RecordedEvent, RequestId, StreamId, StreamReceipt, Timestamp, Token, Version,
};
