//! Postgres with standbys: start, roles, failover and switchover.

use std::{fmt, time::Duration};

use futures::{
    FutureExt,
    future::{select_ok, try_join_all},
};
use tokio::time::{Instant, sleep};

use super::handle::Stack;
use crate::{
    error::{StackError, StackResult},
    probe::{
        patroni::{self, ClusterState, MemberState},
        postgres,
    },
    process::{ProcessSpec, ProcessState},
    servers::{self, ETCD, MemberPorts, Server, has_data, member_names},
};

/// Time limit for another member to take over, and for a standby to follow again.
const CLUSTER_TIMEOUT: Duration = Duration::from_secs(90);
/// Polling interval for a commit.
const COMMIT_INTERVAL: Duration = Duration::from_millis(20);
/// Polling interval for the roles: the managers change them once a second.
const ROLE_INTERVAL: Duration = Duration::from_millis(100);
/// Time limit for the primary to be found when a stack is stopped.
const LAST_PRIMARY_TIMEOUT: Duration = Duration::from_secs(2);

/// Role of a member of a Postgres with standbys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberRole {
    /// It takes writes.
    Primary,
    /// It has every acknowledged write and can take over.
    SynchronousStandby,
    /// It follows, and may lack the newest writes.
    Standby,
}

/// A member of a Postgres with standbys, as the managers see it. A member that has died is listed until its time to
/// live is over, or for ever if it was the last primary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresMember {
    /// Name of its process.
    pub name: String,
    /// Its role.
    pub role: MemberRole,
    /// Its state in words of Patroni, such as `running`, `streaming`, `starting`.
    pub state: String,
    /// Its timeline, which grows with each takeover.
    pub timeline: Option<u64>,
    /// How far it is behind the primary, in bytes. `None` for the primary, and where it is unknown.
    pub lag_bytes: Option<u64>,
}

/// A finished failover or switchover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Takeover {
    /// The primary before.
    pub from: String,
    /// The primary now.
    pub to: String,
    /// Time from the request until the new primary acknowledged a commit.
    pub took: Duration,
}

impl fmt::Display for MemberRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Primary => "primary",
            Self::SynchronousStandby => "synchronous standby",
            Self::Standby => "standby",
        })
    }
}

impl From<MemberState> for PostgresMember {
    fn from(member: MemberState) -> Self {
        let role = match member.role.as_str() {
            "leader" => MemberRole::Primary,
            "sync_standby" => MemberRole::SynchronousStandby,
            _ => MemberRole::Standby,
        };
        let lag_bytes = member.lag.as_ref().and_then(serde_json::Value::as_u64);
        Self { name: member.name, role, state: member.state, timeline: member.timeline, lag_bytes }
    }
}

impl Stack {
    /// Number of standbys of its Postgres; 0 for a Postgres without a failover manager.
    #[must_use]
    pub fn standbys(&self) -> u16 {
        self.standbys
    }

    /// The addresses of all members of Postgres, as `host:port`, separated by commas; without standbys, its one
    /// address.
    ///
    /// # Errors
    /// When the stack does not have Postgres.
    pub fn postgres_addresses(&self) -> StackResult<String> {
        let ports = member_names(self.standbys).into_iter().map(|name| self.member_port(&name, "postgres"));
        let addresses: StackResult<Vec<_>> = ports.map(|port| Ok(format!("127.0.0.1:{}", port?))).collect();
        Ok(addresses?.join(","))
    }

    /// Returns the members of Postgres with their roles, as a living manager sees them. Empty without standbys.
    ///
    /// # Errors
    /// When no manager answers.
    pub async fn postgres_members(&self) -> StackResult<Vec<PostgresMember>> {
        if self.standbys == 0 {
            return Ok(Vec::new());
        }
        let state = self.cluster_state().await.map_err(|said| {
            StackError::Invalid(format!(
                "no manager of Postgres knows the roles ({said}): etcd and at least one member must be running; \
                 `cargo stack up` starts those that are dead"
            ))
        })?;
        Ok(state.members.into_iter().map(PostgresMember::from).collect())
    }

