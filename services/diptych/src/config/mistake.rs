//! Mistakes, told all at once.

use std::fmt;

/// One thing wrong in the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    /// The key, such as `grpc.connections_max`; empty where the source as a whole is wrong.
    pub(crate) key: String,
    /// What was given.
    pub(crate) value: String,
    /// Where: the file, the variable, or the flag.
    pub(crate) source: String,
    /// What is allowed.
    pub(crate) allowed: String,
}

/// Everything that is wrong in the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistakes(pub(crate) Vec<Mistake>);

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.key.is_empty() {
            write!(f, "  {}\n    {}", self.source, self.allowed)
        } else {
            write!(f, "  {} = {}\n    from {}\n    {}", self.key, self.value, self.source, self.allowed)
        }
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.0.len() == 1 { "mistake" } else { "mistakes" };
        write!(f, "{} {plural} in the configuration:", self.0.len())?;
        for mistake in &self.0 {
            write!(f, "\n\n{mistake}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}
