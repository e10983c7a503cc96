//! `mode: embedded`: install with nothing set, import, test, backup, restore.

use serde_json::json;

use crate::{
    cluster::Cluster,
    images::Images,
    isolation,
    namespace::Namespace,
    release::{Release, image_values, import},
    support::{
        edge::Edge,
        final_check,
        traffic::{CallKind, EdgeConnection, Traffic, at_least, get_account, reason},
    },
};

const CLAIM: &str = "data-diptych-embedded-0";
const DATA: &str = "/var/lib/diptych";

pub(crate) async fn install_use_and_restore(cluster: &Cluster, images: &Images) {
    let namespace = Namespace::create(*cluster, "diptych-test-embedded").await;
    namespace.prepare_volume(CLAIM).await;
    let mut release = Release::new(namespace, image_values(images, &images.diptych));
    release.upgrade(&json!({})).await;
    let edge = generated_edge(&release).await;
    import(&edge).await;
    release.test().await;
    release.namespace.report_pods(0).await;
    isolation::only_the_edge_is_reachable(&release, images).await;
    isolation::no_pod_has_a_token(&release).await;
    restore_a_backup(&mut release, &edge).await;
    release.uninstall().await;
}

/// The edge, with the token that the chart made.
async fn generated_edge(release: &Release) -> Edge {
    let decoded = "go-template={{.data.token | base64decode}}";
    let token = release.namespace.kubectl(&["get", "secret", "diptych-token", "--output", decoded]).await;
    release.edge(token).await
}

/// What was acknowledged after a backup is gone after its restore; everything before is there, once.
async fn restore_a_backup(release: &mut Release, edge: &Edge) {
    let traffic = Traffic::start(edge, "before", 2, 1).await;
    let (before, _) = traffic.stop().await;
    let backup = format!("{DATA}/backup-test");
    let data = format!("{DATA}/data");
    let exec = ["exec", "diptych-embedded-0", "--", "/diptych", "backup", "--data", &data, "--to", &backup];
    println!("{}", release.namespace.kubectl(&exec).await);

    let later = Traffic::start(edge, "later", 1, 2).await;
    let (after, log) = later.stop().await;
    release.upgrade(&json!({"embedded": {"dataFolder": "backup-test"}})).await;
    let edge = generated_edge(release).await;
    let recorder = log.recorder(CallKind::Query);
    let connection = EdgeConnection::to(&edge);
    let account_id = after.account_ids().next().unwrap();
    let (_, token) = after.acknowledged(account_id);
    let consistency = at_least(&token);
    let refused = get_account(&connection, &recorder, account_id, consistency).await.unwrap_err();
    assert_eq!(reason(&refused), "TOKEN_INVALID", "a token of the lost history: {refused:?}");
    println!("after the restore a later token is refused: {}", refused.message());
    final_check::assert_all_commands_visible(&edge, &before, &log).await;
}
