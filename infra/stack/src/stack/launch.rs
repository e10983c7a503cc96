//! Starts processes and waits until they are ready.

use std::{
    collections::BTreeMap,
    fmt::Display,
    fs::File,
    io::{self, Write},
    time::Duration,
};

use futures::{FutureExt, future::try_join_all};
use tokio::time::{Instant, sleep, timeout};

use super::{handle::Stack, log::tail};
use crate::{
    error::{StackError, StackResult},
    ports,
    probe::probe,
    process::{
        self, ProcessHandle, ProcessIdentity, ProcessSpec, ProcessTree, SpawnedProcess, check_name, clear_locks, spawn,
    },
    servers::{self, Server, ServerSetup},
    state::{self, ProcessRun},
};

/// Interval between two readiness probes.
const PROBE_INTERVAL: Duration = Duration::from_millis(50);

impl Stack {
    /// Adds a process to the stack: starts it and returns when it is ready.
    ///
    /// # Errors
    /// When its name is invalid, a process of this name is alive, or it ends early or does not become ready in time:
    /// then it is killed, and the message contains the end of its log.
    pub async fn add(&self, spec: ProcessSpec) -> StackResult<()> {
        check_name("process", &spec.name)?;
        if let Some(run) = self.state()?.find(&spec.name).and_then(|record| record.live_run().cloned()) {
            return Err(StackError::WrongState {
                process: spec.name,
                state: run.identity.state().word(),
                remedy: "kill it, or stop it, before starting another process of this name",
            });
        }
        self.launch(&spec).await
    }

    /// Starts processes stage by stage, those of one stage at the same time. Live ones are kept, paused ones are
    /// resumed. Returns when all are ready.
    ///
    /// # Errors
    /// As for [`Stack::add`]. Later stages are then not started.
    pub async fn ensure_all_running(&self, specs: impl IntoIterator<Item = ProcessSpec>) -> StackResult<()> {
        let mut stages: BTreeMap<u8, Vec<ProcessSpec>> = BTreeMap::new();
        for spec in specs {
            check_name("process", &spec.name)?;
            stages.entry(spec.stage).or_default().push(spec);
        }
        for specs in stages.into_values() {
            try_join_all(specs.iter().map(|spec| self.ensure_running(spec))).await?;
        }
        Ok(())
    }

    pub(super) async fn ensure_running(&self, spec: &ProcessSpec) -> StackResult<()> {
        if self.state()?.find(&spec.name).is_some_and(|known| known.live_run().is_some()) {
            self.resume(&spec.name)?;
            return self.wait_until_ready(&spec.name).await;
        }
        self.launch(spec).await
    }

    /// Runs a one-off process to its end. Its output goes to the log of its name.
    ///
    /// # Errors
    /// When it does not end with success within its `ready_timeout`; the message contains the end of its log.
    pub async fn run(&self, spec: ProcessSpec) -> StackResult<()> {
        check_name("process", &spec.name)?;
        let SpawnedProcess { identity, log_offset, mut child } = self.spawn(&spec)?;
        let failed = |reason: String| {
            let log = self.folder.log(&spec.name);
            let tail = tail(&log, log_offset);
            StackError::Failed { process: spec.name.clone(), reason, log, tail }
        };
        match timeout(spec.ready_timeout, child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(failed(status.to_string())),
            Ok(Err(error)) => Err(StackError::io(format!("wait for the end of {}", spec.name))(error)),
            Err(_elapsed) => {
                self.kill_tree(&spec.name, &identity.into()).await?;
                Err(failed(format!("it did not end within {} s and was killed", spec.ready_timeout.as_secs())))
            }
        }
    }

    /// Starts dead servers, resumes paused ones, and returns when all are ready.
    pub(super) async fn start_servers(&self, servers: &[Server]) -> StackResult<()> {
        let state = self.state()?;
        let starts = servers.iter().map(|server| async {
            if *server == Server::Postgres && self.standbys > 0 {
                return self.start_members().await;
            }
            match state.find(server.name()).filter(|known| known.live_run().is_some()) {
                Some(known) => self.ensure_running(&known.spec).await,
                None => self.launch(&self.prepare(*server).await?).await,
            }
        });
        try_join_all(starts).await.map(|_| ())
    }

