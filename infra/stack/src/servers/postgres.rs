//! Prepares Postgres.

use std::{fs, io, path::Path, time::Duration};

use super::{
    file::write,
    setup::ServerSetup,
    user::{USERS, check_reach, unprivileged_user},
    working_folder::make_working_folder,
};
use crate::{
    error::{StackError, StackResult},
    process::{ProcessSpec, Readiness, StopSignal},
};

const NAME: &str = "postgres";
const CONFIGURATION: &str = include_str!("../../config/postgres.conf");

/// Who is let in without a password, for `pg_hba.conf`.
const ACCESS_OF_LOOPBACK: &str = "host all,replication all 127.0.0.1/32 trust\n";
const ACCESS_OF_ALL: &str = "host all,replication all 0.0.0.0/0 trust\n";

const READY_TIMEOUT: Duration = Duration::from_secs(60);
const INITDB_TIMEOUT: Duration = Duration::from_secs(120);

pub(super) async fn prepare(setup: &ServerSetup<'_>) -> StackResult<ProcessSpec> {
    let programs = setup.tools.postgres()?;
    let user = unprivileged_user(USERS)?;
    let folder = make_working_folder(setup.folder, NAME, user)?;
    check_reach(user, &programs, "Postgres")?;
    let process = |program: &str| {
        let mut spec = ProcessSpec::new(NAME, programs.join(program));
        (spec.user, spec.folder) = (user, Some(folder.clone()));
        spec
    };
    let data = folder.join("data");
    if !data.join("PG_VERSION").exists() {
        make_database(setup, &folder, process("initdb")).await?;
    }
    let configuration = folder.join("postgresql.conf");
    let access = folder.join("pg_hba.conf");
    write(&access, if setup.pod_address.is_some() { ACCESS_OF_ALL } else { ACCESS_OF_LOOPBACK }, &[])?;
    let values = [
        ("port", setup.port(NAME).to_string()),
        ("addresses", setup.addresses()),
        ("access", access.display().to_string()),
    ];
    write(&configuration, CONFIGURATION, &values)?;
    let mut spec = process("postgres")
        .arguments(["-D", "data", "-c"])
        .arguments([format!("config_file={}", configuration.display())]);
    spec.lock_files = vec![data.join("postmaster.pid")];
    spec.stop = StopSignal::Interrupt;
    spec.stop_timeout = Duration::from_secs(30);
    Ok(spec.ready(Readiness::Postgres { port: setup.port(NAME) }, READY_TIMEOUT))
}

/// Creates the data folder under another name first, so that an interrupted run leaves no incomplete one.
async fn make_database(setup: &ServerSetup<'_>, folder: &Path, initdb: ProcessSpec) -> StackResult<()> {
    let partial = folder.join("data.partial");
    match fs::remove_dir_all(&partial) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(StackError::io(format!("remove {}", partial.display()))(error));
        }
        _ => {}
    }
    let arguments =
        ["-D", "data.partial", "--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8"];
    let initdb = initdb.arguments(arguments).arguments(["--no-sync", "--no-instructions"]);
    (setup.run)(initdb.ready(Readiness::Done, INITDB_TIMEOUT)).await?;
    let data = folder.join("data");
    fs::rename(partial, &data).map_err(StackError::io(format!("make {}", data.display())))
}
