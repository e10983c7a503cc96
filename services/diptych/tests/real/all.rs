//! `diptych all` on real servers.

use super::{
    installation::{self, PARTITIONS, TestInstallation, assert_own_writes, files, import},
    process::{Dev, ended},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_process_migrates_and_serves_all_parts() {
    let Some(installation) = TestInstallation::new() else { return };
    let args = ["--partitions", PARTITIONS];
    let all = Dev::start_as("all", &args, &installation.settings());
    for part in ["Postgres    postgres://", "Kafka       ", "ScyllaDB    ", "Memcached   ", "Partitions  4\n"] {
        assert!(all.banner.contains(part), "{part:?} is not in {}", all.banner);
    }
    import(&all.url(), &files()[0], "").await;
    assert_own_writes(&all.url(), "500").await;
    installation.assert_verified().await;
    all.signal("TERM");
    let (status, log) = all.ended().await;
    assert_eq!(status.code(), Some(0), "{log}");

    let all = Dev::start_as("all", &args, &installation.settings());
    import(&all.url(), &files()[0], "").await;
    assert_own_writes(&all.url(), "100").await;
    installation.assert_verified().await;

    // The rows of this installation follow another history than the events of another one, and are not compared.
    let Some(other) = TestInstallation::new() else { return };
    let (status, _, errors) = ended(other.migrate());
    assert_eq!(status, 0, "{errors}");
    let mut verify = installation.diptych(&["verify", "--differences", "3", "--output", "json"]);
    verify.env("DIPTYCH_POSTGRES__URL", other.setting("DIPTYCH_POSTGRES__URL"));
    let (status, report, errors) = installation::ended(verify).await;
    assert_eq!((status, report.is_null()), (2, true), "{report:#} {errors}");
    assert!(errors.contains("nothing was verified: the write database has the history"), "{errors}");
    assert!(errors.contains("follows the history"), "{errors}");
    // Neither does `migrate` take the keyspace of another one.
    let mut migrate = installation.diptych(&["migrate", "--partitions", PARTITIONS]);
    migrate.env("DIPTYCH_POSTGRES__URL", other.setting("DIPTYCH_POSTGRES__URL"));
    let (status, _, errors) = installation::ended(migrate).await;
    assert_eq!(status, 3, "{errors}");
    assert!(errors.contains("another installation uses the topic"), "{errors}");
}
