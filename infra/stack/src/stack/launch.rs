//! Starting processes and waiting until they are ready.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Write},
    time::Duration,
};

use futures::future::try_join_all;
use tokio::time::{Instant, sleep, timeout};

use super::{Stack, log::tail};
use crate::{
    ProcessSpec, Server, StackError, StackResult, ports,
    probe::probe,
    process::{self, Handle, Identity, Started, check_name, clear_locks, spawn},
    state::{self, Run},
};

/// How long between two questions whether a process is ready.
const ASK_AGAIN: Duration = Duration::from_millis(50);

impl Stack {
    /// Starts a process and returns when it is ready. From then on it is a process of the stack, like a server.
    ///
    /// # Errors
    /// When its name is not fit, or there is a living process of this name. When it ends, or does not become ready in
    /// time: then it is killed, and the message has the end of its log.
    pub async fn add(&self, spec: ProcessSpec) -> StackResult<()> {
        check_name("process", &spec.name)?;
        if let Some(run) = self.state()?.find(&spec.name).and_then(|record| record.alive().cloned()) {
            return Err(StackError::WrongState {
                process: spec.name,
                state: run.identity.state().word(),
                remedy: "kill it, or stop it, before another one of its name is started",
            });
        }
        self.launch(&spec).await
    }

    /// Starts processes stage by stage, those of one stage at the same time. Those that live are left as they are,
    /// paused ones go on; this returns when all are ready.
    ///
    /// # Errors
    /// As [`Stack::add`]; later stages are not started then.
    pub async fn ensure_all(&self, specs: impl IntoIterator<Item = ProcessSpec>) -> StackResult<()> {
        let mut stages: BTreeMap<u8, Vec<ProcessSpec>> = BTreeMap::new();
        for spec in specs {
            check_name("process", &spec.name)?;
            stages.entry(spec.stage).or_default().push(spec);
        }
        for specs in stages.into_values() {
            try_join_all(specs.iter().map(|spec| self.ensure(spec))).await?;
        }
        Ok(())
    }

    async fn ensure(&self, spec: &ProcessSpec) -> StackResult<()> {
        if self.state()?.find(&spec.name).is_some_and(|known| known.alive().is_some()) {
            self.resume(&spec.name)?;
            return self.ready(&spec.name).await;
        }
        self.launch(spec).await
    }

    /// Runs a process that does one thing and ends. What it writes is in the log of its name.
    ///
    /// # Errors
    /// When it does not end with success within its `ready_timeout`; the message has the end of its log.
    pub async fn run(&self, spec: ProcessSpec) -> StackResult<()> {
        check_name("process", &spec.name)?;
        let Started { identity, log_offset, mut child } = self.spawn(&spec)?;
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
                self.kill_tree(&spec.name, &identity).await?;
                Err(failed(format!("it did not end within {} s and was killed", spec.ready_timeout.as_secs())))
            }
        }
    }

    /// Starts those that are down, lets paused ones go on, and returns when all are ready.
    pub(super) async fn start_servers(&self, servers: &[Server]) -> StackResult<()> {
        let state = self.state()?;
        let starts = servers.iter().map(|server| async {
            match state.find(server.name()).filter(|known| known.alive().is_some()) {
                Some(known) => self.ensure(&known.spec).await,
                None => self.launch(&server.prepare(self).await?).await,
            }
        });
        try_join_all(starts).await.map(|_| ())
    }

    pub(super) async fn launch(&self, spec: &ProcessSpec) -> StackResult<()> {
        for port in spec.ports.values().copied() {
            if !ports::becomes_free(port).await {
                return Err(StackError::PortTaken { process: spec.name.clone(), port, holder: ports::holder(port) });
            }
        }
        clear_locks(spec).await?;
        let Started { identity, log_offset, child } = self.spawn(spec)?;
        // Waited for by its handle; the runtime asks how it ended, so that it does not stay listed.
        drop(child);
        let run = Run::begun_now(identity, log_offset);
        state::edit(&self.folder, |state| {
            state.note(spec, run.clone());
            Ok(())
        })?;
        let ready = self.wait_ready(spec, &run).await;
        if matches!(ready, Err(StackError::NotReady { .. })) {
            self.kill_tree(&spec.name, &run.identity).await?;
        }
        ready
    }

    fn spawn(&self, spec: &ProcessSpec) -> StackResult<Started> {
        let own = self.folder.process(&spec.name);
        std::fs::create_dir_all(&own).map_err(StackError::io(format!("make the folder {}", own.display())))?;
        let started = spawn(spec, spec.folder.as_deref().unwrap_or(&own), &self.folder.log(&spec.name))?;
        self.list(&started.identity)?;
        Ok(started)
    }

    /// Has a process that somebody else started killed too, with all that it started, when the owner of this stack
    /// goes.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn guard(&self, pid: u32) -> StackResult<()> {
        let identity = Identity::of(pid);
        self.list(&identity.ok_or_else(|| StackError::Invalid(format!("there is no process {pid} to guard")))?)
    }

    /// Tells the guardian.
    fn list(&self, identity: &Identity) -> StackResult<()> {
        let path = self.folder.running();
        let append = || -> io::Result<()> {
            // One write: lines of processes that start at the same time do not mix.
            File::options().create(true).append(true).open(&path)?.write_all(format!("{identity}\n").as_bytes())
        };
        append().map_err(StackError::io(format!("write to {}", path.display())))
    }

    /// Returns when the process is ready.
    pub(super) async fn wait_ready(&self, spec: &ProcessSpec, run: &Run) -> StackResult<()> {
        let began_at = Instant::now();
        let log = self.folder.log(&spec.name);
        let handle = Handle::open(&run.identity).map_err(StackError::io(format!("watch {}", spec.name)))?;
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
                sleep(ASK_AGAIN).await;
            }
        };
        tokio::select! {
            // Whoever answers on the port of a process that has ended is somebody else.
            biased;
            () = handle.ended() => Err(self.ended(spec, run)),
            ready = asking => ready,
        }
    }

    fn ended(&self, spec: &ProcessSpec, run: &Run) -> StackError {
        let log = self.folder.log(&spec.name);
        let tail = tail(&log, run.log_offset);
        StackError::Ended { process: spec.name.clone(), log, tail }
    }

    pub(super) async fn kill_tree(&self, name: &str, identity: &Identity) -> StackResult<()> {
        let ended = process::kill(identity).await.map_err(StackError::io(format!("kill {name}")))?;
        self.gone(name, ended)
    }
}
