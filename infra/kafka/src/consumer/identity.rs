//! Identity of a consumer-group member.

use std::{fmt, sync::Arc};

use diptych_kernel::ports::{PortError, PortResult};
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::rebalance_callback::RebalanceContext;
use crate::{
    client_config,
    config::KafkaConfig,
    error::{self, not_done},
};

/// Group and name of a consumer-group member.
pub(super) struct MemberIdentity {
    pub(super) config: Arc<KafkaConfig>,
    group: String,
    member: String,
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
        Ok(Self { config, group: group.to_owned(), member: member.to_owned() })
    }

    /// Creates a consumer and subscribes it to the topic. A member with the same name is fenced.
    pub(super) fn subscribe(&self) -> PortResult<BaseConsumer<RebalanceContext>> {
        let properties = client_config::group_member(&self.config, &self.group, &self.member);
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
