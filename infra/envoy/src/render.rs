//! Rendering of settings to configurations.

use serde::Serialize;
use serde_json::Value;

use crate::{
    check,
    error::RenderError,
    settings::{EdgeSettings, GatewaySettings},
    template,
};

const EDGE: &str = include_str!("../templates/edge.yaml");
const GATEWAY: &str = include_str!("../templates/gateway.yaml");

impl EdgeSettings {
    /// Renders the configuration, a file for Envoy's option `-c`.
    ///
    /// # Errors
    /// If a setting has a value that its field does not allow.
    pub fn render(&self) -> Result<String, RenderError> {
        check::edge(self)?;
        render(EDGE, self)
    }
}

impl GatewaySettings {
    /// Renders the configuration, a file for Envoy's option `-c`.
    ///
    /// # Errors
    /// If a setting has a value that its field does not allow.
    pub fn render(&self) -> Result<String, RenderError> {
        check::gateway(self)?;
        render(GATEWAY, self)
    }
}

fn render(template: &str, settings: &impl Serialize) -> Result<String, RenderError> {
    let invalid = |problem: String| RenderError::Setting { setting: "a setting".to_owned(), problem };
    match serde_json::to_value(settings) {
        Ok(Value::Object(settings)) => template::render(template, &settings),
        Ok(_) => Err(invalid("is not part of a struct".to_owned())),
        Err(error) => Err(invalid(format!("cannot be written as JSON: {error}"))),
    }
}