    /// Assigns the ports of a server, writes its configuration, and creates its data folder if missing.
    async fn prepare(&self, server: Server) -> StackResult<ProcessSpec> {
        let run = |spec| self.run(spec).boxed();
        let setup = ServerSetup {
            folder: &self.folder,
            tools: &self.tools,
            ports: self.ports(server.name(), server.services())?,
            is_kept: self.keep,
            pod_address: self.pod_address,
            run: &run,
        };
        servers::prepare(server, setup).await
    }

    pub(super) async fn launch(&self, spec: &ProcessSpec) -> StackResult<()> {
        // Detached processes of an earlier run keep their ports, and the new one takes them over.
        let is_orphan = spec.detached.as_ref().is_some_and(|detached| !detached.alive().is_empty());
        for port in spec.ports.values().copied().filter(|_| !is_orphan) {
            if !ports::wait_until_free(port).await {
                return Err(StackError::PortTaken { process: spec.name.clone(), port, holder: ports::holder(port) });
            }
        }
        clear_locks(spec).await?;
        let SpawnedProcess { identity, log_offset, child } = self.spawn(spec)?;
        // Its end is detected by its handle; the runtime reaps it.
        drop(child);
        let run = ProcessRun::started_now(identity, log_offset);
        state::edit(&self.folder, |state| {
            state.record_start(spec, run.clone());
            Ok(())
        })?;
        let ready = self.wait_for_readiness(spec, &run).await;
        if matches!(ready, Err(StackError::NotReady { .. })) {
            let tree = ProcessTree { root: Some(run.identity), detached: spec.detached.clone() };
            self.kill_tree(&spec.name, &tree).await?;
        }
        ready
    }

    fn spawn(&self, spec: &ProcessSpec) -> StackResult<SpawnedProcess> {
        let own = self.folder.process(&spec.name);
        std::fs::create_dir_all(&own).map_err(StackError::io(format!("make the folder {}", own.display())))?;
        let started = spawn(spec, spec.folder.as_deref().unwrap_or(&own), &self.folder.log(&spec.name))?;
        if let Some(detached) = &spec.detached {
            self.list(detached)?;
        }
        self.list(&started.identity)?;
        Ok(started)
    }

    /// Registers another process, which is then killed with its descendants when the owner of this stack exits.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn guard(&self, pid: u32) -> StackResult<()> {
        let identity = ProcessIdentity::of(pid);
        self.list(&identity.ok_or_else(|| StackError::Invalid(format!("there is no process {pid} to guard")))?)
    }

    /// Adds a process, or a rule for processes, to the list that the guardian reads.
    fn list(&self, line: &impl Display) -> StackResult<()> {
        let path = self.folder.running();
        let append = || -> io::Result<()> {
            // A single write, so that lines of concurrent starts do not interleave.
            File::options().create(true).append(true).open(&path)?.write_all(format!("{line}\n").as_bytes())
        };
        append().map_err(StackError::io(format!("write to {}", path.display())))
    }

    /// Waits until the process is ready.
    pub(super) async fn wait_for_readiness(&self, spec: &ProcessSpec, run: &ProcessRun) -> StackResult<()> {
        let began_at = Instant::now();
        let log = self.folder.log(&spec.name);
        let handle = ProcessHandle::open(&run.identity).map_err(StackError::io(format!("watch {}", spec.name)))?;
        let Some(handle) = handle else { return Err(self.ended(spec, run)) };
        let asking = async {
            loop {
                let last = match probe(&spec.ready, &log, run.log_offset).await {
                    Ok(()) => return Ok(()),
                    Err(last) => last,
                };
                if began_at.elapsed() >= spec.ready_timeout {
                    let (process, waited, tail) = (spec.name.clone(), spec.ready_timeout, tail(&log, run.log_offset));
                    return Err(StackError::NotReady { process, waited, last, log: log.clone(), tail });
                }
                sleep(PROBE_INTERVAL).await;
            }
        };
        tokio::select! {
            // Checked first: once the process has ended, an answer on its port comes from another one.
            biased;
            () = handle.ended() => Err(self.ended(spec, run)),
            ready = asking => ready,
        }
    }

    fn ended(&self, spec: &ProcessSpec, run: &ProcessRun) -> StackError {
        let log = self.folder.log(&spec.name);
        let tail = tail(&log, run.log_offset);
        StackError::EndedEarly { process: spec.name.clone(), log, tail }
    }

    pub(super) async fn kill_tree(&self, name: &str, tree: &ProcessTree) -> StackResult<()> {
        let ended = process::kill(tree).await.map_err(StackError::io(format!("kill {name}")))?;
        self.check_ended(name, ended)
    }
}
