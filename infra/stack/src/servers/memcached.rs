//! Prepares memcached.

use std::time::Duration;

use super::setup::ServerSetup;
use crate::{
    error::StackResult,
    process::{ProcessSpec, Readiness},
};

const NAME: &str = "memcached";
/// Memory for items, in MiB.
const MEMORY_MIB: &str = "64";

pub(super) fn prepare(setup: &ServerSetup<'_>) -> StackResult<ProcessSpec> {
    let port = setup.port(NAME);
    let spec = ProcessSpec::new(NAME, setup.tools.memcached()?)
        .arguments(["-l", &setup.addresses(), "-U", "0", "-m", MEMORY_MIB, "-c", "1024", "-p"])
        .arguments([port.to_string()]);
    // It refuses to run as root, but can switch the user itself.
    let spec = if rustix::process::geteuid().is_root() { spec.arguments(["-u", "nobody"]) } else { spec };
    Ok(spec.ready(Readiness::Memcached { port }, Duration::from_secs(15)))
}
