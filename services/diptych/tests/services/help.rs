//! `--help` and invalid settings, for every subcommand.

use super::process::{diptych, ended, run};

/// Each service with the flags of the servers that it uses.
const SERVICES: [(&str, &[&str]); 5] = [
    ("all", &SERVER_FLAGS),
    ("command", &["--postgres"]),
    ("relay", &["--postgres", "--kafka"]),
    ("projector", &SERVER_FLAGS),
    ("query", &["--scylla", "--memcached"]),
];
const SERVER_FLAGS: [&str; 4] = ["--postgres", "--kafka", "--scylla", "--memcached"];

#[test]
fn the_help_of_a_service_has_the_flags_that_it_uses_and_examples() {
    for (role, servers) in SERVICES {
        let (status, out, errors) = run(&[role, "--help"]);
        assert_eq!((status, errors.as_str()), (0, ""));
        let has_flag = |flag: &str| out.contains(&format!("{flag} <")) || out.contains(&format!("{flag}\n"));
        for flag in ["--config", "--listen", "--metrics", "--log", "--instance", "--dump-config"] {
            assert!(has_flag(flag), "{role}: {flag}: {out}");
        }
        for flag in SERVER_FLAGS {
            assert_eq!(has_flag(flag), servers.contains(&flag), "{role}: {flag}: {out}");
        }
        for part in
            ["Examples:\n", "Servers used:", "\nServers:\n", "Exit status: 0 stopped gracefully", "second signal"]
        {
            assert!(out.contains(part), "{role}: {part}: {out}");
        }
    }
    for (command, part) in [("migrate", "3 an operator must act"), ("verify", "2 nothing was verified")] {
        let (_, out, _) = run(&[command, "--help"]);
        assert!(out.contains(part) && out.contains("--config"), "{out}");
    }
}

#[test]
fn one_settings_file_serves_all_subcommands() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("diptych.toml");
    let file = file.to_str().unwrap();
    let (status, whole, errors) = run(&["dev", "--dump-config", "--partitions", "8"]);
    assert_eq!((status, errors.as_str()), (0, ""));
    std::fs::write(file, &whole).unwrap();
    for role in SERVICES.map(|(role, _)| role).iter().chain(&["migrate", "dev"]) {
        let (status, out, errors) = run(&[role, "--config", file, "--dump-config"]);
        assert_eq!((status, errors.as_str()), (0, ""), "{role}");
        assert!(out.contains("partitions = 8  # from file "), "{role}: {out}");
        assert!(out.contains("[kafka]") && out.contains("[scylla]"), "{role}: {out}");
    }
}

#[test]
fn invalid_settings_are_reported_by_every_service_before_it_starts() {
    for role in SERVICES.map(|(role, _)| role).iter().chain(&["migrate", "verify"]) {
        let mut command = diptych(&[role]);
        command
            .env("DIPTYCH_POSTGRES__URL", "nowhere")
            .env("DIPTYCH_SCYLLA__KEYSPACE", "No")
            .env("DIPTYCH_KAFKA__SESION_TIMEOUT", "1s");
        let (status, out, errors) = ended(command.output().unwrap());
        assert_eq!((status, out.as_str()), (2, ""), "{role}: {errors}");
        assert!(errors.starts_with("3 problems in the configuration:"), "{role}: {errors}");
        for part in [
            "postgres.url = \"***\"\n    from environment variable DIPTYCH_POSTGRES__URL\n",
            "scylla.keyspace = \"No\"\n    from environment variable DIPTYCH_SCYLLA__KEYSPACE\n",
            "did you mean DIPTYCH_KAFKA__SESSION_TIMEOUT?",
        ] {
            assert!(errors.contains(part), "{role}: {part}: {errors}");
        }
    }
}

#[test]
fn verify_takes_either_a_folder_or_servers() {
    let (status, _, errors) = run(&["verify", "--data", "x", "--postgres", "postgres://one/bank"]);
    assert_eq!(status, 2);
    assert!(errors.contains("cannot be used with"), "{errors}");
    let (status, _, errors) = run(&["verify", "--data", "/nowhere"]);
    assert_eq!(status, 2);
    assert!(errors.contains("nothing was verified: --data /nowhere has no events.db"), "{errors}");
}
