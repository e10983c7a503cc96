//! Inputs for the preparation of a server.

use std::{collections::BTreeMap, net::Ipv4Addr};

use futures::future::BoxFuture;

use crate::{error::StackResult, install::Tools, process::ProcessSpec, state::StackFolder};

/// Inputs for the preparation of a server.
pub(crate) struct ServerSetup<'a> {
    pub(crate) folder: &'a StackFolder,
    pub(crate) tools: &'a Tools,
    pub(crate) ports: BTreeMap<String, u16>,
    /// True if data and logs are kept when the stack stops.
    pub(crate) is_kept: bool,
    /// A second address to listen on.
    pub(crate) pod_address: Option<Ipv4Addr>,
    /// Runs a one-off process, such as initdb, to its end.
    pub(crate) run: &'a (dyn Fn(ProcessSpec) -> BoxFuture<'a, StackResult<()>> + Sync),
}

impl ServerSetup<'_> {
    /// Returns a port assigned to this server, or 0, which is not connectable.
    pub(super) fn port(&self, service: &str) -> u16 {
        self.ports.get(service).copied().unwrap_or(0)
    }

    /// The addresses to listen on, separated by commas.
    pub(super) fn addresses(&self) -> String {
        self.pod_address.map_or_else(|| "127.0.0.1".to_owned(), |address| format!("127.0.0.1,{address}"))
    }
}
