//! Prepares Postgres.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, MetadataExt, chown},
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    file::{make_folder, write},
    setup::ServerSetup,
    user::{can_reach, unprivileged_user},
};
use crate::{
    error::{StackError, StackResult},
    process::{ProcessSpec, Readiness, RunAs, StopSignal},
};

const NAME: &str = "postgres";
const CONFIGURATION: &str = include_str!("../../config/postgres.conf");

/// Who is let in without a password, for `pg_hba.conf`.
const ACCESS_OF_LOOPBACK: &str = "host all,replication all 127.0.0.1/32 trust\n";
const ACCESS_OF_ALL: &str = "host all,replication all 0.0.0.0/0 trust\n";

/// Users to run as, in order of preference, because Postgres refuses to run as root. Debian's package creates the
/// first.
const USERS: &[&str] = &["postgres", "nobody"];

const READY_TIMEOUT: Duration = Duration::from_secs(60);
const INITDB_TIMEOUT: Duration = Duration::from_secs(120);

pub(super) async fn prepare(setup: &ServerSetup<'_>) -> StackResult<ProcessSpec> {
    let programs = setup.tools.postgres()?;
    let user = unprivileged_user(USERS)?;
    let folder = make_working_folder(setup, user)?;
    if let Some(user) = user.filter(|user| !can_reach(*user, &programs)) {
        return Err(StackError::Invalid(format!(
            "user {} may not enter {}, where Postgres is installed: set {} to a folder that all users may enter",
            user.user_id,
            programs.display(),
            crate::paths::TOOLS_VARIABLE
        )));
    }
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

/// Creates the working folder. If its user cannot reach the stack's folder (such as below a private home folder), the
/// working folder is a temporary one.
fn make_working_folder(setup: &ServerSetup<'_>, user: Option<RunAs>) -> StackResult<PathBuf> {
    let own = setup.folder.process(NAME);
    make_folder(&own)?;
    let Some(user) = user else { return Ok(own) };
    let give = |folder: &Path| {
        chown(folder, Some(user.user_id), Some(user.group_id)).map_err(StackError::io(format!(
            "give {} to user {}",
            folder.display(),
            user.user_id
        )))
    };
    if can_reach(user, setup.folder.path()) {
        give(&own)?;
        return Ok(own);
    }
    let temporary = std::env::temp_dir().join(format!("diptych-stack-{}", fingerprint(setup.folder.path())));
    match fs::DirBuilder::new().mode(0o700).create(&temporary) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && belongs_to(&temporary, user) => {}
        Err(error) => return Err(StackError::io(format!("make the folder {}", temporary.display()))(error)),
    }
    give(&temporary)?;
    Ok(temporary)
}

/// Returns whether the folder belongs to the user or root. A folder or link of another user in the temporary folder is
/// not used.
fn belongs_to(temporary: &Path, user: RunAs) -> bool {
    fs::symlink_metadata(temporary)
        .is_ok_and(|metadata| metadata.is_dir() && (metadata.uid() == user.user_id || metadata.uid() == 0))
}

/// Hash of the path of a stack, which makes its temporary folder unique.
fn fingerprint(folder: &Path) -> String {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    folder.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}
