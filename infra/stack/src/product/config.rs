//! Configuration of the product in a stack.

use std::{collections::BTreeMap, path::PathBuf};

use diptych_envoy::Tracing;

/// Configuration of the product in a stack.
#[derive(Clone, Debug)]
pub struct ProductConfig {
    /// The program `diptych`.
    pub program: PathBuf,
    /// Number of partitions, 1 to 256. Must not change once the stack has data. Default: 16.
    pub partitions: u16,
    /// Number of processes of each service. Default: 2.
    pub instances: u16,
    /// Number of gateways. Default: 2.
    pub gateways: u16,
    /// Further settings of the services, as environment variables (`DIPTYCH_...`). They cannot override the addresses
    /// of the servers. Default: none.
    pub settings: BTreeMap<String, String>,
    /// Trace collector for Envoy. Default: none.
    pub tracing: Option<Tracing>,
}

impl ProductConfig {
    /// This program, with the default of every other field.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            partitions: 16,
            instances: 2,
            gateways: 2,
            settings: BTreeMap::new(),
            tracing: None,
        }
    }
}
