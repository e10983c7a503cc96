//! `diptych all` on real servers.

use super::{
    process::{Dev, ended},
    site::{self, PARTITIONS, Site, assert_own_writes, files, import},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_process_makes_what_is_missing_and_is_a_ledger() {
    let Some(site) = Site::new() else { return };
    let args = ["--partitions", PARTITIONS];
    let all = Dev::start_as("all", &args, &site.settings());
    for part in ["Postgres    postgres://", "Kafka       ", "ScyllaDB    ", "Memcached   ", "Partitions  4\n"] {
        assert!(all.banner.contains(part), "{part:?} is not in {}", all.banner);
    }
    import(&all.url(), &files()[0], "").await;
    assert_own_writes(&all.url(), "500").await;
    site.assert_verified().await;
    all.signal("TERM");
    let (status, log) = all.ended().await;
    assert_eq!(status.code(), Some(0), "{log}");

    let all = Dev::start_as("all", &args, &site.settings());
    import(&all.url(), &files()[0], "").await;
    assert_own_writes(&all.url(), "100").await;
    site.assert_verified().await;

    // The rows of this one are none of the events of another one.
    let Some(other) = Site::new() else { return };
    let (status, _, errors) = ended(other.migrate());
    assert_eq!(status, 0, "{errors}");
    let mut verify = site.diptych(&["verify", "--differences", "3", "--output", "json"]);
    verify.env("DIPTYCH_POSTGRES__URL", other.setting("DIPTYCH_POSTGRES__URL"));
    let (status, report, errors) = site::ended(verify).await;
    assert_eq!((status, &report["clean"]), (1, &false.into()), "{report:#} {errors}");
    assert!(report["differences_count"].as_u64().unwrap() > 40, "{report:#}");
    let differences = report["differences"].as_array().unwrap();
    assert_eq!(differences.len(), 3, "{report:#}");
    assert!(differences[0].as_str().unwrap().contains("no event makes this row"), "{report:#}");
}
