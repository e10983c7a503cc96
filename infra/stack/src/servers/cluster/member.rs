//! Prepares a member: Patroni, which starts Postgres and lets a standby take over when the primary fails.

use std::{path::Path, time::Duration};

use super::{
    super::{
        file::{fill, write_private},
        user::{USERS, check_reach, unprivileged_user},
        working_folder::make_working_folder,
    },
    passwords::Passwords,
    shared::reachable,
};
use crate::{
    error::StackResult,
    install::Tools,
    process::{Detached, ProcessSpec, Readiness},
    state::StackFolder,
};

const CONFIGURATION: &str = include_str!("../../../config/patroni.yml");
const CONFIGURATION_FILE: &str = "patroni.yml";

/// Programs that Patroni itself calls; those of Postgres it calls by their path.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// For a new standby, this includes copying the whole database.
const READY_TIMEOUT: Duration = Duration::from_secs(90);

/// Ports of a member.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MemberPorts {
    /// Of its Postgres.
    pub(crate) postgres: u16,
    /// Of the REST API of its manager.
    pub(crate) rest: u16,
    /// Of etcd.
    pub(crate) etcd: u16,
}

/// Specification of a member. With `strict`, the primary acknowledges nothing without a synchronous standby.
pub(crate) fn prepare(
    folder: &StackFolder,
    tools: &Tools,
    name: &str,
    ports: MemberPorts,
    strict: bool,
) -> StackResult<ProcessSpec> {
    let user = unprivileged_user(USERS)?;
    let python = reachable(user, tools.folder(), &tools.patroni()?, "Patroni")?;
    let programs = tools.postgres()?;
    check_reach(user, &programs, "Postgres")?;
    let working = make_working_folder(folder, name, user)?;
    let passwords = Passwords::of_stack(folder)?;
    let data = working.join("data");
    let values = [
        ("name", name.to_owned()),
        ("rest", ports.rest.to_string()),
        ("etcd", ports.etcd.to_string()),
        ("strict", strict.to_string()),
        ("port", ports.postgres.to_string()),
        ("data", quoted(&data)),
        ("programs", quoted(&programs)),
        ("folder", quoted(&working)),
        ("superuser", passwords.superuser),
        ("replication", passwords.replication),
        ("rewind", passwords.rewind),
    ];
    write_private(&working.join(CONFIGURATION_FILE), &fill(CONFIGURATION, &values), user)?;

    let mut spec = ProcessSpec::new(name, python)
        .arguments(["-m", "patroni", CONFIGURATION_FILE])
        .variable("PATH", PATH)
        // Settings of a person, such as a file of passwords, must not reach Postgres' tools.
        .variable("HOME", working.display().to_string())
        .variable("LC_ALL", "C.UTF-8")
        .variable("PYTHONDONTWRITEBYTECODE", "1");
    spec.detached = Some(Detached { program: programs.join("postgres"), folder: data.clone() });
    spec.lock_files = vec![data.join("postmaster.pid")];
    (spec.user, spec.folder, spec.stop_timeout) = (user, Some(working), Duration::from_secs(30));
    spec.ports = [("postgres".to_owned(), ports.postgres), ("rest".to_owned(), ports.rest)].into();
    Ok(spec.stage(0).ready(Readiness::PostgresMember { rest: ports.rest }, READY_TIMEOUT))
}

/// Returns whether a member has a database.
pub(crate) fn has_data(spec: &ProcessSpec) -> bool {
    spec.detached.as_ref().is_some_and(|detached| detached.folder.join("PG_VERSION").exists())
}

/// A path between single quotes of YAML.
fn quoted(path: &Path) -> String {
    path.display().to_string().replace('\'', "''")
}
