//! The program without the adapters of servers, as `cargo diptych` builds it: `cargo test --workspace
//! --no-default-features --test trial`.
#![cfg(not(feature = "servers"))]

use std::process::{Command, Output};

fn diptych(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_diptych"));
    command.env_clear().args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn a_subcommand_that_uses_servers_names_the_build_that_has_it() {
    for name in ["all", "command", "relay", "projector", "query", "migrate", "status"] {
        let output = diptych(&[name]);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(&format!("`cargo run --release -- {name}`")), "{error}");
    }
}

#[test]
fn one_settings_file_serves_all_builds() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("diptych.toml");
    let settings = "partitions = 3\n[postgres]\nurl = 'postgres://db/diptych'\n[kafka]\ntopic = 'events'\n";
    std::fs::write(&file, settings).unwrap();
    let output = diptych(&["dev", "--config", file.to_str().unwrap(), "--dump-config"]);
    let (dumped, error) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{error}");
    assert!(dumped.contains("partitions = 3") && !dumped.contains("[postgres]"), "{dumped}");
}

#[test]
fn verify_asks_for_a_folder() {
    let output = diptych(&["verify"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("--data <DIR>"), "{}", text(&output.stderr));
}

#[test]
fn the_tools_are_there() {
    assert!(text(&diptych(&["explain", "INSUFFICIENT_FUNDS"]).stdout).contains("FAILED_PRECONDITION"));
    assert!(text(&diptych(&["bench", "report", "--help"]).stdout).contains("--output"));
}
