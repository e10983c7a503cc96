//! Prepares a Kafka broker that is its own controller.

use std::time::Duration;

use super::{
    file::{make_folder, write},
    java,
    setup::ServerSetup,
};
use crate::{
    error::StackResult,
    process::{ProcessSpec, Readiness},
};

const NAME: &str = "kafka";
const PROPERTIES: &str = include_str!("../../config/kafka.properties");
const LOGGING: &str = include_str!("../../config/kafka-log4j2.xml");

/// Cluster id: 16 bytes in the format of a Kafka UUID. It can be fixed, because each cluster has a single broker.
const CLUSTER_ID: &str = "ZGlwdHljaC1zdGFjay0wMQ";

/// Disables the second JIT compiler: a start then takes 3 s of CPU time instead of 6, which suits short-lived
/// processes. With it, a warm broker needs a quarter to a half less CPU time for a small request.
const QUICK: &str = "-XX:TieredStopAtLevel=1";

const READY_TIMEOUT: Duration = Duration::from_secs(90);
const FORMAT_TIMEOUT: Duration = Duration::from_secs(60);

pub(super) async fn prepare(setup: &ServerSetup<'_>) -> StackResult<ProcessSpec> {
    let folder = setup.folder.process(NAME);
    make_folder(&folder)?;
    let (properties, logging, data) =
        (folder.join("server.properties"), folder.join("log4j2.xml"), folder.join("data"));
    let port = |service: &str| setup.port(service).to_string();
    let pods = setup.pod_address.map(|address| format!(",PODS://{address}:{}", port("kafka-pods")));
    let values = [
        ("kafka", port(NAME)),
        ("controller", port("controller")),
        ("pods", pods.unwrap_or_default()),
        ("data", data.display().to_string()),
    ];
    write(&properties, PROPERTIES, &values)?;
    write(&logging, LOGGING, &[])?;

    let properties = properties.display().to_string();
    let process = |options: &[&str], class_and_arguments: &[&str]| {
        let mut options: Vec<_> = options.iter().copied().map(str::to_owned).collect();
        options.push(format!("-Dlog4j2.configurationFile={}", logging.display()));
        java::process(setup, NAME, &setup.tools.kafka()?, options, class_and_arguments)
    };
    if !data.join("meta.properties").exists() {
        let format = ["kafka.tools.StorageTool", "format", "--ignore-formatted", "-t", CLUSTER_ID, "-c", &properties];
        let format = process(&["-Xms64m", "-Xmx256m", QUICK], &format)?.ready(Readiness::Done, FORMAT_TIMEOUT);
        (setup.run)(format).await?;
    }
    let mut options = vec!["-Xms256m", "-Xmx512m"];
    if !setup.is_kept {
        options.push(QUICK);
    }
    let mut spec = process(&options, &["kafka.Kafka", &properties])?;
    spec.stop_timeout = Duration::from_secs(30);
    Ok(spec.ready(Readiness::Kafka { port: setup.port(NAME) }, READY_TIMEOUT))
}