    /// Returns the name of the primary's process. A primary that was killed or paused is none.
    ///
    /// # Errors
    /// When there is none at the moment, or no manager answers.
    pub async fn primary(&self) -> StackResult<String> {
        if self.standbys == 0 {
            return Ok(Server::Postgres.name().to_owned());
        }
        let members = self.postgres_members().await?;
        let primary = members.into_iter().find(|member| member.role == MemberRole::Primary).map(|member| member.name);
        let primary = primary.filter(|name| self.runs(name));
        primary.ok_or_else(|| {
            StackError::Invalid(
                "Postgres has no primary at the moment: wait for a standby to take over, or start dead members with \
                 `cargo stack up`"
                    .to_owned(),
            )
        })
    }

    /// Kills the primary and its manager with SIGKILL, as when its machine is lost, once it has a synchronous standby.
    /// Returns when another member has acknowledged a commit.
    ///
    /// # Errors
    /// When there is no primary, it gets no synchronous standby, or none takes over in time.
    pub async fn fail_over(&self) -> StackResult<Takeover> {
        self.require_standbys()?;
        self.wait_for_standby().await?;
        let from = self.primary().await?;
        let began_at = Instant::now();
        self.kill(&from).await?;
        self.takeover(from, began_at).await
    }

    /// Lets the synchronous standby take over from the primary, once there is one; the primary then follows it. Returns
    /// when the new primary has acknowledged a commit.
    ///
    /// # Errors
    /// When there is no primary, it gets no synchronous standby, or the manager refuses.
    pub async fn switch_over(&self) -> StackResult<Takeover> {
        self.require_standbys()?;
        self.wait_for_standby().await?;
        let from = self.primary().await?;
        let members = self.postgres_members().await?;
        let candidate = members.iter().find(|member| member.role == MemberRole::SynchronousStandby);
        let candidate = candidate.ok_or_else(|| {
            StackError::Invalid(format!(
                "{from} has no synchronous standby that could take over: wait until it has one"
            ))
        })?;
        let began_at = Instant::now();
        let asked = patroni::switch_over(self.member_port(&from, "rest")?, &from, &candidate.name).await;
        asked.map_err(|said| {
            StackError::Invalid(format!("the manager of {from} does not switch over to {}: {said}", candidate.name))
        })?;
        self.takeover(from, began_at).await
    }

    /// Waits until the primary has a synchronous standby that streams: then the loss of the primary loses nothing.
    /// Returns at once without standbys.
    ///
    /// # Errors
    /// When it has none in time.
    pub async fn wait_for_standby(&self) -> StackResult<()> {
        if self.standbys == 0 {
            return Ok(());
        }
        self.poll("a synchronous standby", ROLE_INTERVAL, || self.standby_streams().boxed()).await
    }

    /// Port of the member that takes writes.
    pub(crate) async fn write_port(&self) -> StackResult<u16> {
        self.member_port(&self.primary().await?, "postgres")
    }

    /// The primary, if it is found quickly.
    pub(super) async fn last_primary(&self) -> Option<String> {
        if self.standbys == 0 {
            return None;
        }
        tokio::time::timeout(LAST_PRIMARY_TIMEOUT, self.primary()).await.ok()?.ok()
    }

    /// Starts etcd and the members. A new database begins with one member, from which the others copy it. Returns when
    /// the primary has a synchronous standby.
    pub(super) async fn start_members(&self) -> StackResult<()> {
        let specs = self.prepare_members()?;
        let (etcd, members) = (&specs[..1], &specs[1..]);
        try_join_all(etcd.iter().map(|spec| self.ensure_running(spec))).await?;
        let first = if members.iter().any(has_data) { 0 } else { 1 };
        for some in [members.get(..first), members.get(first..)].into_iter().flatten() {
            try_join_all(some.iter().map(|spec| self.ensure_running(spec))).await?;
        }
        self.wait_for_standby().await
    }

