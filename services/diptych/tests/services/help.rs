//! What the subcommands say of themselves, and of mistakes.

use super::process::{diptych, ended, run};

const SERVICES: [&str; 5] = ["all", "command", "relay", "projector", "query"];

#[test]
fn every_service_takes_the_same_flags_and_teaches_by_examples() {
    for role in SERVICES {
        let (status, out, errors) = run(&[role, "--help"]);
        assert_eq!((status, errors.as_str()), (0, ""));
        for part in
            ["--config", "--listen", "--metrics", "--log", "--instance", "--postgres", "--kafka", "--dump-config"]
        {
            assert!(out.contains(&format!("{part} ")) || out.contains(&format!("{part}\n")), "{role}: {part}: {out}");
        }
        for part in ["Examples:\n", "Servers that it uses:", "Exit status: 0 stopped in order", "second signal"] {
            assert!(out.contains(part), "{role}: {part}: {out}");
        }
    }
    for (command, part) in [("migrate", "3 only a person can help"), ("verify", "2 nothing was verified")] {
        let (_, out, _) = run(&[command, "--help"]);
        assert!(out.contains(part) && out.contains("--config"), "{out}");
    }
}

#[test]
fn one_file_does_for_all() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("diptych.toml");
    let file = file.to_str().unwrap();
    let (status, whole, errors) = run(&["dev", "--dump-config", "--partitions", "8"]);
    assert_eq!((status, errors.as_str()), (0, ""));
    std::fs::write(file, &whole).unwrap();
    for role in SERVICES.iter().chain(&["migrate", "dev"]) {
        let (status, out, errors) = run(&[role, "--config", file, "--dump-config"]);
        assert_eq!((status, errors.as_str()), (0, ""), "{role}");
        assert!(out.contains("partitions = 8  # from file "), "{role}: {out}");
        assert!(out.contains("[kafka]") && out.contains("[scylla]"), "{role}: {out}");
    }
}

#[test]
fn mistakes_are_told_by_every_service_before_it_starts() {
    for role in SERVICES.iter().chain(&["migrate", "verify"]) {
        let mut command = diptych(&[role, "--postgres", "nowhere"]);
        command.env("DIPTYCH_SCYLLA__KEYSPACE", "No").env("DIPTYCH_KAFKA__SESION_TIMEOUT", "1s");
        let (status, out, errors) = ended(command.output().unwrap());
        assert_eq!((status, out.as_str()), (2, ""), "{role}: {errors}");
        assert!(errors.starts_with("3 mistakes in the configuration:"), "{role}: {errors}");
        for part in [
            "postgres.url = \"***\"\n    from flag --postgres\n",
            "scylla.keyspace = \"No\"\n    from environment variable DIPTYCH_SCYLLA__KEYSPACE\n",
            "did you mean kafka.session_timeout?",
        ] {
            assert!(errors.contains(part), "{role}: {part}: {errors}");
        }
    }
}

#[test]
fn a_folder_and_servers_are_not_verified_together() {
    let (status, _, errors) = run(&["verify", "--data", "x", "--postgres", "postgres://one/bank"]);
    assert_eq!(status, 2);
    assert!(errors.contains("cannot be used with"), "{errors}");
    let (status, _, errors) = run(&["verify", "--data", "/nowhere"]);
    assert_eq!(status, 2);
    assert!(errors.contains("nothing was verified: /nowhere has no events.db"), "{errors}");
}
