//! Prepares etcd, where the members agree on who is the primary.

use std::{collections::BTreeMap, time::Duration};

use super::{
    super::{
        user::{USERS, unprivileged_user},
        working_folder::make_working_folder,
    },
    shared::reachable,
};
use crate::{
    error::StackResult,
    install::Tools,
    process::{ProcessSpec, Readiness},
    state::StackFolder,
};

/// Name of the process.
pub(crate) const NAME: &str = "etcd";

const READY_TIMEOUT: Duration = Duration::from_secs(30);

/// Specification of etcd. `ports` has `client` and `peer`.
pub(crate) fn prepare(folder: &StackFolder, tools: &Tools, ports: BTreeMap<String, u16>) -> StackResult<ProcessSpec> {
    let user = unprivileged_user(USERS)?;
    let program = reachable(user, tools.folder(), &tools.etcd()?, "etcd")?;
    let working = make_working_folder(folder, NAME, user)?;
    let port = |service: &str| ports.get(service).copied().unwrap_or(0);
    let url = |service: &str| format!("http://127.0.0.1:{}", port(service));
    let (client, peer) = (url("client"), url("peer"));
    let options = [
        ("--name", NAME.to_owned()),
        ("--data-dir", "data".to_owned()),
        ("--listen-client-urls", client.clone()),
        ("--advertise-client-urls", client),
        ("--listen-peer-urls", peer.clone()),
        ("--initial-advertise-peer-urls", peer.clone()),
        ("--initial-cluster", format!("{NAME}={peer}")),
        // It has no one to wait for: with the defaults it would elect itself after a second.
        ("--heartbeat-interval", "10".to_owned()),
        ("--election-timeout", "100".to_owned()),
        // The members write every second, and each version is kept.
        ("--auto-compaction-mode", "periodic".to_owned()),
        ("--auto-compaction-retention", "1h".to_owned()),
        ("--logger", "zap".to_owned()),
        ("--log-level", "warn".to_owned()),
    ];
    let mut spec = ProcessSpec::new(NAME, program)
        .arguments(options.into_iter().flat_map(|(name, value)| [name.to_owned(), value]));
    let ready = Readiness::Http { port: port("client"), path: "/health".to_owned() };
    (spec.user, spec.folder) = (user, Some(working));
    Ok(spec.ports(ports).stage(0).ready(ready, READY_TIMEOUT))
}