    /// Assigns the ports of etcd and the members, and writes their configurations. Live processes keep theirs.
    fn prepare_members(&self) -> StackResult<Vec<ProcessSpec>> {
        let ports = self.ports(ETCD, &["client", "peer"])?;
        let etcd = ports.get("client").copied().unwrap_or(0);
        let mut specs = vec![servers::etcd(&self.folder, &self.tools, ports)?];
        for name in member_names(self.standbys) {
            let ports = self.ports(&name, &["postgres", "rest"])?;
            let port = |service: &str| ports.get(service).copied().unwrap_or(0);
            let ports = MemberPorts { postgres: port("postgres"), rest: port("rest"), etcd };
            // With one standby, strict would stop all writes when it is lost.
            specs.push(servers::member(&self.folder, &self.tools, &name, ports, self.standbys > 1)?);
        }
        Ok(specs)
    }

    /// Waits until a member other than `from` acknowledges a commit.
    async fn takeover(&self, from: String, began_at: Instant) -> StackResult<Takeover> {
        let others: Vec<_> = member_names(self.standbys).into_iter().filter(|name| *name != from).collect();
        let ask = || {
            let asks = others.iter().map(|name| {
                async move {
                    let port = |service| self.member_port(name, service).map_err(|error| error.to_string());
                    // Its manager is asked first: a standby would log each refused commit, 50 times a second.
                    patroni::own_state(port("rest")?).await?.check_primary()?;
                    postgres::commit(port("postgres")?).await.map(|()| name.clone())
                }
                .boxed()
            });
            select_ok(asks).map(|answer| answer.map(|(name, _)| name)).boxed()
        };
        let to = self.poll("another member that acknowledges a commit", COMMIT_INTERVAL, ask).await?;
        Ok(Takeover { from, to, took: began_at.elapsed() })
    }

    /// Checks that a synchronous standby follows, both as the managers and as Postgres have it.
    async fn standby_streams(&self) -> Result<(), String> {
        let primary = self.primary().await.map_err(|error| error.to_string())?;
        let members = self.cluster_state().await?.members;
        let streams = |member: &MemberState| member.role == "sync_standby" && member.state == "streaming";
        if !members.iter().any(streams) {
            return Err("the managers know of none".to_owned());
        }
        let rest = self.member_port(&primary, "rest").map_err(|error| error.to_string())?;
        if patroni::own_state(rest).await?.has_synchronous_standby() {
            return Ok(());
        }
        Err(format!("none streams from {primary}"))
    }

    /// Asks one manager after another until one answers: a dropped question would leave a long complaint in its log.
    async fn cluster_state(&self) -> Result<ClusterState, String> {
        let mut last = "none is running".to_owned();
        for name in member_names(self.standbys).iter().filter(|name| self.runs(name)) {
            let rest = self.member_port(name, "rest").map_err(|error| error.to_string())?;
            match patroni::cluster_state(rest).await {
                Ok(state) => return Ok(state),
                Err(said) => last = format!("{name}: {said}"),
            }
        }
        Err(last)
    }

    async fn poll<'a, T>(
        &self,
        what: &'static str,
        interval: Duration,
        ask: impl Fn() -> futures::future::BoxFuture<'a, Result<T, String>>,
    ) -> StackResult<T> {
        let began_at = Instant::now();
        loop {
            let last = match ask().await {
                Ok(answer) => return Ok(answer),
                Err(last) => last,
            };
            if began_at.elapsed() >= CLUSTER_TIMEOUT {
                return Err(StackError::NoMember { what, waited: CLUSTER_TIMEOUT, last });
            }
            sleep(interval).await;
        }
    }

    fn require_standbys(&self) -> StackResult<()> {
        if self.standbys > 0 {
            return Ok(());
        }
        Err(StackError::Invalid(format!(
            "Postgres of stack {} has no standbys: start a stack with `cargo stack up --standbys 1`",
            self.name()
        )))
    }

    fn member_port(&self, name: &str, service: &str) -> StackResult<u16> {
        Ok(self.record(name)?.spec.ports.get(service).copied().unwrap_or(0))
    }

    fn runs(&self, name: &str) -> bool {
        self.record(name).is_ok_and(|record| record.tree().state() == ProcessState::Running)
    }
}
