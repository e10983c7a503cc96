//! Loads, edits and saves `state.json`.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
};

use super::{
    folder::StackFolder,
    stack_state::{StackState, VERSION},
};
use crate::error::{StackError, StackResult};

/// Reads it. `None` where the stack has none.
pub(crate) fn load(folder: &StackFolder) -> StackResult<Option<StackState>> {
    let path = folder.state();
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StackError::io(format!("read {}", path.display()))(error)),
    };
    let unreadable =
        |reason: String| StackError::UnreadableState { stack: folder.name.clone(), path: path.clone(), reason };
    let state: StackState = serde_json::from_slice(&text).map_err(|error| unreadable(error.to_string()))?;
    if state.version != VERSION {
        return Err(unreadable(format!("it has version {}, not {VERSION}", state.version)));
    }
    Ok(Some(state))
}

/// Changes it, one program after another. Nothing is written when `change` fails. The folder must exist.
pub(crate) fn edit<T>(folder: &StackFolder, change: impl FnOnce(&mut StackState) -> StackResult<T>) -> StackResult<T> {
    let lock = File::create(folder.state_lock()).and_then(|lock| lock.lock().map(|()| lock));
    let lock = lock.map_err(StackError::io(format!("lock {}", folder.state_lock().display())))?;
    let mut state = load(folder)?.unwrap_or_default();
    let result = change(&mut state)?;
    save(folder, &state)?;
    drop(lock);
    Ok(result)
}

/// Replaces the file by a rename, so that readers see either the old or the new state.
fn save(folder: &StackFolder, state: &StackState) -> StackResult<()> {
    let path = folder.state();
    let write = || -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(folder.path())?;
        serde_json::to_writer_pretty(&mut file, state)?;
        file.write_all(b"\n")?;
        file.persist(&path)?;
        Ok(())
    };
    write().map_err(StackError::io(format!("write {}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        paths::StackPaths,
        process::{ProcessIdentity, ProcessSpec},
        state::ProcessRun,
    };

    fn folder() -> (tempfile::TempDir, StackFolder) {
        let parent = tempfile::tempdir().unwrap();
        let paths = StackPaths { stacks: parent.path().join("stack"), tools: parent.path().join("tools") };
        let folder = StackFolder::new(&paths, "default").unwrap();
        folder.make().unwrap();
        (parent, folder)
    }

    #[test]
    fn a_saved_state_is_loaded() {
        let (_parent, folder) = folder();
        assert_eq!(load(&folder).unwrap(), None);
        let me = ProcessIdentity::of_this_process().unwrap();
        let spec = ProcessSpec::new("one", "/bin/true");
        edit(&folder, |state| {
            state.ports.entry("one".into()).or_default().insert("tcp".into(), 21_000);
            state.record_start(&spec, ProcessRun::started_now(me.clone(), 0));
            Ok(())
        })
        .unwrap();
        edit(&folder, |state| {
            state.record_start(&spec, ProcessRun::started_now(me.clone(), 7));
            Ok(())
        })
        .unwrap();
        let state = load(&folder).unwrap().unwrap();
        assert_eq!(state.all_ports().collect::<Vec<_>>(), [21_000]);
        assert_eq!(state.processes.len(), 1, "a second start takes the place of the first");
        assert_eq!(state.find("one").unwrap().live_run().unwrap().log_offset, 7);
        assert_eq!(state.names(), "one");
    }

    #[test]
    fn a_change_that_fails_changes_nothing() {
        let (_parent, folder) = folder();
        let result = edit(&folder, |state| {
            state.ports.entry("one".into()).or_default();
            Err::<(), _>(StackError::Invalid("no".into()))
        });
        assert_eq!(result.unwrap_err().to_string(), "no");
        assert_eq!(load(&folder).unwrap(), None);
    }

    #[test]
    fn an_unreadable_file_is_reported_with_a_remedy() {
        let (_parent, folder) = folder();
        for garbage in ["", "{", "[]", "\0\u{1}", r#"{"version": 1}"#] {
            fs::write(folder.state(), garbage).unwrap();
            let error = load(&folder).unwrap_err().to_string();
            assert!(error.contains("state.json is not a valid state file"), "{error}");
            assert!(error.contains("cargo stack down --name default"), "{error}");
            assert!(edit(&folder, |_| Ok(())).is_err(), "garbage is not written over");
        }
        fs::write(folder.state(), r#"{"version": 9, "owner": null, "ports": {}, "processes": []}"#).unwrap();
        assert!(load(&folder).unwrap_err().to_string().contains("it has version 9"));
    }

    #[test]
    fn changes_of_many_threads_are_all_kept() {
        let (_parent, folder) = folder();
        std::thread::scope(|scope| {
            for number in 0..8_u16 {
                let folder = &folder;
                scope.spawn(move || {
                    edit(folder, |state| {
                        state.ports.entry(format!("p{number}")).or_default().insert("tcp".into(), number);
                        Ok(())
                    })
                    .unwrap();
                });
            }
        });
        assert_eq!(load(&folder).unwrap().unwrap().all_ports().count(), 8);
    }
}
