//! Problems of a configuration, reported all at once.

use std::fmt;

/// One problem of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConfigProblem {
    /// The key, such as `grpc.connections_max`; empty where the source as a whole is wrong.
    pub(crate) key: String,
    /// The value given, without secrets.
    pub(crate) value: String,
    /// The origin of the value: the file, the variable, or the flag.
    pub(crate) source: String,
    /// The instruction that resolves the problem.
    pub(crate) remedy: String,
}

/// All problems of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConfigProblems(pub(crate) Vec<ConfigProblem>);

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.key.is_empty() {
            write!(f, "  {}\n    {}", self.source, self.remedy)
        } else {
            write!(f, "  {} = {}\n    from {}\n    {}", self.key, self.value, self.source, self.remedy)
        }
    }
}

impl fmt::Display for ConfigProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.0.len() == 1 { "problem" } else { "problems" };
        write!(f, "{} {plural} in the configuration:", self.0.len())?;
        for problem in &self.0 {
            write!(f, "\n\n{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigProblems {}
