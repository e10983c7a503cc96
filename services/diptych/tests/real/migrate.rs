//! `diptych migrate` on real servers.

use std::process::Stdio;

use super::{installation::TestInstallation, process::ended, service::Service};

#[test]
fn a_migration_can_be_repeated_and_run_concurrently() {
    let Some(installation) = TestInstallation::new() else { return };
    let migrate = || {
        let mut command = installation.diptych(&["migrate", "--partitions", "4", "--log", "warn"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let concurrent = [migrate(), migrate(), migrate()].map(|process| ended(process.wait_with_output().unwrap()));
    for (status, out, errors) in &concurrent {
        assert_eq!(*status, 0, "{errors}");
        let steps: Vec<_> = out.lines().map(|line| &line[..22]).map(str::trim_end).collect();
        let expected = ["tables in Postgres", "topic in Kafka", "keyspace in ScyllaDB", "views in ScyllaDB"];
        assert_eq!(steps, expected, "{out}");
        assert!(out.contains("with 4 partitions") && out.contains("accounts_g2"), "{out}");
    }
    let (_, out, _) = ended(installation.migrate());
    assert_eq!(out.matches("up to date at version").count(), 2, "{out}");

    let (status, out, errors) = ended(installation.diptych(&["migrate", "--partitions", "8"]).output().unwrap());
    assert_eq!((status, out.as_str()), (3, ""), "{errors}");
    assert!(errors.contains("4 partitions") && errors.contains('8'), "{errors}");
}

#[tokio::test]
async fn a_service_waits_for_the_migration_and_then_becomes_ready() {
    let Some(installation) = TestInstallation::new() else { return };
    let waiting: Vec<_> = ["command", "relay", "projector", "query"]
        .into_iter()
        .map(|role| {
            let mut service = Service::start(role, &installation.settings());
            let line = service.until_logged(|line| line["message"] == "operator action needed, retrying");
            assert!(line["reason"].as_str().unwrap().contains("run `diptych migrate`"), "{role}: {line:#}");
            service
        })
        .collect();
    let (status, _, errors) = ended(installation.migrate());
    assert_eq!(status, 0, "{errors}");
    for mut service in waiting {
        service.until_ready();
    }
}
