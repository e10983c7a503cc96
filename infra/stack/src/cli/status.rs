//! `status`.

use std::process::ExitCode;

use diptych_stack::{PostgresMember, ProcessStatus, Stack, StackPaths};

use super::{
    stack_name::DEFAULT,
    text::{memory, table, uptime},
};

/// Shows state, pid, memory, uptime and ports of each process, and the role and timeline of each member of a Postgres
/// with standbys.
#[derive(Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Shows every stack, including those of tests.
    #[arg(long)]
    all: bool,
}

const AFTER_HELP: &str = "\
Examples:
  cargo stack status
  cargo stack status --all
  watch cargo stack status

States: running; paused, by `cargo stack pause`; dead: it ended, crashed, or was killed or stopped;
unmanaged: a Postgres whose manager has ended, which takes writes although another may have taken over.

A killed primary is shown as the primary until another one has taken over.

Exit status: 0 if every process is running, otherwise 1.";

pub(crate) async fn run(args: &Args, paths: &StackPaths, name: Option<&str>) -> anyhow::Result<ExitCode> {
    let names = if args.all { Stack::names(paths) } else { vec![name.unwrap_or(DEFAULT).to_owned()] };
    if names.is_empty() {
        println!("there are no stacks");
    }
    let mut all_running = true;
    for name in names {
        if args.all {
            println!("stack {name}");
        }
        let attached = Stack::attach(paths, &name).and_then(|stack| Ok((stack.status()?, stack)));
        match attached {
            Ok((processes, stack)) => {
                all_running &= processes.iter().all(runs);
                print!("{}{}", status_table(&processes), members(&stack).await);
            }
            // An unreadable stack must not hide the others.
            Err(error) if args.all => {
                all_running = false;
                println!("  {error}");
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(if all_running { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Roles of the members of Postgres; empty without standbys.
pub(super) async fn members(stack: &Stack) -> String {
    match stack.postgres_members().await {
        Ok(members) if members.is_empty() => String::new(),
        Ok(members) => format!("\n{}", members_table(&members)),
        Err(error) => format!("\n{error}\n"),
    }
}

fn members_table(members: &[PostgresMember]) -> String {
    let dash = || "-".to_owned();
    let rows = members.iter().map(|member| {
        [
            member.name.clone(),
            member.role.to_string(),
            member.state.clone(),
            member.timeline.map_or_else(dash, |timeline| timeline.to_string()),
            member.lag_bytes.map_or_else(dash, |bytes| format!("{bytes} B")),
        ]
    });
    table(["MEMBER", "ROLE", "POSTGRES", "TIMELINE", "LAG"], &rows.collect::<Vec<_>>())
}

fn runs(process: &ProcessStatus) -> bool {
    process.state == diptych_stack::ProcessState::Running
}

pub(super) fn status_table(processes: &[ProcessStatus]) -> String {
    let dash = || "-".to_owned();
    let rows = processes.iter().map(|process| {
        let ports = process.ports.iter().map(|(service, port)| match process.ports.len() {
            1 => port.to_string(),
            _ => format!("{port} {service}"),
        });
        [
            process.name.clone(),
            process.state.word().to_owned(),
            process.pid.map_or_else(dash, |pid| pid.to_string()),
            if process.pid.is_some() { memory(process.memory_bytes) } else { dash() },
            process.uptime.map_or_else(dash, uptime),
            ports.collect::<Vec<_>>().join(", "),
        ]
    });
    table(["NAME", "STATE", "PID", "MEMORY", "UPTIME", "PORT"], &rows.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use diptych_stack::{MemberRole, ProcessState};

    use super::*;

    #[test]
    fn members_are_shown_with_role_and_timeline() {
        let member = |name: &str, role, lag_bytes| PostgresMember {
            name: name.to_owned(),
            role,
            state: "streaming".to_owned(),
            timeline: Some(3),
            lag_bytes,
        };
        let members = [
            member("postgres", MemberRole::SynchronousStandby, Some(0)),
            member("postgres-2", MemberRole::Primary, None),
        ];
        let shown = members_table(&members);
        let lines: Vec<_> = shown.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(
            lines,
            [
                "MEMBER ROLE POSTGRES TIMELINE LAG",
                "postgres synchronous standby streaming 3 0 B",
                "postgres-2 primary streaming 3 -"
            ]
        );
    }

    #[test]
    fn the_table_has_a_row_for_each() {
        let process = |name: &str, ports: &[(&str, u16)], pid: Option<u32>| ProcessStatus {
            name: name.to_owned(),
            state: if pid.is_some() { ProcessState::Running } else { ProcessState::Dead },
            pid,
            ports: ports.iter().map(|(service, port)| ((*service).to_owned(), *port)).collect(),
            memory_bytes: 3_000_000,
            uptime: pid.map(|_| Duration::from_secs(61)),
            log: "output.log".into(),
        };
        let kafka = process("kafka", &[("kafka", 20_001), ("controller", 20_002)], Some(77));
        let shown = status_table(&[kafka, process("memcached", &[("memcached", 20_003)], None)]);
        let expected = "\
NAME       STATE    PID  MEMORY  UPTIME    PORT
kafka      running  77   3 MB    1 min 1 s  20002 controller, 20001 kafka
memcached  dead     -    -       -         20003
";
        let squeeze = |text: &str| {
            let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
            lines.collect::<Vec<_>>().join("\n")
        };
        assert_eq!(squeeze(&shown), squeeze(expected));
    }
}
