//! Identity of a consumer-group member.

use std::{fmt, sync::Arc, time::Duration};

use diptych_kernel::ports::{PortError, PortResult};
use parking_lot::Mutex;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::rebalance_callback::RebalanceContext;
use crate::{
    client_config,
    config::KafkaConfig,
    error::{self, not_done},
};

/// Shortest session timeout that a broker allows unless its `group.min.session.timeout.ms` is set.
const BROKER_SESSION_TIMEOUT_MIN: Duration = Duration::from_secs(6);

/// Group and name of a consumer-group member.
pub(super) struct MemberIdentity {
    pub(super) config: Arc<KafkaConfig>,
    group: String,
    member: String,
    /// The configured session timeout, or a longer one after the broker has refused that.
    session_timeout: Mutex<Duration>,
}

impl MemberIdentity {
    pub(super) fn new(config: Arc<KafkaConfig>, group: &str, member: &str) -> PortResult<Self> {
        for (what, name) in [("group", group), ("member", member)] {
            if name.is_empty() || name.contains('\0') {
                return Err(PortError::operator(format!(
                    "invalid consumer {what} name {name:?}: it must not be empty or contain NUL"
                )));
            }
        }
        let session_timeout = Mutex::new(config.session_timeout);
        Ok(Self { config, group: group.to_owned(), member: member.to_owned(), session_timeout })
    }

    /// Raises the session timeout after the broker has refused it. Returns false if it is not below the broker's
    /// default minimum, so that an operator has to act.
    pub(super) fn raise_session_timeout(&self) -> bool {
        let mut session_timeout = self.session_timeout.lock();
        if *session_timeout >= BROKER_SESSION_TIMEOUT_MIN {
            return false;
        }
        let (refused, used) = (*session_timeout, BROKER_SESSION_TIMEOUT_MIN);
        *session_timeout = used;
        tracing::warn!(
            member = %self,
            refused_ms = refused.as_millis(),
            used_ms = used.as_millis(),
            "the broker refuses the session timeout, so a dead member is replaced later: set \
             group.min.session.timeout.ms of the brokers to at most kafka.session_timeout"
        );
        true
    }

    /// Creates a consumer and subscribes it to the topic. A member with the same name is fenced.
    pub(super) fn subscribe(&self) -> PortResult<BaseConsumer<RebalanceContext>> {
        let session_timeout = *self.session_timeout.lock();
        let properties = client_config::group_member(&self.config, &self.group, &self.member, session_timeout);
        let consumer: BaseConsumer<RebalanceContext> =
            properties.create_with_context(RebalanceContext::default()).map_err(error::client_creation)?;
        consumer
            .subscribe(&[&self.config.topic])
            .map_err(|error| not_done(format!("{self} cannot subscribe"), error))?;
        Ok(consumer)
    }
}

impl fmt::Display for MemberIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "member {} of group {} on topic {}", self.member, self.group, self.config.topic)
    }
}

impl fmt::Debug for MemberIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemberIdentity")
            .field("group", &self.group)
            .field("member", &self.member)
            .finish_non_exhaustive()
    }
}
