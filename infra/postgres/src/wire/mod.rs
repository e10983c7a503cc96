//! Connections, and what goes wrong on them.

mod column;
mod connector;
mod distrust;
mod pool;
mod trouble;

pub(crate) use column::{Row, Time, Uuid, garbled};
pub(crate) use connector::{Connector, Wire};
pub(crate) use distrust::Distrust;
pub(crate) use pool::{Pool, Session};
pub(crate) use trouble::{Trouble, state_of};
