//! Environment of a report: date, machine, versions.

use std::{fs, thread};

use serde::Serialize;

use crate::client::{Target, table::grouped};

const UNKNOWN: &str = "unknown";

/// Date, versions, machine and server of a report.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Environment {
    /// The day in UTC.
    pub(super) date: String,
    /// The version of this program; that of the measured server may differ.
    pub(super) diptych_version: String,
    /// `release` or `debug`.
    pub(super) build: &'static str,
    /// The version of the database of the bare INSERT.
    pub(super) postgres_version: Option<String>,
    pub(super) machine: Machine,
    /// Addresses of the measured services.
    pub(super) servers: Vec<String>,
}

/// The machine of this program.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Machine {
    /// Cores that this process may use.
    pub(super) cores: usize,
    pub(super) cpu_model: String,
    /// Memory in MiB; 0 if unknown.
    pub(super) memory_mib: u64,
    pub(super) kernel: String,
}

impl Environment {
    /// Reads the environment of this process.
    pub(super) fn read(target: &Target, postgres_version: Option<String>) -> Self {
        let date = jiff::Timestamp::now().to_string().chars().take("0000-00-00".len()).collect();
        Self {
            date,
            diptych_version: env!("CARGO_PKG_VERSION").to_owned(),
            build: if cfg!(debug_assertions) { "debug" } else { "release" },
            postgres_version,
            machine: Machine::read(),
            servers: target.addresses(),
        }
    }

    /// All of it in one line.
    pub(super) fn line(&self) -> String {
        let Self { date, diptych_version, build, machine, .. } = self;
        let Machine { cores, cpu_model, memory_mib, kernel } = machine;
        let postgres =
            self.postgres_version.as_ref().map_or_else(String::new, |version| format!(", Postgres {version}"));
        format!(
            "{date}: Diptych {diptych_version} ({build} build){postgres}; {cores} cores ({cpu_model}), {} MiB of memory, \
             {kernel}; server at {}",
            grouped(*memory_mib),
            self.servers.join(", queries at ")
        )
    }
}

impl Machine {
    fn read() -> Self {
        let uname = rustix::system::uname();
        let text = |path| fs::read_to_string(path).unwrap_or_default();
        Self {
            cores: thread::available_parallelism().map_or(0, usize::from),
            cpu_model: cpu_model(&text("/proc/cpuinfo")),
            memory_mib: memory_mib(&text("/proc/meminfo")),
            kernel: format!("{} {}", uname.sysname().to_string_lossy(), uname.release().to_string_lossy()),
        }
    }
}

/// The model of the first processor in the text of /proc/cpuinfo.
pub(super) fn cpu_model(cpuinfo: &str) -> String {
    let model = value(cpuinfo, "model name").filter(|model| !model.is_empty());
    model.map_or_else(|| format!("{UNKNOWN} CPU"), |model| model.replace('|', "/"))
}

/// The total memory in the text of /proc/meminfo, which is in KiB.
pub(super) fn memory_mib(meminfo: &str) -> u64 {
    let number = value(meminfo, "MemTotal").and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok());
    number.unwrap_or_default() / 1_024
}

fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let fields = text.lines().filter_map(|line| line.split_once(':'));
    fields.map(|(key, value)| (key.trim(), value.trim())).find(|(key, _)| *key == name).map(|(_, value)| value)
}
