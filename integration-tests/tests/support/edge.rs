//! The edge of an installation.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// Timeout of every wait of a test.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(150);

/// Where an installation is called, and with what.
#[derive(Clone, Debug)]
pub(crate) struct Edge {
    /// Address, as `host:port`.
    pub(crate) address: String,
    /// Bearer token for calls.
    pub(crate) token: String,
}

/// The file of a real bank if it exists beside the checkout, otherwise the sample; and whether it is the real one.
pub(crate) fn transactions() -> (PathBuf, bool) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let real = root.join("../shared/data/czech-bank/transactions.csv.gz");
    if real.exists() { (real, true) } else { (root.join("examples/sample-transactions.csv"), false) }
}

/// The program of this build, in the parent folder of this test binary.
pub(crate) fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let program = test.ancestors().nth(2).unwrap().join("diptych");
    assert!(program.exists(), "{} is missing: build it with `cargo build --package diptych`", program.display());
    program
}
