//! The event store: events, request ids and snapshots.

mod append;
mod checksums;
mod durability;
mod forget;
mod horizon;
mod load;
mod read;
mod receipts;
mod refuse;
mod resources;
mod retention;
mod status;
mod store;
mod turns;
mod validate;

pub use horizon::OldestWriter;
pub use status::StoreStatus;
pub use store::PostgresEventStore;
