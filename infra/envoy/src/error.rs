//! Why a configuration cannot be rendered.

/// Why a configuration cannot be rendered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// A setting has a value that Envoy would refuse, or that would not do what it says.
    #[error("{setting} {problem}")]
    Setting {
        /// The setting, as the field is named; within lists with its index, such as `gateways[1].host`.
        setting: String,
        /// What is wrong with the value, and what is allowed.
        problem: String,
    },
    /// The template asks for a setting that there is not.
    #[error("line {line} of the template asks for .{name}, which is no setting")]
    UnknownPlaceholder {
        /// What it asks for.
        name: String,
        /// Where, from 1.
        line: usize,
    },
    /// The template does not ask for a setting, which would therefore have no effect.
    #[error("the template does not ask for the setting {name}")]
    UnusedSetting {
        /// The setting.
        name: String,
    },
    /// The template has something that only one of its two renderers understands.
    #[error(
        "line {line} of the template has {{{{{action}}}}}: only {{{{ .name | toJson }}}}, and {{{{ range .name }}}} or \
         {{{{ with .name }}}} up to {{{{ end }}}}, not one within the other, are understood"
    )]
    Malformed {
        /// What stands between the braces.
        action: String,
        /// Where, from 1.
        line: usize,
    },
}
