//! Custom resources of operators, as the API server checks them; and values that the schema refuses.

use std::path::Path;

use crate::{
    cluster::{Cluster, Ended},
    namespace::Namespace,
    release::chart,
};

/// What is rendered for operators is accepted by the API server; what is wrong is refused, with its path.
pub(crate) async fn custom_resources_are_accepted(cluster: &Cluster) {
    for (setting, message) in [
        ("roles.projector.keda.maxReplicas=0", "maxReplicas"),
        ("postgres.password=secret", "postgres.external.existingSecret"),
        ("roles.query.replica=3", "replica"),
    ] {
        let refused = cluster.helm(&["template", "diptych", &chart(), "--set", setting]).await.unwrap_err();
        assert!(refused.contains(message), "{setting}: {refused}");
    }
    let definitions = cluster.get(&["customresourcedefinitions"]).await;
    let definitions = definitions["items"].as_array().unwrap().iter();
    let groups: Vec<&str> = definitions.map(|definition| definition["spec"]["group"].as_str().unwrap()).collect();
    if groups.is_empty() {
        println!("skipped: the cluster has no definitions of operators");
        return;
    }
    let namespace = Namespace::create(*cluster, "diptych-test-operators").await;
    for values in ["examples/values-three-zones.yaml", "ci/operator-values.yaml", "ci/operator-options-values.yaml"] {
        let rendered = render(cluster, &namespace, values).await.unwrap();
        let (known, unknown): (Vec<&str>, Vec<&str>) =
            rendered.split("\n---\n").partition(|object| is_known(object, &groups));
        cluster.dry_run(&known.join("\n---\n")).await.unwrap();
        let unknown: Vec<&str> = unknown.iter().filter_map(|object| value_of(object, "kind")).collect();
        println!("{values}: the API server accepts {} objects; without a definition: {unknown:?}", known.len());
    }
    namespace.delete().await;
}

/// Whether the cluster knows the kind of an object.
fn is_known(object: &str, groups: &[&str]) -> bool {
    let version = value_of(object, "apiVersion").unwrap_or_default();
    let group = version.split('/').next().unwrap_or_default();
    !group.contains('.') || group.ends_with(".k8s.io") || groups.contains(&group)
}

/// The value of a field at the beginning of a line.
fn value_of<'a>(object: &'a str, field: &str) -> Option<&'a str> {
    object.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(": "))
}

async fn render(cluster: &Cluster, namespace: &Namespace, values: &str) -> Ended {
    let chart = chart();
    let file = Path::new(&chart).join(values);
    let arguments = ["template", "diptych", &chart, "--namespace", &namespace.name, "--values"];
    let more = [file.to_str().unwrap(), "--set", "checkCustomResources=false"];
    cluster.helm(&[&arguments[..], &more].concat()).await
}
