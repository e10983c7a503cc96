//! Invalid command lines and settings, reported before anything is started.

use std::{net::TcpListener, path::Path};

use super::process::{Dev, diptych, ended, run};

#[test]
fn all_problems_of_all_sources_are_reported_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("diptych.toml");
    std::fs::write(&file, "lisen = 'x'\n[grpc]\nconnections_max = 'many'\n").unwrap();
    let data = folder.path().join("data");
    let mut command = diptych(&["dev", "--partitions", "0", "--data", data.to_str().unwrap()]);
    command.env("DIPTYCH_CONFIG", &file).env("DIPTYCH_COMMAND__COMMIT_TIMEOUT", "5");
    let (status, out, errors) = ended(command.output().unwrap());
    assert_eq!((status, out.as_str()), (2, ""), "{errors}");
    assert!(errors.starts_with("4 problems in the configuration:"), "{errors}");
    for part in [
        "lisen = \"x\"\n    from file ",
        "did you mean listen?",
        "grpc.connections_max = \"many\"",
        "partitions = \"0\"\n    from flag --partitions\n    write a whole number from 1 to 256",
        "command.commit_timeout = \"5\"\n    from environment variable DIPTYCH_COMMAND__COMMIT_TIMEOUT\n    write a duration",
    ] {
        assert!(errors.contains(part), "{part:?} is not in {errors}");
    }
    assert!(!data.exists(), "nothing was started");
}

#[test]
fn a_port_in_use_is_reported_in_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let data = data.to_str().unwrap();
    let (status, out, errors) = run(&["dev", "--listen", &address, "--metrics", "127.0.0.1:0", "--data", data]);
    assert_eq!((status, out.as_str()), (1, ""));
    let line = format!(
        "error: cannot listen on {address} for gRPC: the port is in use; stop the process that uses it, or choose another \
         address with --listen HOST:PORT (DIPTYCH_LISTEN)\n"
    );
    assert_eq!(errors, line);
    let (status, _, errors) = run(&["dev", "--listen", "127.0.0.1:0", "--metrics", &address, "--data", data]);
    assert_eq!(status, 1);
    assert!(
        errors.contains(&format!("cannot listen on {address} for metrics")) && errors.lines().count() == 1,
        "{errors}"
    );
    assert!(!Path::new(data).exists(), "ports are bound before data is opened");
}

#[test]
fn a_folder_has_one_process_and_one_number_of_partitions() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let first = Dev::start(&["--data", data, "--partitions", "4"]);
    let others = ["dev", "--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--data", data];
    let (status, _, errors) = run(&others);
    assert_eq!(status, 1);
    assert!(errors.contains("in use by another `diptych dev` (process "), "{errors}");
    first.signal("TERM");
    assert!(first.end().0.success());

    let (status, out, errors) = run(&[&others[..], &["--partitions", "8"]].concat());
    assert_eq!((status, out.as_str()), (1, ""), "{errors}");
    assert!(errors.contains("cannot open data in --data /") && errors.contains('4'), "{errors}");
    assert!(errors.ends_with("; set it with --partitions (setting partitions)\n"), "{errors}");
}

#[test]
fn the_settings_are_printed_with_meaning_and_source() {
    let mut command = diptych(&["dev", "--dump-config", "--listen", "127.0.0.1:1"]);
    let (status, out, errors) = ended(command.env("DIPTYCH_LOG__FILTER", "debug").output().unwrap());
    assert_eq!((status, errors.as_str()), (0, ""));
    assert!(out.contains("listen = \"127.0.0.1:1\"  # from flag --listen\n"), "{out}");
    assert!(out.contains("# Partitions of a new installation; fixed once it exists.\npartitions = 16\n"), "{out}");
    assert!(out.contains("filter = \"debug\"  # from environment variable DIPTYCH_LOG__FILTER\n"), "{out}");
}

#[test]
fn reasons_and_settings_are_described() {
    let (status, out, _) = run(&["explain", "VIEW_BEHIND"]);
    assert_eq!(status, 0);
    assert!(out.contains("UNAVAILABLE") && out.contains("RetryInfo"), "{out}");
    let (status, _, errors) = run(&["explain", "NO_SUCH"]);
    assert_eq!(status, 2);
    assert!(errors.contains("`diptych explain` lists all"), "{errors}");
    let (status, out, _) = run(&["settings", "grpc.connections_max"]);
    assert_eq!(status, 0);
    assert!(out.starts_with("grpc.connections_max\n  ") && out.contains("DIPTYCH_GRPC__CONNECTIONS_MAX"), "{out}");
    let (status, out, _) = run(&["settings", "--markdown"]);
    assert_eq!(status, 0);
    assert!(out.contains("| `memcached.ttl` | `DIPTYCH_MEMCACHED__TTL` |"), "{out}");
    let (status, out, _) = run(&["completions", "bash"]);
    assert_eq!(status, 0);
    assert!(out.contains("_diptych"));
}

#[test]
fn a_misspelt_subcommand_is_answered_with_the_nearest() {
    let (status, _, errors) = run(&["dv"]);
    assert_eq!(status, 2);
    assert!(errors.contains("a similar subcommand exists: 'dev'"), "{errors}");
}

#[test]
fn a_variable_with_one_underscore_is_answered_with_the_setting() {
    let mut command = diptych(&["dev"]);
    let (status, _, errors) = ended(command.env("DIPTYCH_POSTGRES_URL", "postgres://one/bank").output().unwrap());
    assert_eq!(status, 2);
    assert!(errors.contains("did you mean DIPTYCH_POSTGRES__URL?"), "{errors}");
}

#[test]
fn a_host_name_is_a_valid_listen_address() {
    let mut command = diptych(&["dev", "--listen", "localhost:0", "--metrics", "localhost:0", "--dump-config"]);
    let (status, out, errors) = ended(command.output().unwrap());
    assert_eq!((status, errors.as_str()), (0, ""));
    assert!(out.contains("listen = \"localhost:0\"  # from flag --listen\n"), "{out}");
}
