//! `mode: distributed` on servers outside of the cluster: install, import, test, upgrade, disturb.

use std::{env, process::Output};

use serde_json::{Value, json};
use tokio::process::Command;

use crate::{
    cluster::Cluster,
    disturbances,
    images::Images,
    isolation,
    namespace::Namespace,
    release::{Release, image_values, import, merge},
    support::{
        edge::{Edge, program},
        final_check,
        traffic::Traffic,
    },
    upgrades,
};

/// Each writer sends up to ten commands a second, and about five on two processors that run all of the cluster.
const WRITERS: u64 = 44;
const TOPIC: &str = "cluster.events";
const KEYSPACE: &str = "cluster";

/// The servers, as pods and as this machine reach them.
#[derive(Debug)]
pub(crate) struct Servers {
    postgres: String,
    kafka: String,
    cassandra: String,
}

impl Servers {
    /// Returns `None` if they are not told.
    pub(crate) fn find() -> Option<Self> {
        let address = |name: &str| env::var(format!("DIPTYCH_TEST_PODS_{name}")).ok();
        Some(Self { postgres: address("POSTGRES")?, kafka: address("KAFKA")?, cassandra: address("CASSANDRA")? })
    }

    /// Values that name the servers, and as little of each pod as a machine with two processors has.
    fn values(&self) -> Value {
        let port = |address: &str| address.rsplit_once(':').unwrap().1.parse::<u16>().unwrap();
        let resources = json!({"requests": {"cpu": "20m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}});
        let role = json!({"replicas": 2, "resources": resources});
        json!({
            "mode": "distributed",
            "partitions": 8,
            "postgres": {"external": {"existingSecret": "postgres", "ports": [port(&self.postgres)]}},
            "kafka": {"external": {"bootstrapServers": [self.kafka]}},
            "scylla": {"external": {"contactPoints": [self.cassandra], "ports": [port(&self.cassandra)]}},
            "config": {
                "kafka": {"topic": TOPIC, "replication_factor": 1, "min_insync_replicas": 1},
                "scylla": {"keyspace": KEYSPACE, "replication_factor": 1},
            },
            "roles": {"command": role, "relay": role, "projector": role, "query": role},
            "edge": {
                "jwt": {"existingSecret": "issuer-keys", "issuer": "diptych-development"},
                "bundledEnvoy": {"concurrency": 1, "resources": resources},
            },
            "tests": {"tokenSecret": "caller-token"},
        })
    }

    /// Compares every row with the events, from this machine.
    async fn verify(&self) {
        let setting = |name: &str| env::var(name).unwrap_or_else(|_| panic!("{name} is not set"));
        let mut command = Command::new(program());
        command
            .arg("verify")
            .env("DIPTYCH_POSTGRES__URL", setting("DIPTYCH_TEST_POSTGRES_URL"))
            .env("DIPTYCH_KAFKA__BOOTSTRAP_SERVERS", setting("DIPTYCH_TEST_KAFKA"))
            .env("DIPTYCH_KAFKA__TOPIC", TOPIC)
            .env("DIPTYCH_SCYLLA__CONTACT_POINTS", setting("DIPTYCH_TEST_CQL"))
            .env("DIPTYCH_SCYLLA__KEYSPACE", KEYSPACE);
        let Output { status, stdout, stderr } = command.output().await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(status.success(), "{}{}", text(&stdout), text(&stderr));
        println!("{}", text(&stdout));
    }
}

pub(crate) async fn install_use_and_disturb(cluster: &Cluster, images: &Images, servers: Servers) {
    let namespace = Namespace::create(*cluster, "diptych-test-distributed").await;
    let token = create_secrets(&namespace, &servers).await;
    let mut values = image_values(images, &images.diptych);
    merge(&mut values, &servers.values());
    let mut release = Release::new(namespace, values);
    let edge = match &images.first {
        Some(first) => upgrades::from_the_first_version(&mut release, first, token).await,
        None => {
            release.upgrade(&json!({})).await;
            release.edge(token).await
        }
    };
    import(&edge).await;
    release.test().await;
    release.namespace.until_settled().await;
    release.namespace.report_pods(0).await;
    isolation::only_the_edge_is_reachable(&release, images).await;
    isolation::no_pod_has_a_token(&release).await;
    under_traffic(&mut release, images, &edge).await;
    servers.verify().await;
    release.namespace.report_pods(0).await;
    release.uninstall().await;
}

async fn under_traffic(release: &mut Release, images: &Images, edge: &Edge) {
    let seed = rand::random();
    println!("traffic starts with seed {seed}");
    let traffic = Traffic::start(edge, "traffic", WRITERS, seed).await;
    upgrades::upgrade_and_roll_back(release, images, &traffic).await;
    upgrades::a_broken_image_replaces_nothing(release, images, &traffic).await;
    disturbances::each_pod_is_deleted(release, &traffic).await;
    disturbances::pods_are_evicted(release, &traffic).await;
    disturbances::projectors_are_scaled(release, &traffic).await;
    let (model, call_log) = traffic.stop().await;
    final_check::assert_all_commands_visible(edge, &model, &call_log).await;
}

/// The URL of Postgres, a key that signs tokens, and a token of it, which is returned.
async fn create_secrets(namespace: &Namespace, servers: &Servers) -> String {
    let url = format!("postgres://postgres@{}/postgres", servers.postgres);
    namespace.create_secret("postgres", &[("uri", &url)]).await;
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(program());
    command.args(["envoy", "development-key", "--to", folder.path().to_str().unwrap()]);
    assert!(command.status().await.unwrap().success());
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let token = read("token").trim().to_owned();
    namespace.create_secret("issuer-keys", &[("jwks.json", &read("jwks.json"))]).await;
    namespace.create_secret("caller-token", &[("token", &token)]).await;
    token
}
