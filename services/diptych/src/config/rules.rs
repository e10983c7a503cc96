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
struct Rule {
    /// The key that a problem is reported under.
    key: &'static str,
    is_kept: bool,
    /// What to do where it is not kept.
    remedy: &'static str,
}

fn rules(config: &Config) -> [Rule; 5] {
    let Config { listen, metrics_listen, postgres, kafka, scylla, memcached, .. } = config;
    [
        Rule {
            key: "metrics_listen",
            is_kept: listen != metrics_listen || listen.port() == 0,
            remedy: "choose another address than that of listen",
        },
        Rule {
            key: "postgres.statement_timeout",
            is_kept: postgres.statement_timeout.duration() < postgres.answer_timeout.duration(),
            remedy: "choose less than postgres.answer_timeout, so that the server aborts a statement before the \
                     connection is dropped",
        },
        Rule {
            key: "kafka.revoke_wait_max",
            is_kept: kafka.revoke_wait_max.duration() < kafka.session_timeout.duration(),
            remedy: "choose less than kafka.session_timeout, so that a consumer can finish its work before the group drops it",
        },
        Rule {
            key: "scylla.user",
            is_kept: scylla.user.is_empty() == scylla.password.is_empty(),
            remedy: "set both scylla.user and scylla.password, or neither",
        },
        Rule {
            key: "memcached.servers",
            is_kept: has_no_duplicates(&memcached.servers.to_vec()),
            remedy: "name every server once",
        },
    ]
}

fn has_no_duplicates(texts: &[String]) -> bool {
    texts.iter().enumerate().all(|(index, text)| !texts.iter().take(index).any(|before| before == text))
}
