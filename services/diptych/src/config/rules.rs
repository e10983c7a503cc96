//! Rules that involve more than one setting.

use super::{Config, origins::Origins, problem::ConfigProblem};

/// Returns a problem for every rule that the configuration breaks.
pub(super) fn check_rules(config: &Config, origins: &Origins) -> Vec<ConfigProblem> {
    let broken = rules(config).into_iter().filter(|rule| !rule.is_kept);
    broken
        .map(|rule| {
            origins.problem(&rule.key.split('.').map(str::to_owned).collect::<Vec<_>>(), rule.remedy.to_owned())
        })
        .collect()
}

/// A rule, as it applies to one configuration.
pub(super) struct Rule {
    /// The key that a problem is reported under.
    pub(super) key: &'static str,
    pub(super) is_kept: bool,
    /// The instruction that resolves a breach of the rule.
    pub(super) remedy: &'static str,
}

fn rules(config: &Config) -> Vec<Rule> {
    let Config { listen, metrics_listen, .. } = config;
    #[allow(unused_mut, reason = "a build without servers has only this rule")]
    let mut rules = vec![Rule {
        key: "metrics_listen",
        is_kept: listen != metrics_listen || listen.port() == 0,
        remedy: "choose another address than that of listen",
    }];
    #[cfg(feature = "servers")]
    rules.extend(super::servers::rules(config));
    rules
}
