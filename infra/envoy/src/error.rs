//! Errors of rendering a configuration.

/// Reason why a configuration cannot be rendered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// A setting has a value that Envoy would refuse, or that would not have the intended effect.
    #[error("{setting} {problem}")]
    Setting {
        /// Name of the setting's field; in lists with its index, such as `gateways[1].host`.
        setting: String,
        /// The invalid value, and what is allowed.
        problem: String,
    },
    /// The template has a placeholder without a setting.
    #[error("line {line} of the template has the placeholder .{name}, and there is no such setting")]
    UnknownPlaceholder {
        /// Name of the placeholder.
        name: String,
        /// Line of the template, from 1.
        line: usize,
    },
    /// The template has no placeholder for a setting, which would therefore have no effect.
    #[error("the template has no placeholder for the setting {name}")]
    UnusedSetting {
        /// Name of the setting.
        name: String,
    },
    /// The template has an action that only one of its two renderers supports.
    #[error(
        "line {line} of the template has {{{{{action}}}}}; supported are {{{{ .name | toJson }}}}, and \
         {{{{ range .name }}}} or {{{{ with .name }}}} up to {{{{ end }}}}, not nested"
    )]
    Malformed {
        /// Text between the braces.
        action: String,
        /// Line of the template, from 1.
        line: usize,
    },
}
