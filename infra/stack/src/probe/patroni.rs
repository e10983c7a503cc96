//! Questions to the REST API of Patroni.

use std::time::Duration;

use serde::Deserialize;
use tokio::time::timeout;

use super::{PROBE_TIMEOUT, http::exchange};

/// Time limit for a switchover: Patroni answers when it is done, or has failed.
const SWITCHOVER_TIMEOUT: Duration = Duration::from_secs(60);

/// What Patroni says of its own Postgres.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct OwnState {
    state: String,
    role: String,
    replication_state: Option<String>,
    /// Those that follow it.
    #[serde(default)]
    replication: Vec<Follower>,
}

#[derive(Clone, Debug, Deserialize)]
struct Follower {
    state: Option<String>,
    sync_state: Option<String>,
}

/// What Patroni says of all members.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct ClusterState {
    pub(crate) members: Vec<MemberState>,
}

/// What Patroni says of a member.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct MemberState {
    pub(crate) name: String,
    pub(crate) role: String,
    pub(crate) state: String,
    pub(crate) timeline: Option<u64>,
    /// Bytes, or "unknown".
    pub(crate) lag: Option<serde_json::Value>,
}

impl OwnState {
    fn is_primary(&self) -> bool {
        // Older versions call it master.
        matches!(self.role.as_str(), "primary" | "master")
    }

    /// Returns whether a standby follows it synchronously, as `pg_stat_replication` has it.
    pub(crate) fn has_synchronous_standby(&self) -> bool {
        let is = |text: &Option<String>, wanted: &str| text.as_deref() == Some(wanted);
        let mut followers = self.replication.iter();
        self.is_primary() && followers.any(|one| is(&one.state, "streaming") && is(&one.sync_state, "sync"))
    }

    /// Checks that it takes writes.
    pub(crate) fn check_primary(&self) -> Result<(), String> {
        if self.is_primary() { Ok(()) } else { Err(format!("its Postgres is {} as {}", self.state, self.role)) }
    }

    fn check(&self) -> Result<(), String> {
        let streams = self.replication_state.as_deref() == Some("streaming");
        if self.state == "running" && (self.is_primary() || streams) {
            return Ok(());
        }
        let replication = self.replication_state.as_deref().unwrap_or("not replicating");
        Err(format!("its Postgres is {} as {}, {replication}", self.state, self.role))
    }
}

/// Ready: a running primary, or a standby that receives what its primary writes.
pub(super) async fn probe(rest: u16) -> Result<(), String> {
    own_state(rest).await?.check()
}

/// Asks Patroni for the state of its own Postgres.
pub(crate) async fn own_state(rest: u16) -> Result<OwnState, String> {
    get(rest, "/patroni").await
}

/// Asks Patroni for the state of all members.
pub(crate) async fn cluster_state(rest: u16) -> Result<ClusterState, String> {
    get(rest, "/cluster").await
}

/// Asks Patroni to let `candidate` take over from `leader`, the primary.
pub(crate) async fn switch_over(rest: u16, leader: &str, candidate: &str) -> Result<(), String> {
    let body = serde_json::json!({ "leader": leader, "candidate": candidate }).to_string();
    let asking = exchange(rest, "POST", "/switchover", &body);
    let answer = timeout(SWITCHOVER_TIMEOUT, asking).await;
    match answer.map_err(|_| format!("it did not answer within {} s", SWITCHOVER_TIMEOUT.as_secs()))?? {
        (200, _) => Ok(()),
        (status, text) => Err(format!("it answered {status}: {}", text.trim())),
    }
}

async fn get<T: for<'a> Deserialize<'a>>(rest: u16, path: &str) -> Result<T, String> {
    let answer = timeout(PROBE_TIMEOUT, exchange(rest, "GET", path, "")).await;
    let (_, body) = answer.map_err(|_| format!("it did not answer within {} s", PROBE_TIMEOUT.as_secs()))??;
    serde_json::from_str(&body).map_err(|error| format!("its answer to GET {path} is not understood: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(text: &str) -> OwnState {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_standby_is_ready_when_it_streams() {
        let standby = r#"{"state": "running", "role": "replica", "replication_state": "streaming", "timeline": 2}"#;
        own(standby).check().unwrap();
        let lost = own(&standby.replace("streaming", "in archive recovery")).check().unwrap_err();
        assert_eq!(lost, "its Postgres is running as replica, in archive recovery");
        assert_eq!(own(standby).check_primary().unwrap_err(), "its Postgres is running as replica");
        let starting = own(r#"{"state": "starting", "role": "replica"}"#).check().unwrap_err();
        assert_eq!(starting, "its Postgres is starting as replica, not replicating");
    }

    #[test]
    fn a_primary_is_ready_alone_and_synchronous_with_a_standby() {
        let alone = own(r#"{"state": "running", "role": "master", "timeline": 1}"#);
        alone.check().and(alone.check_primary()).unwrap();
        assert!(!alone.has_synchronous_standby());
        let with = |state: &str, sync: &str| {
            let follower = format!(r#"{{"state": "{state}", "sync_state": "{sync}"}}"#);
            own(&format!(r#"{{"state": "running", "role": "primary", "replication": [{follower}]}}"#))
                .has_synchronous_standby()
        };
        assert!(with("streaming", "sync"));
        assert!(!with("catchup", "sync") && !with("streaming", "async"));
    }
}
