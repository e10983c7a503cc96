//! What only shows when everything is put together.

mod conformance;
mod site;
