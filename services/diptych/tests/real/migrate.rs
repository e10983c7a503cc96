//! `diptych migrate` on real servers.

use std::process::Stdio;

use super::{process::ended, service::Service, site::Site};

#[test]
fn a_migration_can_be_repeated_and_run_by_several_at_once() {
    let Some(site) = Site::new() else { return };
    let migrate = || {
        let mut command = site.diptych(&["migrate", "--partitions", "4", "--log", "warn"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let together = [migrate(), migrate(), migrate()].map(|process| ended(process.wait_with_output().unwrap()));
    for (status, out, errors) in &together {
        assert_eq!(*status, 0, "{errors}");
        let steps: Vec<_> = out.lines().map(|line| &line[..22]).map(str::trim_end).collect();
        let expected = ["tables in Postgres", "topic in Kafka", "keyspace in ScyllaDB", "views in ScyllaDB"];
        assert_eq!(steps, expected, "{out}");
        assert!(out.contains("with 4 partitions") && out.contains("accounts_g2"), "{out}");
    }
    let (_, out, _) = ended(site.migrate());
    assert_eq!(out.matches("up to date at version").count(), 2, "{out}");

    let (status, out, errors) = ended(site.diptych(&["migrate", "--partitions", "8"]).output().unwrap());
    assert_eq!((status, out.as_str()), (3, ""), "{errors}");
    assert!(errors.contains("4 partitions") && errors.contains('8'), "{errors}");
}

#[tokio::test]
async fn a_service_waits_for_the_migration_and_goes_on_by_itself() {
    let Some(site) = Site::new() else { return };
    let waiting: Vec<_> = ["command", "relay", "projector", "query"]
        .into_iter()
        .map(|role| {
            let mut service = Service::start(role, &site.settings());
            let line = service.until_logged(|line| line["message"] == "waiting until somebody has seen to it");
            assert!(line["reason"].as_str().unwrap().contains("run `diptych migrate`"), "{role}: {line:#}");
            service
        })
        .collect();
    let (status, _, errors) = ended(site.migrate());
    assert_eq!(status, 0, "{errors}");
    for mut service in waiting {
        service.until_ready();
    }
}
