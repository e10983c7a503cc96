//! Ways between pods, and tokens of the API server in them.

use serde_json::Value;

use crate::{cluster::eventually, images::Images, release::Release};

/// A pod without the labels of a component reaches the edge and nothing else.
pub(crate) async fn only_the_edge_is_reachable(release: &Release, images: &Images) {
    let edge = "http://diptych-edge:80".to_owned();
    assert_eq!(ask(release, images, "stranger", &edge).await, "SERVING");
    let pods = release.namespace.get(&["pods", "--field-selector=status.phase=Running"]).await;
    let mut closed = 0;
    for pod in pods["items"].as_array().unwrap() {
        let component = pod["metadata"]["labels"]["app.kubernetes.io/component"].as_str().unwrap();
        let address = pod["status"]["podIP"].as_str().unwrap();
        let ports: &[u16] = match component {
            "edge" => &[8081, 9901, 9902],
            "memcached" => &[11211],
            _ => &[7400, 7401],
        };
        for port in ports {
            let answer = ask(release, images, "stranger", &format!("http://{address}:{port}")).await;
            assert!(answer.contains("cannot connect"), "port {port} of {component} is open to strangers: {answer}");
            closed += 1;
        }
        // The same question from where it may be asked.
        if ["embedded", "command", "query"].contains(&component) {
            assert_eq!(ask(release, images, "edge", &format!("http://{address}:7400")).await, "SERVING");
        }
    }
    println!("a pod without labels reaches the edge, and none of {closed} other ports");
}

/// Asks for the health at an address, from a pod of this component; returns what it prints.
async fn ask(release: &Release, images: &Images, component: &str, url: &str) -> String {
    let namespace = &release.namespace;
    let labels = if component == "stranger" {
        "{app: stranger}".to_owned()
    } else {
        let (name, instance) = ("app.kubernetes.io/name: diptych", "app.kubernetes.io/instance: diptych");
        format!("{{{name}, {instance}, app.kubernetes.io/component: {component}}}")
    };
    namespace.kubectl(&["delete", "pod", "stranger", "--ignore-not-found", "--wait"]).await;
    release
        .cluster()
        .apply(&format!(
            "apiVersion: v1
kind: Pod
metadata: {{name: stranger, namespace: {}, labels: {labels}}}
spec:
  restartPolicy: Never
  automountServiceAccountToken: false
  securityContext: {{runAsNonRoot: true, seccompProfile: {{type: RuntimeDefault}}}}
  containers:
    - name: health
      image: {}
      args: [health, --to, \"{url}\", --timeout, \"3\"]
      securityContext: {{allowPrivilegeEscalation: false, capabilities: {{drop: [ALL]}}}}
",
            namespace.name, images.diptych
        ))
        .await;
    eventually("the end of the pod", async || {
        let pod = namespace.get(&["pod", "stranger"]).await;
        let phase = pod["status"]["phase"].as_str().unwrap_or_default();
        ["Succeeded", "Failed"].contains(&phase).then_some(())
    })
    .await;
    let answer = namespace.kubectl(&["logs", "stranger"]).await.trim().to_owned();
    namespace.kubectl(&["delete", "pod", "stranger", "--wait=false"]).await;
    answer
}

/// No pod has a token of the API server.
pub(crate) async fn no_pod_has_a_token(release: &Release) {
    let pods = release.namespace.get(&["pods"]).await;
    for pod in pods["items"].as_array().unwrap() {
        let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
        let sources = volumes.flat_map(|volume| volume["projected"]["sources"].as_array().into_iter().flatten());
        let tokens: Vec<&Value> = sources.filter(|source| !source["serviceAccountToken"].is_null()).collect();
        assert!(tokens.is_empty(), "{} has {tokens:?}", pod["metadata"]["name"]);
    }
}
