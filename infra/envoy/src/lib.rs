//! Envoy configuration for the edge and the gateways, rendered from templates.
//!
//! Two files, `templates/edge.yaml` and `templates/gateway.yaml`, are the whole configuration of Envoy: the local stack
//! renders them here, from [`EdgeSettings`] and [`GatewaySettings`]; a Helm chart renders the same files with `tpl`,
//! from values of the same names (README.md). A setting is a field of these structs and a placeholder of that name in
//! the file; either without the other is an error.
//!
//! ```
//! use diptych_envoy::{DevelopmentKey, EdgeSettings, Endpoint, GatewaySettings, ProcessSettings, scope};
//! use std::time::Duration;
//!
//! let key = DevelopmentKey::generate();
//! let command = vec![Endpoint::new("127.0.0.1", 7410)];
//! let query = vec![Endpoint::new("127.0.0.1", 7420)];
//! let process = ProcessSettings::new("gateway-0", 7430, 7431);
//! let gateway = GatewaySettings::new(process, command, query, key.jwt_settings(), "descriptor_set.bin");
//! let edge = EdgeSettings::new(ProcessSettings::new("edge-0", 7400, 7401), vec![Endpoint::new("127.0.0.1", 7430)]);
//! let (gateway_yaml, edge_yaml) = (gateway.render()?, edge.render()?);
//!
//! // Sent by a caller as `authorization: Bearer ...`.
//! let token = key.token("me", &[scope::COMMANDS_WRITE, scope::QUERIES_READ], Duration::from_secs(3600));
//! # assert!(gateway_yaml.contains("7410") && edge_yaml.contains("7430") && token.contains('.'));
//! # Ok::<(), diptych_envoy::RenderError>(())
//! ```
//!
//! The file that [`GatewaySettings::descriptor_set_file`] names must contain [`DESCRIPTOR_SET`].

mod check;
mod development_key;
mod error;
mod render;
mod settings;
mod template;
#[cfg(test)]
mod tests;

/// Descriptors of all proto files. The gateway needs them to convert JSON to messages, and to find the stream of a
/// command.
pub use diptych_proto::DESCRIPTOR_SET;

pub use development_key::DevelopmentKey;
pub use error::RenderError;
pub use settings::{EdgeSettings, Endpoint, GatewaySettings, Jwks, JwtSettings, ProcessSettings, Tracing};

/// Scopes that a token may grant, in its claim `scope`, separated by spaces.
pub mod scope {
    /// Every call of the command service.
    pub const COMMANDS_WRITE: &str = "commands:write";
    /// Every call of the query service.
    pub const QUERIES_READ: &str = "queries:read";
}
