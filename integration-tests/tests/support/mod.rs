//! Traffic through an edge, whose answers are checked, for the tests of an installed product.

pub(crate) mod account_model;
pub(crate) mod edge;
pub(crate) mod final_check;
pub(crate) mod traffic;
