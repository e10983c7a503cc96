//! Templates of Envoy's configuration, for the edge and for the gateways, and what fills them.
//!
//! Two files, `templates/edge.yaml` and `templates/gateway.yaml`, are all there is of Envoy's configuration: the local stack renders them
//! here, from [`EdgeSettings`] and [`GatewaySettings`]; a Helm chart renders the same files with `tpl`, from values of the same names
//! (README.md). So a setting is a field of these structs, and a placeholder of that name in the file; either without the other is an error.
//!
//! ```
//! use diptych_envoy::{DevelopmentKey, EdgeSettings, Endpoint, GatewaySettings, Process, scope};
//! use std::time::Duration;
//!
//! let key = DevelopmentKey::generate();
//! let command = vec![Endpoint::new("127.0.0.1", 7410)];
//! let query = vec![Endpoint::new("127.0.0.1", 7420)];
//! let gateway = GatewaySettings::new(Process::new("gateway-0", 7430, 7431), command, query, key.identity(), "descriptor_set.bin");
//! let edge = EdgeSettings::new(Process::new("edge-0", 7400, 7401), vec![Endpoint::new("127.0.0.1", 7430)]);
//! let (gateway_yaml, edge_yaml) = (gateway.render()?, edge.render()?);
//!
//! // What a caller sends as `authorization: Bearer ...`.
//! let token = key.token("me", &[scope::COMMANDS_WRITE, scope::QUERIES_READ], Duration::from_secs(3600));
//! # assert!(gateway_yaml.contains("7410") && edge_yaml.contains("7430") && token.contains('.'));
//! # Ok::<(), diptych_envoy::RenderError>(())
//! ```
//!
//! [`DESCRIPTOR_SET`] must lie in the file that [`GatewaySettings::descriptor_set_file`] names.

mod check;
mod development_key;
mod error;
mod settings;
mod template;
#[cfg(test)]
mod tests;

/// All proto files, as the gateway needs them: to turn JSON into messages, and to find the stream that a command is about.
pub use diptych_proto::DESCRIPTOR_SET;

pub use development_key::DevelopmentKey;
pub use error::RenderError;
pub use settings::{EdgeSettings, Endpoint, GatewaySettings, Identity, Jwks, Process, Tracing};

/// What a token may allow. Stands in its claim `scope`, separated by blanks.
pub mod scope {
    /// Every call of the command service.
    pub const COMMANDS_WRITE: &str = "commands:write";
    /// Every call of the query service.
    pub const QUERIES_READ: &str = "queries:read";
}
